//! What `/proc` shows, against what events told: at the start, after a loss, and
//! before a finding is shown.

use std::collections::{HashMap, HashSet};

use leak_common::{Class, Handle, Kind, ProcessId};

use super::entry::{Entry, Origin};
use super::process::{Comm, Loose};
use super::sites::Outcome;
use super::spaces::SpaceId;
use super::{Ledger, SiteKey};
use crate::model::{address::AddressRange, site::SiteId, time::Nanos};

/// A process as the trace finds it at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineProcess {
    pub id: ProcessId,
    pub parent: Option<ProcessId>,
    pub comm: Comm,
    /// When reading it began.
    pub time: Nanos,
    pub descriptors: Vec<(u32, Kind)>,
    pub mappings: Vec<AddressRange>,
    pub threads: Vec<Handle>,
    pub children: Vec<Handle>,
    /// Of those, the ones that had ended and were not reaped.
    pub zombies: Vec<Handle>,
}

/// What `/proc` shows of a process. What was not read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// When reading it began.
    pub time: Nanos,
    /// Of all tables: a number stands there more than once where threads have their own.
    pub descriptors: Option<Vec<(u32, Kind)>>,
    pub mappings: Option<Vec<AddressRange>>,
    pub threads: Option<Vec<Handle>>,
    /// Handles that the kernel's young table has of the process, read after the rest.
    /// They are not adopted: they will be promoted, or are released young. Where this
    /// list is empty, something young may be adopted; the next comparison drops it.
    pub young: Vec<Handle>,
    /// What is shown and not known was there before the trace.
    pub adopt_as_preexisting: bool,
}

/// What a reconciliation changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Resources that were not shown any more.
    pub released: u64,
    /// Descriptors that were not known.
    pub adopted: u64,
}

impl Ledger {
    /// Adds what a process held when the trace began, as far as it is not known.
    pub fn baseline(&mut self, baseline: &BaselineProcess) {
        let BaselineProcess { id, time, .. } = *baseline;
        let known = self.processes.contains_key(&id);
        let Some(process) = self.admit(id, time) else {
            return;
        };
        if process.exited.is_some() {
            return;
        }
        process.parent = process.parent.or(baseline.parent);
        if process.comm == Comm::default() {
            process.comm = baseline.comm;
        }
        if !known {
            process.needs_reconcile = false;
        }
        let (table, memory) = (process.table, process.memory);
        self.latest = self.latest.max(time);
        for &(descriptor, kind) in &baseline.descriptors {
            let slot = u64::from(descriptor);
            self.found_descriptor(table, slot, kind, time, Origin::Preexisting);
        }
        if let Some((content, mut books)) = self.memory_books(memory) {
            for &range in &baseline.mappings {
                let entry = preexisting(Kind::Mapping, memory, time);
                content.regions.add_to_gaps(&mut books, range, entry);
            }
        }
        for &handle in &baseline.threads {
            self.found_thread(id, handle, time);
        }
        for &handle in &baseline.children {
            self.found_child(id, handle, time);
        }
        for &handle in &baseline.zombies {
            if let Some(child) = self.loose.get_mut(&handle) {
                child.zombie_since.get_or_insert(time);
            }
        }
    }

