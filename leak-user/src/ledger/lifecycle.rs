//! Fork, exec, exit, and when a process is forgotten.

use leak_common::{Class, Handle, ProcessId};

use super::descriptors::Slots;
use super::entry::Entry;
use super::process::{AtExec, Memory, Process};
use super::releases::Change;
use super::sites::Outcome;
use super::spaces::SpaceId;
use super::{Ledger, SiteKey};
use crate::{
    event::{Executed, Forked},
    model::time::Nanos,
};

impl Ledger {
    pub(super) fn forked(&mut self, forked: &Forked) {
        if self.processes.contains_key(&forked.child) {
            return self.forked_known(forked);
        }
        if forked.child == ProcessId::NONE || !self.has_room() {
            return;
        }
        let parent = self.processes.get(&forked.parent);
        let doubts = parent.map(|parent| (parent.needs_reconcile, parent.lossy, parent.uncertain));
        let table = self.table_for_child(forked);
        let memory = self.memory_for_child(forked);
        let mut child = Process::new(forked.time, table, memory);
        child.comm = forked.comm;
        child.fork_told = true;
        child.parent = Some(forked.parent);
        match doubts {
            // A copy is as uncertain as what it was made of.
            Some((needs_reconcile, lossy, uncertain)) => {
                child.needs_reconcile = needs_reconcile;
                child.lossy = lossy;
                child.lost_any = lossy;
                child.uncertain = uncertain;
            }
            None => child.doubt(forked.time),
        }
        self.processes.insert(forked.child, child);
    }

    fn table_for_child(&mut self, forked: &Forked) -> SpaceId {
        let Forked { time, child, .. } = *forked;
        if let Some(parent) = self.processes.get(&forked.parent) {
            let from = parent.table_at(time);
            if forked.shares_files && self.tables.share(from, child) {
                return from;
            }
            if let Some(id) = self.copy_table(from, child, time, false) {
                return id;
            }
        }
        self.tables
            .create(child, time, Slots::new(Class::Descriptor))
    }

    fn memory_for_child(&mut self, forked: &Forked) -> SpaceId {
        let Forked { time, child, .. } = *forked;
        if let Some(parent) = self.processes.get(&forked.parent) {
            let from = parent.memory_at(time);
            if forked.shares_memory && self.memories.share(from, child) {
                return from;
            }
            if let Some(space) = self.memories.get(from) {
                let copy = space.content.copy(time);
                let to = self.memories.create(child, time, copy);
                let executing = false;
                self.log_memory(from, time, Change::Copied { to, executing });
                return to;
            }
        }
        self.memories.create(child, time, Memory::new())
    }

    /// A fork whose child is known already: the baseline read it before the fork was
    /// told. It has all that the parent had, but for acquisitions that have not arrived
    /// yet.
    fn forked_known(&mut self, forked: &Forked) {
        let Forked { time, child, .. } = *forked;
        let Some(parent) = self.processes.get(&forked.parent) else {
            return;
        };
        let (from_table, from_memory) = (parent.table_at(time), parent.memory_at(time));
        let Some(process) = self.processes.get_mut(&child) else {
            return;
        };
        if process.fork_told || forked.parent == child || process.exited.is_some() {
            return;
        }
        process.fork_told = true;
        process.parent = Some(forked.parent);
        let (table, memory) = (process.table, process.memory);
        if forked.shares_files && self.tables.share(from_table, child) {
            self.leave_table(table, child, time, false);
            if let Some(process) = self.processes.get_mut(&child) {
                process.table = from_table;
            }
        } else {
            let change = Change::Copied {
                to: table,
                executing: false,
            };
            self.log_table(from_table, time, change);
            if let Some(space) = self.tables.get_mut(table) {
                space.mingled = space.mingled.max(time);
            }
        }
        if forked.shares_memory && self.memories.share(from_memory, child) {
            self.leave_memory(memory, child, time, false);
            if let Some(process) = self.processes.get_mut(&child) {
                process.memory = from_memory;
            }
        } else {
            let change = Change::Copied {
                to: memory,
                executing: false,
            };
            self.log_memory(from_memory, time, change);
            if let Some(space) = self.memories.get_mut(memory) {
                space.mingled = space.mingled.max(time);
            }
        }
    }

    fn copy_table(
        &mut self,
        from: SpaceId,
        owner: ProcessId,
        time: Nanos,
        executing: bool,
    ) -> Option<SpaceId> {
        let copy = self.tables.get(from)?.content.copy(time, executing);
        let to = self.tables.create(owner, time, copy);
        self.log_table(from, time, Change::Copied { to, executing });
        Some(to)
    }

