//! A ledger in pieces, and from pieces: so that a recording can begin in the middle
//! of a trace. Pieces are plain numbers, with a form in JSON that new fields may be
//! added to. What can be counted from entries is counted anew; pieces that make no
//! sense (they come from a file) are left out.

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};
use serde::{Deserialize, Serialize};

use super::{
    Ledger, Lifetimes, SiteKey, Totals,
    addresses::Move,
    descriptors::Slots,
    entry::{Entry, Origin},
    process::{Comm, Loose, Memory, Process},
    releases::Change,
    sites::{Held, Sample},
    spaces::{SpaceId, Spaces},
};
use crate::event::{Nanos, SiteId, Uncovered};

/// Rows of a piece at most.
const ROWS: usize = 512;

/// A part of a ledger's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    Clock(Box<Clock>),
    Process(Box<SavedProcess>),
    Space(SavedSpace),
    /// What happened to a space lately.
    Changes {
        space: Place,
        rows: Vec<(Nanos, SavedChange)>,
    },
    /// Descriptors or heap blocks, with their numbers or addresses.
    Slots {
        space: Place,
        rows: Vec<(u64, Row)>,
    },
    /// Pieces of mappings: first address, end, number of the mapping.
    Regions {
        space: u64,
        rows: Vec<(u64, u64, u64, Row)>,
    },
    /// Threads of a process, and when they ended, if they did lately.
    Threads {
        process: u64,
        rows: Vec<(u64, Option<Nanos>, Row)>,
    },
    /// Children and segments: handle, owner, since when a child is dead.
    Loose {
        rows: Vec<(u64, u64, Option<Nanos>, Row)>,
    },
    Site(Box<SavedSite>),
    /// Exited processes: those whose last acquisitions may still come have a time.
    Exited {
        rows: Vec<(Option<Nanos>, u64)>,
    },
}

/// What the ledger keeps as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub horizon: Nanos,
    pub latest: Nanos,
    /// The numbers that the next table and memory get.
    pub next_table: u64,
    pub next_memory: u64,
    /// In the order of the fields of [`Totals`].
    pub totals: [u64; 8],
}

/// Which space is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Table(u64),
    Memory(u64),
}

/// A descriptor table or a memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSpace {
    pub space: Place,
    pub owner: u64,
    pub holders: Vec<u64>,
    pub mingled: Nanos,
    /// When its last holder left.
    pub ended: Option<Nanos>,
}

/// What a log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedChange {
    Released(u64, u64),
    Freed(u64),
    Detached(u64),
    Marked(u64, u64),
    Executed,
    Moved([u64; 4]),
    Copied { to: u64, executing: bool },
    Ended { at_exit: bool },
}

/// An entry: time, site, size, space, kind, origin; closes on exec, kind is a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row(Nanos, u64, u64, u64, u32, u8, bool, bool);

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedProcess {
    pub process: u64,
    pub comm: Comm,
    pub parent: Option<u64>,
    pub first_seen: Nanos,
    pub generation: u32,
    pub executed: Option<Nanos>,
    pub exited: Option<Nanos>,
    pub table: u64,
    pub memory: u64,
    pub former_tables: Vec<(Nanos, u64)>,
    pub former_memories: Vec<(Nanos, u64)>,
    pub fork_told: bool,
    pub children: Vec<u64>,
    pub needs_reconcile: bool,
    pub lossy: bool,
    pub uncertain: Nanos,
    pub compat: bool,
    pub uring_close: bool,
}

/// A site and its counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedSite {
    /// Its number, 0 for what was acquired out of sight.
    pub site: u64,
    pub process: u64,
    pub kind: u32,
    /// The kind that what is out of sight is counted by.
    pub key_kind: u32,
    pub frames: Vec<u64>,
    pub end: u8,
    pub tid: u32,
    pub first_seen: Nanos,
    pub promoted: u64,
    pub old_released: u64,
    pub outstanding: u64,
    pub adopted: u64,
    pub bytes: u64,
    pub counted: u64,
    pub counted_before: u64,
    /// Numbers of releases by lifetime, the shortest first.
    pub lifetimes: Vec<u32>,
    pub held: Option<SavedHeld>,
}

/// What was held at an exit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedHeld {
    pub exit: Nanos,
    pub count: u64,
    pub bytes: u64,
    pub skipped: u64,
    /// Time, handle, size.
    pub samples: Vec<(Nanos, u64, u64)>,
}

