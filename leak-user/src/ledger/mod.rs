//! What every process holds and has not given back, told by events.
//!
//! Acquisitions arrive about a second late (they are promoted from the kernel's
//! young table), everything else at once. So descriptor tables and memories keep
//! a short log of what happened to them, and a late acquisition is led through it
//! (`acquire`). The ledger reads no clock and no file: what `/proc` shows comes to it by
//! [`Ledger::baseline`] and [`Ledger::reconcile`]. Logs, processes and sites are bounded here, what
//! is outstanding by the kernel's own limits.

mod acquire;
mod addresses;
mod descriptors;
mod details;
mod endings;
mod entry;
mod joined;
mod lifecycle;
mod lifetimes;
mod mappings;
mod process;
mod query;
mod reconcile;
mod release;
mod releases;
mod sites;
mod spaces;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use leak_common::{Class, Handle, Kind, ProcessId};

pub use details::SiteDetail;
pub use entry::{Counts, Origin};
pub use lifetimes::Lifetimes;
pub use process::Comm;
pub use query::{HeldOn, Holding, Inherited, ProcessView, Zombie};
pub use reconcile::{BaselineProcess, Reconciled, Shown};
pub use sites::{Balance, Held, Resource, SiteCounts, SiteKey, SiteRecord};
pub use state::SavedLedger;

use crate::model::hash::Map;
use crate::{
    event::Event,
    model::{site::SiteId, time::Nanos},
};
use descriptors::Slots;
use mappings::Regions;
use process::{Loose, Memory, Process};
use releases::Change;
use sites::{Books, Outcome, Sites};
use spaces::{SpaceId, Spaces};

/// Limits and choices.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Remember what processes held when they exited.
    pub keep_exited: bool,
    /// Every acquisition of a descriptor or of memory is told when it is made. So a
    /// release that finds its resource needs no entry in a log: no acquisition comes
    /// late to ask for it.
    pub all_events: bool,
    /// Processes known at a time; the events of further ones are ignored. About
    /// 2 KiB each, without what they hold.
    pub max_processes: usize,
    /// Sites known at a time; what further ones acquire counts as of unknown
    /// site. About 250 bytes each, and 8 a frame.
    pub max_sites: usize,
    /// Exited processes remembered; the oldest is forgotten for a further one.
    pub max_exited: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            keep_exited: false,
            all_events: false,
            max_processes: 131_072,
            max_sites: 200_000,
            max_exited: 4_096,
        }
    }
}

/// What happened in the ledger as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Resources that ended because their handle was acquired anew.
    pub implied_releases: u64,
    /// Acquisitions that had ended (by a range, an exec, an exit, another process)
    /// when they arrived.
    pub ended_before_promotion: u64,
    /// Resources that `/proc` did not show any more.
    pub reconciled: u64,
    /// Resources that only `/proc` showed, less those whose acquisition came later.
    pub adopted: u64,
    /// Changes that fell out of a log before their time: their processes need to
    /// be reconciled.
    pub log_overflows: u64,
    /// Acquisitions whose site was not kept because there was no room.
    pub sites_refused: u64,
    /// Events of processes that were not kept because there was no room.
    pub processes_refused: u64,
    /// Exited processes forgotten to make room.
    pub exited_forgotten: u64,
    /// Releases of which nobody can tell whether they were the end of their process,
    /// because there was no room.
    pub endings_refused: u64,
}

/// What is outstanding, by process and by site.
#[derive(Debug)]
pub struct Ledger {
    config: Config,
    processes: Map<ProcessId, Process>,
    tables: Spaces<Slots>,
    memories: Spaces<Memory>,
    loose: Map<Handle, Loose>,
    sites: Sites,
    totals: Totals,
    /// All that was acquired until then has arrived.
    horizon: Nanos,
    /// The latest time of an event.
    latest: Nanos,
    /// Processes that exited after the horizon.
    exited: VecDeque<(Nanos, ProcessId)>,
    /// Processes that exited before it and are remembered.
    kept: VecDeque<ProcessId>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(config: Config) -> Ledger {
        Ledger {
            config,
            processes: Map::default(),
            tables: Spaces::default(),
            memories: Spaces::default(),
            loose: Map::default(),
            sites: Sites::new(config.max_sites, config.keep_exited),
            totals: Totals::default(),
            horizon: 0,
            latest: 0,
            exited: VecDeque::new(),
            kept: VecDeque::new(),
        }
    }

    /// Takes note of one event. Events come in the order of their times, but for
    /// promoted acquisitions.
    pub fn apply(&mut self, event: &Event) {
        self.latest = self.latest.max(event.time());
        match event {
            Event::Site(site) => {
                if self
                    .ensure_site(SiteKey::Site(site.id), site.process, site.kind, site.time)
                    .is_some()
                {
                    self.sites.describe(site.clone());
                }
            }
            Event::Acquired(acquired) => self.acquired(acquired),
            Event::Released(released) => self.released(released),
            Event::RangeReleased(released) => self.range_released(released),
            Event::Remapped(remapped) => self.remapped(remapped),
            Event::Forked(forked) => self.forked(forked),
            Event::Executed(executed) => self.executed(executed),
            &Event::Exited { time, process } => self.exited(process, time),
            Event::Uncovered {
                process,
                cause,
                time,
            } => {
                if let Some(process) = self.admit(*process, *time) {
                    process.uncovered.insert(*cause);
                }
            }
        }
    }

