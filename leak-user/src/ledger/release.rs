//! Releases: of one handle, of a range, by moving.

use leak_common::{Class, Handle, Kind, ProcessId};

use super::addresses::Move;
use super::process::Loose;
use super::releases::Change;
use super::sites::Outcome;
use super::{Ledger, SpaceId};
use crate::{
    event::{RangeReleased, Released, Remapped},
    model::time::Nanos,
};

/// Threads that end within this time before their process count as held at its exit:
/// when a process exits, the kernel ends its threads one by one.
const ENDING: Nanos = 100_000_000;

/// Ended threads remembered of a process.
const MAX_ENDED_THREADS: usize = 1024;

impl Ledger {
    pub(super) fn released(&mut self, released: &Released) {
        let value = released.handle.value();
        match released.handle.class() {
            Some(Class::Descriptor) => self.released_descriptor(released, value),
            Some(Class::Heap) => self.released_block(released, value),
            Some(Class::Mapping) => {
                self.detached(released.process, (released.time, released.acquired), value);
            }
            Some(Class::Thread) => self.released_thread(released),
            Some(Class::Process | Class::Shm) => {
                let Some(loose) = self.loose.get(&released.handle).copied() else {
                    return;
                };
                if loose.entry.ends_by(released.time, released.acquired) {
                    self.reaped(&loose, released);
                    let outcome = Outcome::of_release(loose.entry.acquired, released.acquired);
                    self.end_loose(released.handle, outcome);
                }
            }
            None => {}
        }
    }

    /// Takes note of how long a child had been dead when its parent reaped it.
    fn reaped(&mut self, child: &Loose, released: &Released) {
        if let Some(dead) = child.dead_for(released.handle, released.time)
            && let Some(parent) = self.processes.get_mut(&child.owner)
        {
            parent.reaped_after = parent.reaped_after.max(dead);
        }
    }

    fn released_descriptor(&mut self, released: &Released, slot: u64) {
        let (horizon, all_events) = (self.horizon, self.config.all_events);
        let Some(process) = self.processes.get(&released.process) else {
            return;
        };
        let id = process.table_at(released.time);
        let Some((slots, mut books)) = self.table_books(id) else {
            return;
        };
        let found = slots.release(&mut books, slot, released.time, released.acquired);
        let mingles = self.tables.get(id).is_some_and(|s| s.mingles(horizon));
        if mingles && !(found && all_events) || (!found && released.acquired.is_some()) {
            let change = Change::Released {
                first: slot,
                last: slot,
            };
            self.log_table(id, released.time, change);
        }
    }

    fn released_block(&mut self, released: &Released, address: u64) {
        let (horizon, all_events) = (self.horizon, self.config.all_events);
        let Some(process) = self.processes.get(&released.process) else {
            return;
        };
        let id = process.memory_at(released.time);
        let Some((memory, mut books)) = self.memory_books(id) else {
            return;
        };
        let found = memory
            .heap
            .release(&mut books, address, released.time, released.acquired);
        let mingles = self.memories.get(id).is_some_and(|s| s.mingles(horizon));
        if mingles && !(found && all_events) || (!found && released.acquired.is_some()) {
            self.log_memory(id, released.time, Change::Freed { address });
        }
    }

    fn released_thread(&mut self, released: &Released) {
        let keep = self.config.keep_exited;
        let Some((process, mut books)) = self.own_books(released.process) else {
            return;
        };
        let ends = process
            .threads
            .get(&released.handle)
            .is_some_and(|entry| entry.ends_by(released.time, released.acquired));
        if !ends {
            return;
        }
        let Some(entry) = process.threads.remove(&released.handle) else {
            return;
        };
        let handle = released.handle;
        let outcome = Outcome::of_release(entry.acquired, released.acquired);
        books.leave(&mut process.tally, handle, &entry, outcome);
        if keep {
            let ended = &mut process.ended_threads;
            ended.retain(|&(time, ..)| time.saturating_add(ENDING) >= released.time);
            if ended.len() < MAX_ENDED_THREADS {
                ended.push((released.time, handle, entry));
            }
        }
    }