impl Ledger {
    /// The whole state, in an order in which it can be taken.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = vec![Piece::Clock(Box::new(Clock {
            horizon: self.horizon,
            latest: self.latest,
            next_table: self.tables.next(),
            next_memory: self.memories.next(),
            totals: self.totals.as_row(),
        }))];
        let mut ids: Vec<ProcessId> = self.processes.keys().copied().collect();
        ids.sort_unstable();
        for id in &ids {
            pieces.push(Piece::Process(Box::new(save_process(
                *id,
                &self.processes[id],
            ))));
        }
        self.save_sites(&mut pieces);
        save_spaces(
            &mut pieces,
            &self.tables,
            Place::Table,
            |id, slots, pieces| {
                save_slots(Place::Table(id), slots, pieces);
            },
        );
        save_spaces(&mut pieces, &self.memories, Place::Memory, save_memory);
        for id in &ids {
            save_threads(*id, &self.processes[id], &mut pieces);
        }
        let mut loose: Vec<(u64, u64, Option<Nanos>, Row)> = self
            .loose
            .iter()
            .map(|(handle, loose)| {
                let row = Row::from(&loose.entry);
                (handle.0, loose.owner.0, loose.zombie_since, row)
            })
            .collect();
        loose.sort_unstable_by_key(|row| row.0);
        in_rows(&loose, |rows| pieces.push(Piece::Loose { rows }));
        let waiting = self.exited.iter().map(|&(time, id)| (Some(time), id.0));
        let kept = self.kept.iter().map(|id| (None, id.0));
        let exited: Vec<_> = kept.chain(waiting).collect();
        in_rows(&exited, |rows| pieces.push(Piece::Exited { rows }));
        pieces
    }

    /// Takes one piece of another ledger's state. All of them, in their order, make
    /// an empty ledger equal to that one.
    pub fn restore(&mut self, piece: &Piece) {
        match piece {
            Piece::Clock(clock) => {
                self.horizon = clock.horizon;
                self.latest = clock.latest;
                self.tables.set_next(clock.next_table);
                self.memories.set_next(clock.next_memory);
                self.totals = Totals::from_row(clock.totals);
            }
            Piece::Process(saved) => self.restore_process(saved),
            Piece::Space(saved) => self.restore_space(saved),
            Piece::Changes { space, rows } => {
                for &(time, change) in rows {
                    match *space {
                        Place::Table(id) => self.tables.record(SpaceId(id), time, change.into()),
                        Place::Memory(id) => self.memories.record(SpaceId(id), time, change.into()),
                    };
                }
            }
            Piece::Slots { space, rows } => {
                for (slot, entry) in rows
                    .iter()
                    .filter_map(|(slot, row)| Some((*slot, row.entry()?)))
                {
                    let slots = match *space {
                        Place::Table(id) => self
                            .tables
                            .get_mut(SpaceId(id))
                            .map(|space| &mut space.content),
                        Place::Memory(id) => self
                            .memories
                            .get_mut(SpaceId(id))
                            .map(|space| &mut space.content.heap),
                    };
                    if let (Some(slots), Place::Table(id) | Place::Memory(id)) = (slots, *space) {
                        slots.restore(SpaceId(id), slot, entry);
                    }
                }
            }
            Piece::Regions { space, rows } => {
                let id = SpaceId(*space);
                if let Some(space) = self.memories.get_mut(id) {
                    for &(start, end, resource, row) in rows {
                        if let Some(entry) = row.entry() {
                            let regions = &mut space.content.regions;
                            regions.restore(id, &(start..end), resource, entry);
                        }
                    }
                }
            }
            Piece::Threads { process, rows } => self.restore_threads(ProcessId(*process), rows),
            Piece::Loose { rows } => {
                for &(handle, owner, zombie_since, row) in rows {
                    self.restore_loose(Handle(handle), ProcessId(owner), zombie_since, row);
                }
            }
            Piece::Site(saved) => self.restore_site(saved),
            Piece::Exited { rows } => {
                for &(time, id) in rows {
                    match time {
                        Some(time) => self.exited.push_back((time, ProcessId(id))),
                        None => self.kept.push_back(ProcessId(id)),
                    }
                }
            }
        }
    }

    fn save_sites(&self, pieces: &mut Vec<Piece>) {
        let mut sites: Vec<SavedSite> = self
            .sites
            .iter()
            .map(|(key, record)| {
                let (site, process, key_kind) = match key {
                    SiteKey::Site(site) => (site.0, record.process, record.kind),
                    SiteKey::Unknown(process, kind) => (0, process, kind),
                };
                let (counted, counted_before) = record.counts();
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
                    counted,
                    counted_before,
                    lifetimes: record.lifetimes.counts().to_vec(),
                    held: record.held.as_deref().map(save_held),
                }
            })
            .collect();
        sites.sort_unstable_by_key(|site| (site.process, site.site, site.key_kind));
        pieces.extend(sites.into_iter().map(|site| Piece::Site(Box::new(site))));
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
        process.children = saved.children.iter().copied().map(Handle).collect();
        process.needs_reconcile = saved.needs_reconcile;
        process.lossy = saved.lossy;
        process.uncertain = saved.uncertain;
        for (is, cause) in [
            (saved.compat, Uncovered::Compat),
            (saved.uring_close, Uncovered::UringClose),
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
            Place::Table(id) => {
                let content = Slots::new(Class::Descriptor);
                let (mingled, ended) = (saved.mingled, saved.ended);
                self.tables
                    .restore(SpaceId(id), owner, holders, mingled, ended, content);
            }
            Place::Memory(id) => {
                let (mingled, ended) = (saved.mingled, saved.ended);
                let content = Memory::new();
                self.memories
                    .restore(SpaceId(id), owner, holders, mingled, ended, content);
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
            record.set_counts(bounded(saved.counted), bounded(saved.counted_before));
        }
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
        needs_reconcile: process.needs_reconcile,
        lossy: process.lossy,
        uncertain: process.uncertain,
        compat: process.uncovered.contains(&Uncovered::Compat),
        uring_close: process.uncovered.contains(&Uncovered::UringClose),
    }
}

