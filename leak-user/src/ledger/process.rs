//! A process, and what of it is not shared: threads, children, segments.

use std::collections::BTreeSet;

use leak_common::{Handle, ProcessId};

use super::entry::{Entry, Origin, Tally};
use super::spaces::SpaceId;
use super::{SiteKey, descriptors::Slots, mappings::Regions};
use crate::model::hash::{Map, Set};
use crate::{
    event::Uncovered,
    model::time::{Nanos, born},
};

/// A name as the kernel keeps it, zero-padded.
pub type Comm = [u8; 16];

/// Tables or memories remembered that a process used before.
const MAX_FORMER: usize = 64;

/// The resources that live in a memory.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) regions: Regions,
    pub(super) heap: Slots,
}

/// A parent that reaps within this time does not wait with it.
const AT_ONCE: Nanos = 1_000_000_000;

/// No child that had died before the trace is taken to have been dead for longer when it was
/// reaped: most of the time since its start it may have lived.
const LATE: Nanos = 600_000_000_000;

/// A descriptor that should have gone when its process executed another program.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtExec {
    pub(super) entry: Entry,
    /// When its release was counted.
    pub(super) counted: Nanos,
    /// It arrived after the exec, and counts as one that had ended by then.
    pub(super) late: bool,
}

/// A child process or a segment: known by its handle alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loose {
    pub(super) owner: ProcessId,
    pub(super) entry: Entry,
    /// Since when a child is dead, as far as that is known.
    pub(super) zombie_since: Option<Nanos>,
}

impl Loose {
    /// Whether it is a child that had ended when it was found.
    pub(super) fn was_found_dead(&self) -> bool {
        let found = self.entry.acquired;
        self.entry.origin == Origin::Preexisting
            && self.zombie_since.is_some_and(|since| since <= found)
    }

    /// For how long it has been dead at a time, if it is: see [`Ledger::reaped_after`].
    ///
    /// [`Ledger::reaped_after`]: super::Ledger::reaped_after
    pub(super) fn dead_for(&self, handle: Handle, now: Nanos) -> Option<Nanos> {
        let seen = now.saturating_sub(self.zombie_since?);
        match handle.as_task() {
            Some(child) if self.was_found_dead() => {
                let can_be = now.saturating_sub(born(child)).min(LATE);
                Some(match seen < AT_ONCE {
                    true => can_be.min(seen.saturating_mul(10)),
                    false => can_be.max(seen),
                })
            }
            _ => Some(seen),
        }
    }
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) comm: Comm,
    pub(super) parent: Option<ProcessId>,
    pub(super) first_seen: Nanos,
    /// How many programs it has run since, and the last exec.
    pub(super) generation: u32,
    pub(super) executed: Option<Nanos>,
    pub(super) exited: Option<Nanos>,
    pub(super) table: SpaceId,
    pub(super) memory: SpaceId,
    /// The spaces it used before, and until when.
    pub(super) former_tables: Vec<(Nanos, SpaceId)>,
    pub(super) former_memories: Vec<(Nanos, SpaceId)>,
    pub(super) threads: Map<Handle, Entry>,
    /// Its fork was told.
    pub(super) fork_told: bool,
    /// Threads that ended lately. If the process exits now, they ended with it: then
    /// they were held at its exit.
    pub(super) ended_threads: Vec<(Nanos, Handle, Entry)>,
    pub(super) children: Set<Handle>,
    /// Descriptors that should have gone at its last exec: until `/proc` shows whether they did.
    /// Close-on-exec can be taken away again, which is not traced.
    pub(super) at_exec: Map<u64, AtExec>,
    /// The longest that a child had been dead when it was reaped.
    pub(super) reaped_after: Nanos,
    /// Counts threads, children and segments.
    pub(super) tally: Tally,
    pub(super) sites: Vec<SiteKey>,
    pub(super) needs_reconcile: bool,
    pub(super) lossy: bool,
    /// Events of it were lost at some time, whatever came after.
    pub(super) lost_any: bool,
    /// Acquisitions up to this time are not certain until reconciled after it.
    pub(super) uncertain: Nanos,
    pub(super) uncovered: BTreeSet<Uncovered>,
}

impl Process {
    pub(super) fn new(first_seen: Nanos, table: SpaceId, memory: SpaceId) -> Process {
        Process {
            comm: Comm::default(),
            parent: None,
            first_seen,
            generation: 0,
            executed: None,
            exited: None,
            table,
            memory,
            former_tables: Vec::new(),
            former_memories: Vec::new(),
            threads: Map::default(),
            fork_told: false,
            ended_threads: Vec::new(),
            children: Set::default(),
            at_exec: Map::default(),
            reaped_after: 0,
            tally: Tally::default(),
            sites: Vec::new(),
            needs_reconcile: false,
            lossy: false,
            lost_any: false,
            uncertain: 0,
            uncovered: BTreeSet::new(),
        }
    }

    /// The descriptor table it had at `time`.
    pub(super) fn table_at(&self, time: Nanos) -> SpaceId {
        at(&self.former_tables, time).unwrap_or(self.table)
    }

    /// The memory it had at `time`.
    pub(super) fn memory_at(&self, time: Nanos) -> SpaceId {
        at(&self.former_memories, time).unwrap_or(self.memory)
    }

    /// What happened before `time` has to be compared with `/proc`.
    pub(super) fn doubt(&mut self, time: Nanos) {
        self.needs_reconcile = true;
        self.uncertain = self.uncertain.max(time);
    }

    /// Uses another descriptor table from `time` on.
    pub(super) fn change_table(&mut self, time: Nanos, table: SpaceId) {
        remember(&mut self.former_tables, time, self.table);
        self.table = table;
    }

    /// Uses another memory from `time` on.
    pub(super) fn change_memory(&mut self, time: Nanos, memory: SpaceId) {
        remember(&mut self.former_memories, time, self.memory);
        self.memory = memory;
    }

    pub(super) fn prune(&mut self, horizon: Nanos) {
        self.former_tables.retain(|&(until, _)| until > horizon);
        self.former_memories.retain(|&(until, _)| until > horizon);
    }
}

fn remember(former: &mut Vec<(Nanos, SpaceId)>, until: Nanos, space: SpaceId) {
    if former.len() >= MAX_FORMER {
        former.remove(0);
    }
    former.push((until, space));
}

fn at(former: &[(Nanos, SpaceId)], time: Nanos) -> Option<SpaceId> {
    former
        .iter()
        .find(|&&(until, _)| time < until)
        .map(|&(_, space)| space)
}
