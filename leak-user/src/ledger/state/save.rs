//! The parts of a ledger's state, in an order in which they can be taken.

use leak_common::ProcessId;

use super::{
    super::{
        Ledger, SiteKey, Totals,
        descriptors::Slots,
        endings::Ending,
        entry::Entry,
        process::{Memory, Process},
        releases::Change,
        sites::{Held, Resource, SiteRecord},
        spaces::{SpaceId, Spaces},
    },
    Clock, Row, SavedChange, SavedEnding, SavedHeld, SavedLedger, SavedProcess, SavedSite,
    SavedSpace, SpaceRef,
};
use crate::{event::Uncovered, model::time::Nanos};

/// Rows of a part at most.
const ROWS: usize = 512;

impl Ledger {
    /// The whole state, in an order in which it can be taken.
    #[must_use]
    pub fn saved(&self) -> Vec<SavedLedger> {
        let mut saved = vec![SavedLedger::Clock(Box::new(Clock {
            horizon: self.horizon,
            latest: self.latest,
            next_table: self.tables.next(),
            next_memory: self.memories.next(),
            totals: self.totals.as_row(),
            endings_refused: self.totals().endings_refused,
        }))];
        let mut ids: Vec<ProcessId> = self.processes.keys().copied().collect();
        ids.sort_unstable();
        for id in &ids {
            saved.push(SavedLedger::Process(Box::new(save_process(
                *id,
                &self.processes[id],
            ))));
        }
        self.save_sites(&mut saved);
        save_spaces(
            &mut saved,
            &self.tables,
            SpaceRef::Table,
            |id, slots, saved| {
                save_slots(SpaceRef::Table(id), slots, saved);
            },
        );
        save_spaces(&mut saved, &self.memories, SpaceRef::Memory, save_memory);
        for id in &ids {
            save_threads(*id, &self.processes[id], &mut saved);
        }
        self.save_loose(&mut saved);
        let waiting = self.exited.iter().map(|&(time, id)| (Some(time), id.0));
        let kept = self.kept.iter().map(|id| (None, id.0));
        let exited: Vec<_> = kept.chain(waiting).collect();
        in_rows(&exited, |rows| saved.push(SavedLedger::Exited { rows }));
        saved
    }

    fn save_loose(&self, saved: &mut Vec<SavedLedger>) {
        let mut loose: Vec<(u64, u64, Option<Nanos>, Row)> = self
            .loose
            .iter()
            .map(|(handle, loose)| {
                let row = Row::from(&loose.entry);
                (handle.0, loose.owner.0, loose.zombie_since, row)
            })
            .collect();
        loose.sort_unstable_by_key(|row| row.0);
        in_rows(&loose, |rows| saved.push(SavedLedger::Loose { rows }));
    }

    fn save_sites(&self, saved: &mut Vec<SavedLedger>) {
        let sites = self.sites.iter();
        let mut sites: Vec<SavedSite> = sites.map(|(key, record)| save_site(key, record)).collect();
        sites.sort_unstable_by_key(|site| (site.process, site.site, site.key_kind));
        saved.extend(
            sites
                .into_iter()
                .map(|site| SavedLedger::Site(Box::new(site))),
        );
    }
}

fn in_rows<T: Clone>(all: &[T], mut each: impl FnMut(Vec<T>)) {
    for rows in all.chunks(ROWS) {
        each(rows.to_vec());
    }
}

fn save_process(id: ProcessId, process: &Process) -> SavedProcess {
    let numbers = |former: &[(Nanos, SpaceId)]| former.iter().map(|&(at, id)| (at, id.0)).collect();
    let mut children: Vec<u64> = process.children.iter().map(|handle| handle.0).collect();
    children.sort_unstable();
    SavedProcess {
        process: id.0,
        comm: process.comm,
        parent: process.parent.map(|parent| parent.0),
        first_seen: process.first_seen,
        generation: process.generation,
        executed: process.executed,
        exited: process.exited,
        table: process.table.0,
        memory: process.memory.0,
        former_tables: numbers(&process.former_tables),
        former_memories: numbers(&process.former_memories),
        fork_told: process.fork_told,
        children,
        reaped_after: process.reaped_after,
        needs_reconcile: process.needs_reconcile,
        lossy: process.lossy,
        lost_any: process.lost_any,
        uncertain: process.uncertain,
        compat: process.uncovered.contains(&Uncovered::Compat),
        uring_close: process.uncovered.contains(&Uncovered::UringClose),
        uring_unseen: process.uncovered.contains(&Uncovered::UringUnseen),
    }
}

/// Every space with its log and content; those that ended in the order of their ends.
fn save_spaces<C>(
    saved: &mut Vec<SavedLedger>,
    spaces: &Spaces<C>,
    place: fn(u64) -> SpaceRef,
    content: impl Fn(u64, &C, &mut Vec<SavedLedger>),
) {
    for (id, ended) in spaces.in_order() {
        let Some(space) = spaces.get(id) else {
            continue;
        };
        saved.push(SavedLedger::Space(SavedSpace {
            space: place(id.0),
            owner: space.owner.0,
            holders: space.holders.iter().map(|holder| holder.0).collect(),
            mingled: space.mingled,
            ended,
        }));
        let changes: Vec<(Nanos, SavedChange)> = space
            .log
            .iter()
            .map(|(time, change)| (time, change.into()))
            .collect();
        in_rows(&changes, |rows| {
            saved.push(SavedLedger::Changes {
                space: place(id.0),
                rows,
            });
        });
        content(id.0, &space.content, saved);
    }
}