    /// Compares what is known of a process with what `/proc` shows. What was
    /// acquired before that was read and is not shown is released; descriptors that
    /// are not known are adopted.
    ///
    /// The process is certain again if everything that had been in doubt has
    /// arrived, that is if the horizon had passed it.
    pub fn reconcile(&mut self, id: ProcessId, shown: &Shown) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let Some(process) = self.processes.get(&id) else {
            return reconciled;
        };
        if process.exited.is_some() {
            return reconciled;
        }
        if process.lossy {
            // The event that was lost may have ended the sharing of this space. What
            // `/proc` shows of one process must not drop what the other holds.
            self.own_table(id, shown.time, false);
            self.own_memory(id, shown.time);
        }
        let Some(process) = self.processes.get(&id) else {
            return reconciled;
        };
        let (table, memory) = (process.table, process.memory);
        self.latest = self.latest.max(shown.time);
        if let Some(descriptors) = &shown.descriptors {
            self.reconcile_descriptors(id, table, descriptors, shown, &mut reconciled);
        }
        if let Some(mappings) = &shown.mappings
            && let Some((content, mut books)) = self.memory_books(memory)
        {
            let mappings = sorted(mappings);
            let regions = &mut content.regions;
            reconciled.released += regions.keep_only(&mut books, &mappings, shown.time);
        }
        if let Some(threads) = &shown.threads {
            reconciled.released += self.reconcile_threads(id, threads, shown.time);
        }
        self.totals.reconciled += reconciled.released;
        if !shown.adopt_as_preexisting {
            self.totals.adopted += reconciled.adopted;
        }
        let horizon = self.horizon;
        if let Some(process) = self.processes.get_mut(&id)
            && shown.descriptors.is_some()
            && shown.time >= process.uncertain
            && horizon >= process.uncertain
        {
            process.needs_reconcile = false;
            process.lossy = false;
        }
        reconciled
    }

    /// Takes note that `/proc` does not show a process any more: its exit was missed.
    pub fn forget(&mut self, id: ProcessId) {
        self.exited(id, self.latest);
    }

    fn reconcile_descriptors(
        &mut self,
        id: ProcessId,
        table: SpaceId,
        descriptors: &[(u32, Kind)],
        shown: &Shown,
        reconciled: &mut Reconciled,
    ) {
        let time = shown.time;
        let shown_as = ShownKinds::of(descriptors);
        if let Some((slots, mut books)) = self.table_books(table) {
            reconciled.released += slots.end(&mut books, Outcome::Released, |slot, entry| {
                entry.acquired < time && !shown_as.may_be(slot, entry)
            });
        }
        if self.processes.get(&id).is_some_and(|process| {
            process.executed.is_some_and(|executed| executed < time) && !process.at_exec.is_empty()
        }) {
            // What is young was acquired since, on a number that had become free.
            let young: HashSet<Handle> = shown.young.iter().copied().collect();
            self.keep_across_exec(id, |slot, entry| {
                shown_as.may_be(slot, entry)
                    && !young.contains(&Handle::new(Class::Descriptor, slot))
            });
        }
        let origin = if shown.adopt_as_preexisting {
            Origin::Preexisting
        } else {
            Origin::Adopted
        };
        for (&slot, &(kind, other)) in &shown_as.0 {
            let handle = Handle::new(Class::Descriptor, slot);
            if shown.young.contains(&handle) {
                continue;
            }
            if self.found_descriptor(table, slot, kind, time, origin) {
                reconciled.adopted += 1;
            } else if kind == other {
                self.correct_kind(table, slot, kind, time);
            }
        }
    }

    fn correct_kind(&mut self, table: SpaceId, slot: u64, kind: Kind, time: Nanos) {
        let Some(space) = self.tables.get(table) else {
            return;
        };
        let owner = space.owner;
        let Some(entry) = space.content.get(slot).copied() else {
            return;
        };
        let settled = entry.kind == kind && !entry.kind_guessed;
        if settled || entry.acquired >= time {
            return;
        }
        let corrected = Entry {
            kind,
            kind_guessed: false,
            ..entry
        };
        if entry.site == SiteId::UNKNOWN && self.processes.contains_key(&owner) {
            let key = SiteKey::Unknown(owner, kind);
            let _ = self.ensure_site(key, owner, kind, entry.acquired);
        }
        if let Some((slots, mut books)) = self.table_books(table) {
            slots.replace(&mut books, slot, corrected);
        }
    }

    /// Adds what was found, not acquired, to a table. Says whether it was new: the
    /// handle was free.
    fn found_descriptor(
        &mut self,
        id: SpaceId,
        slot: u64,
        kind: Kind,
        time: Nanos,
        origin: Origin,
    ) -> bool {
        let Some(space) = self.tables.get(id) else {
            return false;
        };
        if space.content.get(slot).is_some() || kind.class() != Class::Descriptor {
            return false;
        }
        let owner = space.owner;
        let entry = Entry {
            origin,
            ..preexisting(kind, id, time)
        };
        if origin == Origin::Adopted && self.processes.contains_key(&owner) {
            let _ = self.ensure_site(SiteKey::Unknown(owner, kind), owner, kind, time);
        }
        if let Some((slots, mut books)) = self.table_books(id) {
            slots.insert(&mut books, slot, entry);
        }
        true
    }

    fn reconcile_threads(&mut self, id: ProcessId, threads: &[Handle], time: Nanos) -> u64 {
        let shown: HashSet<Handle> = threads.iter().copied().collect();
        let Some((process, mut books)) = self.own_books(id) else {
            return 0;
        };
        let mut released = 0;
        let tally = &mut process.tally;
        process.threads.retain(|handle, entry| {
            let stays = shown.contains(handle) || entry.acquired >= time;
            if !stays {
                released += 1;
                books.leave(tally, *handle, entry, Outcome::Released);
            }
            stays
        });
        released
    }

    fn found_thread(&mut self, id: ProcessId, handle: Handle, time: Nanos) {
        let Some((process, mut books)) = self.own_books(id) else {
            return;
        };
        if handle.class() == Some(Class::Thread) && !process.threads.contains_key(&handle) {
            let entry = preexisting(Kind::Thread, SpaceId::NONE, time);
            books.enter(&mut process.tally, &entry);
            process.threads.insert(handle, entry);
        }
    }

    fn found_child(&mut self, id: ProcessId, handle: Handle, time: Nanos) {
        if handle.class() != Some(Class::Process) || self.loose.contains_key(&handle) {
            return;
        }
        let entry = preexisting(Kind::Process, SpaceId::NONE, time);
        let Some((process, mut books)) = self.own_books(id) else {
            return;
        };
        books.enter(&mut process.tally, &entry);
        process.children.insert(handle);
        let loose = Loose {
            owner: id,
            entry,
            zombie_since: None,
        };
        self.loose.insert(handle, loose);
    }
}

