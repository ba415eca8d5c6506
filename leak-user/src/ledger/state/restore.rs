//! A ledger from the parts of another's state. What makes no sense in them is left out.

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

use super::{
    super::{
        Ledger, Lifetimes, SiteKey, Totals,
        addresses::Move,
        descriptors::Slots,
        endings::{self, Ending},
        entry::{Entry, Origin},
        process::{Loose, Memory, Process},
        releases::Change,
        sites::{Held, Resource, SiteCounts},
        spaces::SpaceId,
    },
    Row, SavedChange, SavedEnding, SavedHeld, SavedLedger, SavedProcess, SavedSite, SavedSpace,
    SpaceRef,
};
use crate::{
    event::Uncovered,
    model::{site::SiteId, time::Nanos},
};

impl Ledger {
    /// Takes one part of another ledger's state. All of them, in their order, make
    /// an empty ledger equal to that one.
    pub fn restore(&mut self, saved: &SavedLedger) {
        match saved {
            SavedLedger::Clock(clock) => {
                self.horizon = clock.horizon;
                self.latest = clock.latest;
                self.tables.set_next(clock.next_table);
                self.memories.set_next(clock.next_memory);
                self.totals = Totals::from_row(clock.totals);
                self.totals.endings_refused = bounded(clock.endings_refused);
            }
            SavedLedger::Process(saved) => self.restore_process(saved),
            SavedLedger::Space(saved) => self.restore_space(saved),
            SavedLedger::Changes { space, rows } => self.restore_changes(*space, rows),
            SavedLedger::Slots { space, rows } => {
                if let Some((id, slots)) = self.slots_of(*space) {
                    for &(slot, row) in rows {
                        if let Some(entry) = row.entry() {
                            slots.restore(id, slot, entry);
                        }
                    }
                }
            }
            SavedLedger::Regions { space, rows } => self.restore_regions(SpaceId(*space), rows),
            SavedLedger::Threads { process, rows } => {
                self.restore_threads(ProcessId(*process), rows)
            }
            SavedLedger::Loose { rows } => {
                for &(handle, owner, zombie_since, row) in rows {
                    self.restore_loose(Handle(handle), ProcessId(owner), zombie_since, row);
                }
            }
            SavedLedger::Site(saved) => self.restore_site(saved),
            SavedLedger::Exited { rows } => {
                for &(time, id) in rows {
                    match time {
                        Some(time) => self.exited.push_back((time, ProcessId(id))),
                        None => self.kept.push_back(ProcessId(id)),
                    }
                }
            }
        }
    }

    fn restore_process(&mut self, saved: &SavedProcess) {
        let id = ProcessId(saved.process);
        if id == ProcessId::NONE || self.processes.len() >= self.config.max_processes {
            return;
        }
        let mut process = Process::new(
            saved.first_seen,
            SpaceId(saved.table),
            SpaceId(saved.memory),
        );
        process.comm = saved.comm;
        process.parent = saved.parent.map(ProcessId);
        process.generation = saved.generation;
        process.executed = saved.executed;
        process.exited = saved.exited;
        process.former_tables = spaces(&saved.former_tables);
        process.former_memories = spaces(&saved.former_memories);
        process.fork_told = saved.fork_told;
        process.reaped_after = saved.reaped_after;
        process.children = saved.children.iter().copied().map(Handle).collect();
        process.needs_reconcile = saved.needs_reconcile;
        process.lossy = saved.lossy;
        process.lost_any = saved.lost_any || saved.lossy;
        process.uncertain = saved.uncertain;
        for (is, cause) in [
            (saved.compat, Uncovered::Compat),
            (saved.uring_close, Uncovered::UringClose),
            (saved.uring_unseen, Uncovered::UringUnseen),
        ] {
            if is {
                process.uncovered.insert(cause);
            }
        }
        self.processes.insert(id, process);
    }