fn save_slots(space: SpaceRef, slots: &Slots, saved: &mut Vec<SavedLedger>) {
    let mut rows: Vec<(u64, Row)> = slots
        .iter()
        .map(|(handle, entry)| (handle.value(), Row::from(entry)))
        .collect();
    rows.sort_unstable_by_key(|row| row.0);
    in_rows(&rows, |rows| saved.push(SavedLedger::Slots { space, rows }));
}

fn save_memory(id: u64, memory: &Memory, saved: &mut Vec<SavedLedger>) {
    let mut rows: Vec<(u64, u64, u64, Row)> = memory
        .regions
        .iter()
        .map(|(range, resource, entry)| (range.start, range.end, resource, Row::from(entry)))
        .collect();
    rows.sort_unstable_by_key(|row| (row.2, row.0));
    in_rows(&rows, |rows| {
        saved.push(SavedLedger::Regions { space: id, rows });
    });
    save_slots(SpaceRef::Memory(id), &memory.heap, saved);
}

fn save_threads(id: ProcessId, process: &Process, saved: &mut Vec<SavedLedger>) {
    let running = process.threads.iter();
    let mut rows: Vec<(u64, Option<Nanos>, Row)> = running
        .map(|(handle, entry)| (handle.0, None, Row::from(entry)))
        .collect();
    rows.sort_unstable_by_key(|row| row.0);
    let ended = process.ended_threads.iter();
    rows.extend(ended.map(|(time, handle, entry)| (handle.0, Some(*time), Row::from(entry))));
    in_rows(&rows, |rows| {
        saved.push(SavedLedger::Threads {
            process: id.0,
            rows,
        });
    });
}

fn save_site(key: SiteKey, record: &SiteRecord) -> SavedSite {
    let (site, process, key_kind) = match key {
        SiteKey::Site(site) => (site.0, record.process, record.kind),
        SiteKey::Unknown(process, kind) => (0, process, kind),
    };
    let (counted, before) = (record.counted, record.counted_before);
    SavedSite {
        site,
        process: process.0,
        kind: record.kind as u32,
        key_kind: key_kind as u32,
        frames: record.frames.to_vec(),
        end: record.end as u8,
        tid: record.tid,
        first_seen: record.first_seen,
        promoted: record.promoted,
        old_released: record.old_released,
        outstanding: record.outstanding,
        adopted: record.adopted,
        bytes: record.bytes,
        promoted_late: record.promoted_late,
        counted_twice: record.counted_twice,
        counted: counted.acquired,
        counted_before: before.acquired,
        counted_released: counted.released,
        counted_released_before: before.released,
        counted_young: counted.young,
        counted_elsewhere: counted.elsewhere,
        lifetimes: record.lifetimes.counts().to_vec(),
        held: record.held.as_deref().map(save_held),
        ending: record.ending.as_deref().map(save_ending),
    }
}

fn save_ending(ending: &Ending) -> SavedEnding {
    let rows = ending.rows.iter().map(|row| {
        let Resource {
            acquired,
            handle,
            size,
        } = row.resource;
        (row.released, acquired, handle.0, size, row.counted)
    });
    SavedEnding {
        exit: ending.exit,
        count: ending.count,
        skipped: ending.skipped,
        rows: rows.collect(),
    }
}

fn save_held(held: &Held) -> SavedHeld {
    SavedHeld {
        exit: held.exit,
        count: held.count,
        bytes: held.bytes,
        skipped: held.skipped(),
        samples: held
            .samples
            .iter()
            .map(|sample| (sample.acquired, sample.handle.0, sample.size))
            .collect(),
    }
}

impl From<&Entry> for Row {
    fn from(entry: &Entry) -> Row {
        Row(
            entry.acquired,
            entry.site.0,
            entry.size,
            entry.space.0,
            entry.kind as u32,
            entry.origin as u8,
            entry.close_on_exec,
            entry.kind_guessed,
        )
    }
}

impl From<Change> for SavedChange {
    fn from(change: Change) -> SavedChange {
        match change {
            Change::Released { first, last } => SavedChange::Released(first, last),
            Change::Freed { address } => SavedChange::Freed(address),
            Change::Detached { first } => SavedChange::Detached(first),
            Change::Marked { first, last } => SavedChange::Marked(first, last),
            Change::Executed => SavedChange::Executed,
            Change::Moved(moved) => {
                SavedChange::Moved([moved.old, moved.old_length, moved.new, moved.new_length])
            }
            Change::Copied { to, executing } => SavedChange::Copied {
                to: to.0,
                executing,
            },
            Change::Ended { at_exit } => SavedChange::Ended { at_exit },
        }
    }
}

impl Totals {
    fn as_row(mut self) -> [u64; 8] {
        self.fields().map(|field| *field)
    }
}