    /// Gives a process a table of its own, if it shares one. Says whether it did.
    pub(super) fn own_table(&mut self, id: ProcessId, time: Nanos, executing: bool) -> bool {
        let Some(process) = self.processes.get(&id) else {
            return false;
        };
        let from = process.table;
        if self.tables.get(from).is_none_or(|s| s.holders.len() < 2) {
            return false;
        }
        let Some(to) = self.copy_table(from, id, time, executing) else {
            return false;
        };
        self.leave_table(from, id, time, false);
        if let Some(process) = self.processes.get_mut(&id) {
            process.change_table(time, to);
        }
        true
    }

    /// Gives a process a memory of its own, a copy, if it shares one.
    pub(super) fn own_memory(&mut self, id: ProcessId, time: Nanos) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        let from = process.memory;
        let Some(space) = self.memories.get(from).filter(|s| s.holders.len() > 1) else {
            return;
        };
        let copy = space.content.copy(time);
        let to = self.memories.create(id, time, copy);
        let executing = false;
        self.log_memory(from, time, Change::Copied { to, executing });
        self.leave_memory(from, id, time, false);
        if let Some(process) = self.processes.get_mut(&id) {
            process.change_memory(time, to);
        }
    }

    /// close_range with `CLOSE_RANGE_UNSHARE`: the copy is made before the close.
    pub(super) fn unshare_table(&mut self, id: ProcessId, time: Nanos) {
        self.own_table(id, time.saturating_sub(1), false);
    }

    pub(super) fn executed(&mut self, executed: &Executed) {
        let Executed {
            time,
            process: id,
            comm,
        } = *executed;
        if self.admit(id, time).is_none() {
            return;
        }
        if !self.own_table(id, time, true) {
            self.close_on_exec(id, time);
        }
        self.replace_memory(id, time);
        self.forget_endings(id);
        let Some((process, mut books)) = self.own_books(id) else {
            return;
        };
        process.comm = comm;
        process.generation = process.generation.saturating_add(1);
        process.executed = Some(time);
        // What fcntl(2) marks as close-on-exec is not followed: `/proc` has to say what
        // is left.
        process.doubt(time);
        let tally = &mut process.tally;
        process.threads.retain(|&handle, entry| {
            let stays = entry.acquired >= time;
            if !stays {
                books.leave(tally, handle, entry, Outcome::Released);
            }
            stays
        });
    }

    fn close_on_exec(&mut self, id: ProcessId, time: Nanos) {
        let Some(table) = self.processes.get(&id).map(|process| process.table) else {
            return;
        };
        let mut gone = Vec::new();
        if let Some((slots, mut books)) = self.table_books(table) {
            let goes = |entry: &Entry| entry.close_on_exec && entry.acquired < time;
            gone.extend(
                slots
                    .iter()
                    .filter(|(_, entry)| goes(entry))
                    .map(|(handle, entry)| (handle.value(), *entry)),
            );
            slots.end(&mut books, Outcome::Released, |_, entry| goes(entry));
        }
        let counted = self.latest;
        if let Some(process) = self.processes.get_mut(&id) {
            process
                .at_exec
                .extend(gone.into_iter().map(|(slot, entry)| {
                    let late = false;
                    (
                        slot,
                        AtExec {
                            entry,
                            counted,
                            late,
                        },
                    )
                }));
        }
        self.log_table(table, time, Change::Executed);
    }

    /// Puts back what should have gone at an exec and is still there: its close-on-exec was
    /// taken away. `shown` says whether `/proc` shows a descriptor that may be it.
    pub(super) fn keep_across_exec(&mut self, id: ProcessId, shown: impl Fn(u64, &Entry) -> bool) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let table = process.table;
        let aside = std::mem::take(&mut process.at_exec);
        let Some((slots, mut books)) = self.table_books(table) else {
            return;
        };
        for (
            slot,
            AtExec {
                entry,
                counted,
                late,
            },
        ) in aside
        {
            if slots.get(slot).is_none() && shown(slot, &entry) {
                let close_on_exec = false;
                books.not_released(&entry, counted, late);
                slots.insert(
                    &mut books,
                    slot,
                    Entry {
                        close_on_exec,
                        ..entry
                    },
                );
            }
        }
    }

    fn replace_memory(&mut self, id: ProcessId, time: Nanos) {
        let new = self.memories.create(id, 0, Memory::new());
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let old = process.memory;
        process.change_memory(time, new);
        self.leave_memory(old, id, time, false);
    }

    fn leave_table(&mut self, table: SpaceId, id: ProcessId, time: Nanos, at_exit: bool) {
        let outcome = self.outcome_of(time, at_exit);
        if self.tables.leave(table, id, time, at_exit).is_some()
            && let Some((slots, mut books)) = self.table_books(table)
        {
            slots.clear(&mut books, outcome);
        }
    }

    fn leave_memory(&mut self, memory: SpaceId, id: ProcessId, time: Nanos, at_exit: bool) {
        let outcome = self.outcome_of(time, at_exit);
        if self.memories.leave(memory, id, time, at_exit).is_some()
            && let Some((content, mut books)) = self.memory_books(memory)
        {
            content.regions.clear(&mut books, outcome);
            content.heap.clear(&mut books, outcome);
        }
    }

    fn outcome_of(&self, time: Nanos, at_exit: bool) -> Outcome {
        if at_exit {
            self.outcome_of_exit(time)
        } else {
            Outcome::Released
        }
    }

    pub(super) fn exited(&mut self, id: ProcessId, time: Nanos) {
        if let Some(child) = self.loose.get_mut(&Handle::task(Class::Process, id)) {
            child.zombie_since.get_or_insert(time);
        }
        let outcome = self.outcome_of_exit(time);
        let Some((process, mut books)) = self.own_books(id) else {
            return;
        };
        if process.exited.is_some() {
            return;
        }
        process.exited = Some(time);
        process.at_exec.clear();
        process.needs_reconcile = false;
        let (table, memory) = (process.table, process.memory);
        let mut children: Vec<Handle> = process.children.iter().copied().collect();
        children.sort_unstable();
        let tally = &mut process.tally;
        let mut threads: Vec<(Handle, Entry)> = process.threads.drain().collect();
        threads.sort_unstable_by_key(|(handle, entry)| (entry.acquired, *handle));
        for (handle, entry) in threads {
            books.leave(tally, handle, &entry, outcome);
        }
        self.hold_ended_threads(id, time);
        for child in children {
            self.end_loose(child, outcome);
        }
        self.leave_table(table, id, time, true);
        self.leave_memory(memory, id, time, true);
        self.close_endings(id, table, time);
        self.exited.push_back((time, id));
    }

    /// What a process gave back last was its end, unless somebody else still has its
    /// descriptors.
    fn close_endings(&mut self, id: ProcessId, table: SpaceId, exit: Nanos) {
        let shared = self
            .tables
            .get(table)
            .is_some_and(|s| !s.holders.is_empty());
        let Some(process) = self.processes.get(&id).filter(|_| !shared) else {
            return;
        };
        for key in &process.sites {
            if let Some(record) = self.sites.get_mut(*key) {
                record.exited(exit);
            }
        }
    }

    /// What a process gave back before its exec, or by it, is not its end.
    fn forget_endings(&mut self, id: ProcessId) {
        for key in self
            .processes
            .get(&id)
            .into_iter()
            .flat_map(|process| &process.sites)
        {
            if let Some(record) = self.sites.get_mut(*key) {
                record.ending = None;
            }
        }
    }

    /// Forgets exited processes whose last acquisitions have arrived. Those stay of
    /// which it is to be remembered what they held, or that left a segment behind.
    pub(super) fn forget_exited(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        kept.retain(|&id| {
            let remembered = self.is_remembered(id);
            if !remembered {
                self.remove_process(id);
            }
            remembered
        });
        while let Some(&(time, id)) = self.exited.front() {
            if time > self.horizon {
                break;
            }
            self.exited.pop_front();
            if self.is_remembered(id) {
                kept.push_back(id);
            } else {
                self.remove_process(id);
            }
        }
        while kept.len() > self.config.max_exited
            && let Some(id) = kept.pop_front()
        {
            self.totals.exited_forgotten += 1;
            self.remove_process(id);
        }
        self.kept = kept;
    }

    fn is_remembered(&self, id: ProcessId) -> bool {
        let keeps = |key: &SiteKey| {
            self.sites
                .get(*key)
                .is_some_and(|record| record.outstanding > 0 || record.ended_with_its_process())
        };
        self.processes
            .get(&id)
            .is_some_and(|process| process.sites.iter().any(keeps))
    }

    fn remove_process(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.remove(&id) {
            for key in process.sites {
                self.sites.remove(key);
            }
        }
    }
}
