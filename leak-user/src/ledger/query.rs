//! Looking into the ledger: processes, what each holds, and sites. What is outstanding of
//! sites one by one is in `details`.

use std::collections::BTreeSet;

use leak_common::{Class, Handle, Kind, ProcessId};

use super::entry::{Counts, Entry, Origin};
use super::process::{Comm, Process};
use super::sites::{SiteKey, SiteRecord};
use super::spaces::SpaceId;
use super::{Ledger, Totals};
use crate::{
    event::Uncovered,
    model::{site::SiteId, time::Nanos},
};

/// A process as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessView {
    pub id: ProcessId,
    pub parent: Option<ProcessId>,
    /// Untrusted.
    pub comm: Comm,
    pub first_seen: Nanos,
    /// How many programs it has executed during the trace.
    pub generation: u32,
    /// Its last exec.
    pub executed: Option<Nanos>,
    pub exited: Option<Nanos>,
    /// It is to be compared with `/proc`.
    pub needs_reconcile: bool,
    /// What is in doubt was acquired until then: a comparison is final once the
    /// horizon has passed this.
    pub uncertain: Nanos,
    /// Events of it were lost, and it was not reconciled since.
    pub lossy: bool,
    /// Events of it were lost at some time.
    pub lost_any: bool,
    pub uncovered: BTreeSet<Uncovered>,
    /// Outstanding and not from before the trace. For an exited process: what it
    /// held at its exit, if that is kept, and segments it left.
    pub outstanding: Counts,
    /// Of those, copies from a parent.
    pub inherited: Counts,
    /// Of those, what only `/proc` showed.
    pub adopted: Counts,
    pub preexisting: Counts,
    /// Children that exited and were not reaped.
    pub zombies: usize,
}

/// A child that exited and was not reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zombie {
    pub parent: ProcessId,
    pub handle: Handle,
    pub key: SiteKey,
    /// When it was forked, or found.
    pub acquired: Nanos,
    /// When it exited; of one that was found dead, when that was.
    pub since: Nanos,
    /// It is from before the trace.
    pub preexisting: bool,
    /// It had ended before the trace began: when is not known.
    pub found_dead: bool,
}

/// A descriptor that a program inherited when it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    pub holder: ProcessId,
    /// When the holder became the program it is.
    pub since: Nanos,
    pub handle: Handle,
    pub kind: Kind,
    /// Where its ancestor acquired it.
    pub site: SiteKey,
    pub acquired: Nanos,
}

/// What a descriptor of a process is, as far as it matters to rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldOn {
    pub site: SiteKey,
    /// When it was acquired, or found.
    pub acquired: Nanos,
    /// It is from before the trace.
    pub preexisting: bool,
}

/// One outstanding resource of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub handle: Handle,
    pub kind: Kind,
    pub origin: Origin,
    pub acquired: Nanos,
    pub site: SiteId,
    /// Bytes; of a split mapping, those of one piece.
    pub size: u64,
    /// `/proc` should say the kind.
    pub kind_guessed: bool,
    pub close_on_exec: bool,
}

