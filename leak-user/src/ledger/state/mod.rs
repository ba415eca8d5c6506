//! A ledger's state in parts, and a ledger from such parts: so that a recording can begin in
//! the middle of a trace. Parts are plain numbers, with a form in JSON that new fields may be
//! added to. What can be counted from entries is counted anew; parts that make no
//! sense (they come from a file) are left out.

mod restore;
mod save;

use serde::{Deserialize, Serialize};

use super::{Totals, process::Comm};
use crate::model::time::Nanos;

/// A part of a ledger's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedLedger {
    Clock(Box<Clock>),
    Process(Box<SavedProcess>),
    Space(SavedSpace),
    /// What happened to a space lately.
    Changes {
        space: SpaceRef,
        rows: Vec<(Nanos, SavedChange)>,
    },
    /// Descriptors or heap blocks, with their numbers or addresses.
    Slots {
        space: SpaceRef,
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
    #[serde(default, skip_serializing_if = "is_zero")]
    pub endings_refused: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Which space is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpaceRef {
    Table(u64),
    Memory(u64),
}

/// A descriptor table or a memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSpace {
    pub space: SpaceRef,
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
    pub reaped_after: Nanos,
    pub needs_reconcile: bool,
    pub lossy: bool,
    pub lost_any: bool,
    pub uncertain: Nanos,
    pub compat: bool,
    pub uring_close: bool,
    pub uring_unseen: bool,
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
    pub promoted_late: u64,
    pub counted_twice: u64,
    pub counted: u64,
    pub counted_before: u64,
    pub counted_released: Option<u64>,
    pub counted_released_before: Option<u64>,
    pub counted_young: u64,
    pub counted_elsewhere: u64,
    /// Numbers of releases by lifetime, the shortest first.
    pub lifetimes: Vec<u32>,
    pub held: Option<SavedHeld>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<SavedEnding>,
}

/// What was given back since the last acquisition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedEnding {
    pub exit: Option<Nanos>,
    pub count: u64,
    pub skipped: u64,
    /// Time of the release, of the acquisition, handle, size, whether the site counts it.
    pub rows: Vec<(Nanos, Nanos, u64, u64, bool)>,
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

impl Totals {
    /// In the order of a saved row.
    fn fields(&mut self) -> [&mut u64; 8] {
        let Totals {
            implied_releases,
            ended_before_promotion,
            reconciled,
            adopted,
            log_overflows,
            sites_refused,
            processes_refused,
            exited_forgotten,
            endings_refused: _,
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
}