/// Every space with its log and content; those that ended in the order of their ends.
fn save_spaces<C>(
    pieces: &mut Vec<Piece>,
    spaces: &Spaces<C>,
    place: fn(u64) -> Place,
    content: impl Fn(u64, &C, &mut Vec<Piece>),
) {
    for (id, ended) in spaces.in_order() {
        let Some(space) = spaces.get(id) else {
            continue;
        };
        pieces.push(Piece::Space(SavedSpace {
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
            pieces.push(Piece::Changes {
                space: place(id.0),
                rows,
            });
        });
        content(id.0, &space.content, pieces);
    }
}

fn save_slots(space: Place, slots: &Slots, pieces: &mut Vec<Piece>) {
    let mut rows: Vec<(u64, Row)> = slots
        .iter()
        .map(|(handle, entry)| (handle.value(), Row::from(entry)))
        .collect();
    rows.sort_unstable_by_key(|row| row.0);
    in_rows(&rows, |rows| pieces.push(Piece::Slots { space, rows }));
}

fn save_memory(id: u64, memory: &Memory, pieces: &mut Vec<Piece>) {
    let mut rows: Vec<(u64, u64, u64, Row)> = memory
        .regions
        .iter()
        .map(|(range, resource, entry)| (range.start, range.end, resource, Row::from(entry)))
        .collect();
    rows.sort_unstable_by_key(|row| (row.2, row.0));
    in_rows(&rows, |rows| {
        pieces.push(Piece::Regions { space: id, rows });
    });
    save_slots(Place::Memory(id), &memory.heap, pieces);
}

fn save_threads(id: ProcessId, process: &Process, pieces: &mut Vec<Piece>) {
    let running = process.threads.iter();
    let mut rows: Vec<(u64, Option<Nanos>, Row)> = running
        .map(|(handle, entry)| (handle.0, None, Row::from(entry)))
        .collect();
    rows.sort_unstable_by_key(|row| row.0);
    let ended = process.ended_threads.iter();
    rows.extend(ended.map(|(time, handle, entry)| (handle.0, Some(*time), Row::from(entry))));
    in_rows(&rows, |rows| {
        pieces.push(Piece::Threads {
            process: id.0,
            rows,
        });
    });
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

fn restore_held(saved: &SavedHeld) -> Held {
    let samples = saved
        .samples
        .iter()
        .map(|&(acquired, handle, size)| Sample {
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
    fn as_row(self) -> [u64; 8] {
        let Totals {
            implied_releases,
            ended_before_promotion,
            reconciled,
            adopted,
            log_overflows,
            sites_refused,
            processes_refused,
            exited_forgotten,
        } = self;
        [
            implied_releases,
            ended_before_promotion,
            reconciled,
            adopted,
            log_overflows,
            sites_refused,
            processes_refused,
            exited_forgotten,
        ]
    }

    fn from_row(row: [u64; 8]) -> Totals {
        let [
            implied_releases,
            ended_before_promotion,
            reconciled,
            adopted,
            log_overflows,
            sites_refused,
            processes_refused,
            exited_forgotten,
        ] = row.map(bounded);
        Totals {
            implied_releases,
            ended_before_promotion,
            reconciled,
            adopted,
            log_overflows,
            sites_refused,
            processes_refused,
            exited_forgotten,
        }
    }
}