    /// Takes the kernel's counts at a site. A number of acquisitions that is lower than the last one
    /// started again from 0, with the other counts.
    pub fn site_counted(&mut self, site: SiteId, counts: SiteCounts) {
        self.sites.counted(site, counts);
    }

    /// Learns that everything acquired at or before `time` has been promoted:
    /// what was kept for late acquisitions goes.
    pub fn horizon(&mut self, time: Nanos) {
        if time <= self.horizon {
            return;
        }
        self.horizon = time;
        self.tables.prune(time);
        self.memories.prune(time);
        for process in self.processes.values_mut() {
            process.prune(time);
        }
        self.sites.prune_endings(time);
        self.forget_exited();
    }

    /// Marks a process, or all, as having had events lost: nothing is certain of
    /// it until it is reconciled.
    pub fn lost(&mut self, process: Option<ProcessId>) {
        let latest = self.latest;
        let mark = |process: &mut Process| {
            process.doubt(latest);
            process.lossy = true;
            process.lost_any = true;
        };
        match process {
            Some(id) => self.processes.get_mut(&id).into_iter().for_each(mark),
            None => self.processes.values_mut().for_each(mark),
        }
    }

    /// The process, made known if it was not. `None` where there is no room.
    fn admit(&mut self, id: ProcessId, time: Nanos) -> Option<&mut Process> {
        if !self.processes.contains_key(&id) {
            if id == ProcessId::NONE || !self.has_room() {
                return None;
            }
            let table = self.tables.create(id, 0, Slots::new(Class::Descriptor));
            let memory = self.memories.create(id, 0, Memory::new());
            let mut process = Process::new(time, table, memory);
            process.doubt(time);
            self.processes.insert(id, process);
        }
        self.processes.get_mut(&id)
    }

    fn has_room(&mut self) -> bool {
        let room = self.processes.len() < self.config.max_processes;
        if !room {
            self.totals.processes_refused += 1;
        }
        room
    }

    /// Makes sure that a site has a record, and its process knows of it.
    fn ensure_site(
        &mut self,
        key: SiteKey,
        process: ProcessId,
        kind: Kind,
        time: Nanos,
    ) -> Option<()> {
        self.admit(process, time)?;
        self.record_site(key, process, kind, time)
    }

    /// The same for a process that is known.
    fn record_site(
        &mut self,
        key: SiteKey,
        process: ProcessId,
        kind: Kind,
        time: Nanos,
    ) -> Option<()> {
        let Some(new) = self.sites.ensure(key, process, kind, time) else {
            self.totals.sites_refused += 1;
            return None;
        };
        if new && let Some(process) = self.processes.get_mut(&process) {
            process.sites.push(key);
        }
        Some(())
    }

    /// The content of a space with the books that count it.
    fn table_books(&mut self, id: SpaceId) -> Option<(&mut Slots, Books<'_>)> {
        let space = self.tables.get_mut(id)?;
        let books = Books {
            sites: &mut self.sites,
            totals: &mut self.totals,
            time: self.latest,
            space: id,
            owner: space.owner,
        };
        Some((&mut space.content, books))
    }

    fn memory_books(&mut self, id: SpaceId) -> Option<(&mut Memory, Books<'_>)> {
        let space = self.memories.get_mut(id)?;
        let books = Books {
            sites: &mut self.sites,
            totals: &mut self.totals,
            time: self.latest,
            space: id,
            owner: space.owner,
        };
        Some((&mut space.content, books))
    }

    /// The tally of what a process does not share, with the books that count it.
    fn own_books(&mut self, id: ProcessId) -> Option<(&mut Process, Books<'_>)> {
        let process = self.processes.get_mut(&id)?;
        let books = Books {
            sites: &mut self.sites,
            totals: &mut self.totals,
            time: self.latest,
            space: SpaceId::NONE,
            owner: id,
        };
        Some((process, books))
    }

    /// Adds to a descriptor table's log.
    fn log_table(&mut self, id: SpaceId, time: Nanos, change: Change) {
        if self.tables.record(id, time, change)
            && let Some(space) = self.tables.get(id)
        {
            let holders = space.holders.clone();
            self.overflowed(&holders, time);
        }
    }

    /// Adds to a memory's log.
    fn log_memory(&mut self, id: SpaceId, time: Nanos, change: Change) {
        if self.memories.record(id, time, change)
            && let Some(space) = self.memories.get(id)
        {
            let holders = space.holders.clone();
            self.overflowed(&holders, time);
        }
    }

    fn overflowed(&mut self, holders: &[ProcessId], time: Nanos) {
        self.totals.log_overflows += 1;
        for holder in holders {
            if let Some(process) = self.processes.get_mut(holder) {
                process.doubt(time);
            }
        }
    }

    /// How what a process leaves behind at its exit is to be counted.
    fn outcome_of_exit(&self, time: Nanos) -> Outcome {
        if self.config.keep_exited {
            Outcome::Held(time)
        } else {
            Outcome::Released
        }
    }
}

impl Memory {
    fn new() -> Memory {
        Memory {
            regions: Regions::default(),
            heap: Slots::new(Class::Heap),
        }
    }

    fn copy(&self, time: Nanos) -> Memory {
        Memory {
            regions: self.regions.copy(time),
            heap: self.heap.copy(time, false),
        }
    }
}