impl Ledger {
    /// Every process known, those that are remembered after their exit included.
    pub fn processes(&self) -> impl Iterator<Item = ProcessView> + '_ {
        self.processes
            .iter()
            .map(|(&id, process)| self.view(id, process))
    }

    /// The processes that have not exited, in the order of their identities.
    #[must_use]
    pub fn running(&self) -> Vec<ProcessView> {
        let mut running: Vec<ProcessView> = self
            .processes()
            .filter(|view| view.exited.is_none())
            .collect();
        running.sort_unstable_by_key(|view| view.id);
        running
    }

    /// One process.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<ProcessView> {
        self.processes
            .get(&id)
            .map(|process| self.view(id, process))
    }

    /// Whether anything is known of a process.
    #[must_use]
    pub fn knows(&self, id: ProcessId) -> bool {
        self.processes.contains_key(&id)
    }

    /// How many programs a process has executed; 0 where it is not known.
    #[must_use]
    pub fn generation(&self, id: ProcessId) -> u32 {
        self.processes
            .get(&id)
            .map_or(0, |process| process.generation)
    }

    /// Until when all acquisitions are known; `None` before the first promotion.
    #[must_use]
    pub fn known_until(&self) -> Option<Nanos> {
        (self.horizon > 0).then_some(self.horizon)
    }

    /// The processes to compare with `/proc`.
    pub fn in_doubt(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.processes
            .iter()
            .filter(|(_, process)| process.needs_reconcile && process.exited.is_none())
            .map(|(&id, _)| id)
    }

    fn view(&self, id: ProcessId, process: &Process) -> ProcessView {
        let mut outstanding = Counts::default();
        let mut inherited = Counts::default();
        let mut adopted = Counts::default();
        let mut preexisting = Counts::default();
        let table = self.tables.get(process.table);
        let memory = self.memories.get(process.memory);
        let tallies = [
            Some(&process.tally),
            table.map(|space| space.content.tally()),
            memory.map(|space| space.content.regions.tally()),
            memory.map(|space| space.content.heap.tally()),
        ];
        let shared = if process.exited.is_some() { 1 } else { 4 };
        for tally in tallies.into_iter().take(shared).flatten() {
            outstanding.add(&tally.outstanding());
            inherited.add(tally.of(Origin::Inherited));
            adopted.add(tally.of(Origin::Adopted));
            preexisting.add(tally.of(Origin::Preexisting));
        }
        for key in &process.sites {
            if let Some(record) = self.sites.get(*key)
                && let Some(held) = &record.held
            {
                outstanding.increase(record.kind, held.count);
            }
        }
        ProcessView {
            id,
            parent: process.parent,
            comm: process.comm,
            first_seen: process.first_seen,
            generation: process.generation,
            executed: process.executed,
            exited: process.exited,
            needs_reconcile: process.needs_reconcile,
            uncertain: process.uncertain,
            lossy: process.lossy,
            lost_any: process.lost_any,
            uncovered: process.uncovered.clone(),
            outstanding,
            inherited,
            adopted,
            preexisting,
            zombies: self.zombies_of(process).count(),
        }
    }

    /// Children that exited and were not reaped, of all processes.
    pub fn zombies(&self) -> impl Iterator<Item = Zombie> + '_ {
        self.processes
            .values()
            .flat_map(|process| self.zombies_of(process))
    }

    fn zombies_of<'a>(&'a self, process: &'a Process) -> impl Iterator<Item = Zombie> + 'a {
        process.children.iter().filter_map(|&handle| {
            let loose = self.loose.get(&handle)?;
            Some(Zombie {
                parent: loose.owner,
                handle,
                key: loose.entry.key(loose.owner),
                acquired: loose.entry.acquired,
                since: loose.zombie_since?,
                preexisting: loose.entry.origin == Origin::Preexisting,
                found_dead: loose.was_found_dead(),
            })
        })
    }

    /// The longest that a child of a process had been dead when it was reaped; 0 where none
    /// was seen to be. Of one that had died before the trace it is as long as it can have been
    /// dead, up to ten minutes, unless it was reaped at once when the trace began.
    #[must_use]
    pub fn reaped_after(&self, id: ProcessId) -> Nanos {
        self.processes
            .get(&id)
            .map_or(0, |process| process.reaped_after)
    }

    /// The parent that a child process is outstanding of.
    #[must_use]
    pub fn parent_of(&self, child: Handle) -> Option<ProcessId> {
        self.loose.get(&child).map(|loose| loose.owner)
    }

    /// Every site known.
    pub fn sites(&self) -> impl Iterator<Item = (SiteKey, &SiteRecord)> {
        self.sites.iter()
    }

    /// One site.
    #[must_use]
    pub fn site(&self, key: SiteKey) -> Option<&SiteRecord> {
        self.sites.get(key)
    }

    /// What happened in the ledger as a whole.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            endings_refused: self.totals.endings_refused + self.sites.endings.refused,
            ..self.totals
        }
    }

    /// Everything a process holds, in no order. A mapping in pieces appears once
    /// for each.
    #[must_use]
    pub fn holdings(&self, id: ProcessId) -> Vec<Holding> {
        let Some(process) = self.processes.get(&id) else {
            return Vec::new();
        };
        let mut holdings = Vec::new();
        let mut add = |space: SpaceId, handle: Handle, entry: &Entry| {
            holdings.push(Holding {
                handle,
                kind: entry.kind,
                origin: entry.origin_in(space),
                acquired: entry.acquired,
                site: entry.site,
                size: entry.size,
                kind_guessed: entry.kind_guessed,
                close_on_exec: entry.close_on_exec,
            });
        };
        for (handle, entry) in &process.threads {
            add(SpaceId::NONE, *handle, entry);
        }
        for child in &process.children {
            if let Some(loose) = self.loose.get(child) {
                add(SpaceId::NONE, *child, &loose.entry);
            }
        }
        if process.exited.is_some() {
            return holdings;
        }
        if let Some(space) = self.tables.get(process.table) {
            for (handle, entry) in space.content.iter() {
                add(process.table, handle, entry);
            }
        }
        if let Some(space) = self.memories.get(process.memory) {
            for (range, _, entry) in space.content.regions.iter() {
                add(
                    process.memory,
                    Handle::new(Class::Mapping, range.start),
                    entry,
                );
            }
            for (handle, entry) in space.content.heap.iter() {
                add(process.memory, handle, entry);
            }
        }
        holdings
    }

    /// What a process holds on `handle`; what was found counts for the unknown site.
    #[must_use]
    pub fn held_on(&self, id: ProcessId, handle: Handle) -> Option<HeldOn> {
        let process = self.processes.get(&id)?;
        let table = self.tables.get(process.table)?;
        let entry = table.content.get(handle.value())?;
        Some(HeldOn {
            site: entry.key(table.owner),
            acquired: entry.acquired,
            preexisting: entry.origin == Origin::Preexisting,
        })
    }

    /// The threads of a process, with their sites; those from before the trace count for the
    /// unknown site.
    pub fn threads(&self, id: ProcessId) -> impl Iterator<Item = (Handle, SiteKey)> + '_ {
        let threads = self.processes.get(&id).map(|process| &process.threads);
        threads
            .into_iter()
            .flatten()
            .map(move |(&handle, entry)| (handle, entry.key(id)))
    }

    /// When what a process holds of a site was acquired, ascending.
    #[must_use]
    pub fn times_at(&self, id: ProcessId, site: SiteKey) -> Vec<Nanos> {
        let of_site = |holding: &Holding| SiteKey::Site(holding.site) == site;
        let holdings = self.holdings(id).into_iter().filter(of_site);
        let mut times: Vec<Nanos> = holdings.map(|holding| holding.acquired).collect();
        times.sort_unstable();
        times
    }

    /// The site of the mapping that an address is in.
    #[must_use]
    pub fn mapped_at(&self, id: ProcessId, address: u64) -> Option<SiteKey> {
        let memory = self.memories.get(self.processes.get(&id)?.memory)?;
        let entry = memory.content.regions.at(address)?;
        Some(entry.key(memory.owner))
    }

    /// Descriptors that programs hold because the process that started them had them open,
    /// and has closed its own since. Those of the three standard descriptors, which
    /// are meant to be handed on, are left out.
    #[must_use]
    pub fn inherited(&self) -> Vec<Inherited> {
        const STANDARD: u64 = 3;
        let mut found = Vec::new();
        for (&id, process) in &self.processes {
            let (Some(since), None) = (process.executed, process.exited) else {
                continue;
            };
            let Some(table) = self.tables.get(process.table) else {
                continue;
            };
            if table.content.tally().of(Origin::Inherited).total() == 0 {
                continue;
            }
            for (handle, entry) in table.content.iter() {
                let copy = entry.origin_in(process.table) == Origin::Inherited;
                let known = entry.site != SiteId::UNKNOWN && handle.value() >= STANDARD;
                if copy && known && !self.is_at(entry.space, handle, entry.acquired) {
                    found.push(Inherited {
                        holder: id,
                        since,
                        handle,
                        kind: entry.kind,
                        site: SiteKey::Site(entry.site),
                        acquired: entry.acquired,
                    });
                }
            }
        }
        found.sort_unstable_by_key(|copy| (copy.acquired, copy.holder, copy.handle));
        found
    }

    /// Whether what was acquired at a time is still on its handle in a table.
    fn is_at(&self, table: SpaceId, handle: Handle, acquired: Nanos) -> bool {
        let entry = self
            .tables
            .get(table)
            .and_then(|table| table.content.get(handle.value()));
        entry.is_some_and(|entry| entry.acquired == acquired)
    }
}