fn preexisting(kind: Kind, space: SpaceId, time: Nanos) -> Entry {
    Entry {
        acquired: time,
        site: SiteId::UNKNOWN,
        size: 0,
        space,
        kind,
        origin: Origin::Preexisting,
        close_on_exec: false,
        kind_guessed: false,
    }
}

/// Sorted by their first address, without those that are empty.
fn sorted(mappings: &[AddressRange]) -> Vec<AddressRange> {
    let ranges = mappings.iter().copied().filter(|range| !range.is_empty());
    let mut sorted: Vec<AddressRange> = ranges.collect();
    sorted.sort_by_key(|range| range.start);
    sorted
}

/// What `/proc` shows at each number: the kind in the first table that has it, and in the last. They
/// differ only where a thread of the process has a table of its own.
struct ShownKinds(HashMap<u64, (Kind, Kind)>);

impl ShownKinds {
    fn of(descriptors: &[(u32, Kind)]) -> ShownKinds {
        let mut kinds: HashMap<u64, (Kind, Kind)> = HashMap::with_capacity(descriptors.len());
        for &(descriptor, kind) in descriptors {
            kinds.entry(u64::from(descriptor)).or_insert((kind, kind)).1 = kind;
        }
        ShownKinds(kinds)
    }

    /// Whether what is known of a number may be what is shown.
    fn may_be(&self, slot: u64, entry: &Entry) -> bool {
        self.0.get(&slot).is_some_and(|&(first, last)| {
            entry.kind_guessed || may_be(entry.kind, first) || may_be(entry.kind, last)
        })
    }
}

/// Whether what was acquired as `known` may be what `/proc` shows as `shown`: an
/// open by path yields a directory, FIFO or device too.
fn may_be(known: Kind, shown: Kind) -> bool {
    use Kind::{Anon, Directory, File, Memfd, Pipe};
    let by_path = |kind| matches!(kind, File | Directory | Memfd);
    known == shown
        || known == Anon
        || shown == Anon
        || (by_path(known) && by_path(shown))
        || matches!((known, shown), (File | Directory, Pipe) | (Pipe, File))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_never_becomes_a_pipe_but_a_file_may_be_a_directory() {
        assert!(may_be(Kind::File, Kind::Directory));
        assert!(may_be(Kind::Anon, Kind::Epoll));
        assert!(!may_be(Kind::Socket, Kind::Pipe));
        assert!(!may_be(Kind::Eventfd, Kind::Timerfd));
    }
}