    fn restore_space(&mut self, saved: &SavedSpace) {
        let owner = ProcessId(saved.owner);
        let holders = saved.holders.iter().copied().map(ProcessId).collect();
        match saved.space {
            SpaceRef::Table(id) => {
                let content = Slots::new(Class::Descriptor);
                let (mingled, ended) = (saved.mingled, saved.ended);
                self.tables
                    .restore(SpaceId(id), owner, holders, mingled, ended, content);
            }
            SpaceRef::Memory(id) => {
                let (mingled, ended) = (saved.mingled, saved.ended);
                let content = Memory::new();
                self.memories
                    .restore(SpaceId(id), owner, holders, mingled, ended, content);
            }
        }
    }

    fn restore_changes(&mut self, space: SpaceRef, rows: &[(Nanos, SavedChange)]) {
        for &(time, change) in rows {
            match space {
                SpaceRef::Table(id) => self.tables.record(SpaceId(id), time, change.into()),
                SpaceRef::Memory(id) => self.memories.record(SpaceId(id), time, change.into()),
            };
        }
    }

    /// The descriptors or heap blocks of a space.
    fn slots_of(&mut self, space: SpaceRef) -> Option<(SpaceId, &mut Slots)> {
        match space {
            SpaceRef::Table(id) => {
                let table = self.tables.get_mut(SpaceId(id))?;
                Some((SpaceId(id), &mut table.content))
            }
            SpaceRef::Memory(id) => {
                let memory = self.memories.get_mut(SpaceId(id))?;
                Some((SpaceId(id), &mut memory.content.heap))
            }
        }
    }

    fn restore_regions(&mut self, id: SpaceId, rows: &[(u64, u64, u64, Row)]) {
        let Some(space) = self.memories.get_mut(id) else {
            return;
        };
        for &(start, end, resource, row) in rows {
            if let Some(entry) = row.entry() {
                let regions = &mut space.content.regions;
                regions.restore(id, (start..end).into(), resource, entry);
            }
        }
    }

    fn restore_threads(&mut self, id: ProcessId, rows: &[(u64, Option<Nanos>, Row)]) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        for &(handle, ended, row) in rows {
            let Some(entry) = row.entry() else { continue };
            match ended {
                Some(time) => process.ended_threads.push((time, Handle(handle), entry)),
                None => {
                    if process.threads.insert(Handle(handle), entry).is_none() {
                        process
                            .tally
                            .add(entry.origin_in(SpaceId::NONE), entry.kind);
                    }
                }
            }
        }
    }

    fn restore_loose(
        &mut self,
        handle: Handle,
        owner: ProcessId,
        zombie_since: Option<Nanos>,
        row: Row,
    ) {
        let Some(entry) = row.entry() else { return };
        let loose = Loose {
            owner,
            entry,
            zombie_since,
        };
        if self.loose.insert(handle, loose).is_none()
            && let Some(process) = self.processes.get_mut(&owner)
        {
            process
                .tally
                .add(entry.origin_in(SpaceId::NONE), entry.kind);
        }
    }

    fn restore_site(&mut self, saved: &SavedSite) {
        let (Some(kind), Some(key_kind)) =
            (Kind::from_wire(saved.kind), Kind::from_wire(saved.key_kind))
        else {
            return;
        };
        let process = ProcessId(saved.process);
        let key = match saved.site {
            0 => SiteKey::Unknown(process, key_kind),
            site => SiteKey::Site(SiteId(site)),
        };
        if self.sites.ensure(key, process, kind, saved.first_seen) != Some(true) {
            return;
        }
        if let Some(process) = self.processes.get_mut(&process) {
            process.sites.push(key);
        }
        if let Some(record) = self.sites.get_mut(key) {
            record.frames = saved.frames.as_slice().into();
            record.end = StackEnd::ALL
                .into_iter()
                .find(|end| *end as u8 == saved.end)
                .unwrap_or(StackEnd::NotTaken);
            record.tid = saved.tid;
            record.promoted = bounded(saved.promoted);
            record.old_released = bounded(saved.old_released);
            record.outstanding = bounded(saved.outstanding);
            record.adopted = bounded(saved.adopted);
            record.bytes = saved.bytes;
            record.lifetimes = Lifetimes::from_counts(&saved.lifetimes);
            record.held = saved.held.as_ref().map(|held| Box::new(restore_held(held)));
            record.promoted_late = bounded(saved.promoted_late);
            record.counted_twice = bounded(saved.counted_twice);
            record.counted = SiteCounts {
                acquired: bounded(saved.counted),
                released: saved.counted_released.map(bounded),
                young: bounded(saved.counted_young),
                elsewhere: bounded(saved.counted_elsewhere),
            };
            record.counted_before = SiteCounts {
                acquired: bounded(saved.counted_before),
                released: saved.counted_released_before.map(bounded),
                ..SiteCounts::default()
            };
            let ending = saved.ending.as_ref().filter(|_| self.config.keep_exited);
            record.ending = ending.map(|ending| Box::new(restore_ending(ending)));
        }
        self.sites.endings.restore(key);
    }
}