    /// Turns threads that ended with their process into threads held at its exit.
    pub(super) fn hold_ended_threads(&mut self, id: ProcessId, exit: Nanos) {
        let Some((process, mut books)) = self.own_books(id) else {
            return;
        };
        for (time, handle, entry) in std::mem::take(&mut process.ended_threads) {
            if time.saturating_add(ENDING) < exit {
                continue;
            }
            if let Some(record) = books.sites.get_mut(entry.key(id)) {
                record.old_released = record.old_released.saturating_sub(1);
            }
            books.hold(handle, &entry, exit);
        }
    }

    pub(super) fn range_released(&mut self, released: &RangeReleased) {
        let RangeReleased {
            time,
            process,
            first,
            last,
            ..
        } = *released;
        if self.admit(process, time).is_none() {
            return;
        }
        match released.class {
            Class::Descriptor => self.released_descriptors(released),
            Class::Mapping if released.attachment => self.detached(process, (time, None), first),
            Class::Mapping => self.unmapped(process, time, first, last),
            Class::Shm | Class::Heap | Class::Thread | Class::Process => {}
        }
    }

    fn released_descriptors(&mut self, released: &RangeReleased) {
        let RangeReleased {
            time, first, last, ..
        } = *released;
        if released.unshare {
            self.unshare_table(released.process, time);
        }
        let Some(process) = self.processes.get(&released.process) else {
            return;
        };
        let id = process.table_at(time);
        let Some((slots, mut books)) = self.table_books(id) else {
            return;
        };
        let change = if released.close_on_exec {
            slots.mark_close_on_exec(first, last, time);
            Change::Marked { first, last }
        } else {
            slots.end(&mut books, Outcome::Released, |slot, entry| {
                (first..=last).contains(&slot) && entry.acquired < time
            });
            Change::Released { first, last }
        };
        self.log_table(id, time, change);
    }

    fn unmapped(&mut self, process: ProcessId, time: Nanos, first: u64, last: u64) {
        let Some(id) = self.processes.get(&process).map(|p| p.memory_at(time)) else {
            return;
        };
        if let Some((memory, mut books)) = self.memory_books(id) {
            let range = (first..last.saturating_add(1)).into();
            memory
                .regions
                .cut(&mut books, range, Outcome::Released, |entry| {
                    entry.acquired < time
                });
        }
        self.log_memory(id, time, Change::Released { first, last });
    }

    /// `when`: the time, and when what is released was acquired, if the young table held it.
    fn detached(&mut self, process: ProcessId, when: (Nanos, Option<Nanos>), first: u64) {
        let time = when.0;
        let Some(id) = self.processes.get(&process).map(|p| p.memory_at(time)) else {
            return;
        };
        if let Some((memory, mut books)) = self.memory_books(id) {
            memory.regions.detach(&mut books, first, when);
        }
        self.log_memory(id, time, Change::Detached { first });
    }

    pub(super) fn remapped(&mut self, remapped: &Remapped) {
        let Remapped { time, process, .. } = *remapped;
        let change = Move {
            old: remapped.old,
            old_length: remapped.old_length,
            new: remapped.new,
            new_length: remapped.new_length,
        };
        let Some(process) = self.admit(process, time) else {
            return;
        };
        let id = process.memory_at(time);
        if remapped.keeps_old {
            self.mapped_by_moving(id, remapped, &change);
            return;
        }
        if let Some((memory, mut books)) = self.memory_books(id) {
            memory.regions.shift(&mut books, &change, time);
        }
        self.log_memory(id, time, Change::Moved(change));
    }

    /// mremap that left the old mapping in place: the new one is another resource.
    fn mapped_by_moving(&mut self, id: SpaceId, remapped: &Remapped, change: &Move) {
        let target = change.target();
        if target.is_empty() {
            return;
        }
        let released = Change::Released {
            first: target.start,
            last: target.end - 1,
        };
        // Just before the call: it ends what was mapped there, and not the new mapping.
        self.log_memory(id, remapped.time.saturating_sub(1), released);
        self.acquired(&crate::event::Acquired {
            time: remapped.time,
            process: remapped.process,
            kind: Kind::Mapping,
            handle: Handle::new(Class::Mapping, target.start),
            site: remapped.site,
            size: target.length(),
            close_on_exec: false,
            kind_guessed: false,
            maybe_existed: false,
        });
    }
}