/// No real count is higher, and none from a file may overflow what is added to it.
fn bounded(count: u64) -> u64 {
    count.min(1 << 56)
}

fn spaces(saved: &[(Nanos, u64)]) -> Vec<(Nanos, SpaceId)> {
    saved
        .iter()
        .map(|&(until, id)| (until, SpaceId(id)))
        .collect()
}

fn restore_held(saved: &SavedHeld) -> Held {
    let samples = saved
        .samples
        .iter()
        .map(|&(acquired, handle, size)| Resource {
            acquired,
            handle: Handle(handle),
            size,
        });
    Held::restored(
        saved.exit,
        bounded(saved.count),
        saved.bytes,
        samples.collect(),
        bounded(saved.skipped),
    )
}

fn restore_ending(saved: &SavedEnding) -> Ending {
    let rows = saved.rows.iter().map(
        |&(released, acquired, handle, size, counted)| endings::Row {
            released,
            resource: Resource {
                acquired,
                handle: Handle(handle),
                size,
            },
            counted,
        },
    );
    let (skipped, count) = (bounded(saved.skipped), bounded(saved.count));
    Ending::restored(saved.exit, rows.collect(), skipped, count)
}

impl Row {
    fn entry(self) -> Option<Entry> {
        let Row(acquired, site, size, space, kind, origin, close_on_exec, kind_guessed) = self;
        Some(Entry {
            acquired,
            site: SiteId(site),
            size,
            space: SpaceId(space),
            kind: Kind::from_wire(kind)?,
            origin: Origin::ALL
                .into_iter()
                .find(|one| *one as u8 == origin && *one != Origin::Inherited)?,
            close_on_exec,
            kind_guessed,
        })
    }
}

impl From<SavedChange> for Change {
    fn from(saved: SavedChange) -> Change {
        match saved {
            SavedChange::Released(first, last) => Change::Released { first, last },
            SavedChange::Freed(address) => Change::Freed { address },
            SavedChange::Detached(first) => Change::Detached { first },
            SavedChange::Marked(first, last) => Change::Marked { first, last },
            SavedChange::Executed => Change::Executed,
            SavedChange::Moved([old, old_length, new, new_length]) => Change::Moved(Move {
                old,
                old_length,
                new,
                new_length,
            }),
            SavedChange::Copied { to, executing } => Change::Copied {
                to: SpaceId(to),
                executing,
            },
            SavedChange::Ended { at_exit } => Change::Ended { at_exit },
        }
    }
}

impl Totals {
    fn from_row(row: [u64; 8]) -> Totals {
        let mut totals = Totals::default();
        for (field, count) in totals.fields().into_iter().zip(row) {
            *field = bounded(count);
        }
        totals
    }
}
