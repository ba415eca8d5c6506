//! Acquisitions. One arrives about a second after it was made. So it is led through
//! what happened since: from its time on through the log of the space it was made in,
//! and through the logs of copies made of that space meanwhile. What is left of it is
//! then put where it is now.

use leak_common::{Class, Handle, Kind, ProcessId};

use super::addresses;
use super::descriptors::{self, Effect, Fate, Slots};
use super::entry::{Entry, Origin, Relation};
use super::process::{AtExec, Loose};
use super::releases::{Change, Log};
use super::sites::{Books, Outcome};
use super::{Ledger, SiteKey, SpaceId};
use crate::{
    event::Acquired,
    model::{address::AddressRange, site::SiteId, time::Nanos},
};

/// What a log says of one acquisition.
struct Journey<T> {
    fate: Fate,
    /// The copies of the space that got it: which, when, and what of it.
    copies: Vec<(SpaceId, Nanos, T)>,
}

impl Ledger {
    pub(super) fn acquired(&mut self, acquired: &Acquired) {
        let Some(class) = acquired.handle.class() else {
            return;
        };
        if class != acquired.kind.class() {
            return;
        }
        let Some(process) = self.admit(acquired.process, acquired.time) else {
            return;
        };
        let table = process.table_at(acquired.time);
        let memory = process.memory_at(acquired.time);
        let site = self.site_of(acquired);
        let mut entry = Entry {
            acquired: acquired.time,
            site,
            size: acquired.size,
            space: SpaceId::NONE,
            kind: acquired.kind,
            origin: Origin::Traced,
            close_on_exec: acquired.close_on_exec,
            kind_guessed: acquired.kind_guessed,
        };
        let value = acquired.handle.value();
        match class {
            Class::Descriptor => {
                entry.space = table;
                self.know_unknown(entry.space, true, &entry);
                self.place_descriptor(value, entry);
            }
            Class::Heap => {
                entry.space = memory;
                self.know_unknown(entry.space, false, &entry);
                self.place_block(value, entry);
            }
            Class::Mapping => {
                entry.space = memory;
                self.know_unknown(entry.space, false, &entry);
                // An attachment of shared memory may come without a length.
                let end = value.saturating_add(acquired.size.max(1));
                self.place_mapping((value..end).into(), entry);
            }
            Class::Thread => self.place_thread(acquired.process, acquired.handle, entry),
            Class::Process | Class::Shm => self.place_loose(acquired, entry),
        }
    }

    /// The site it counts for: the unknown one where there is no room for another
    /// record.
    fn site_of(&mut self, acquired: &Acquired) -> SiteId {
        let Acquired {
            site,
            process,
            kind,
            time,
            ..
        } = *acquired;
        if site != SiteId::UNKNOWN
            && self
                .record_site(SiteKey::Site(site), process, kind, time)
                .is_some()
        {
            if !acquired.kind_guessed {
                self.sites.corrected(site, kind);
            }
            return site;
        }
        // Where there is no room for this record either, only its process counts the
        // entry.
        let _ = self.record_site(SiteKey::Unknown(process, kind), process, kind, time);
        SiteId::UNKNOWN
    }

    /// Makes sure that what has no site has a record: it counts for the owner of its
    /// space.
    fn know_unknown(&mut self, id: SpaceId, table: bool, entry: &Entry) {
        if entry.site != SiteId::UNKNOWN {
            return;
        }
        let owner = if table {
            self.tables.get(id).map(|space| space.owner)
        } else {
            self.memories.get(id).map(|space| space.owner)
        };
        if let Some(owner) = owner
            && self.processes.contains_key(&owner)
        {
            let key = SiteKey::Unknown(owner, entry.kind);
            let _ = self.ensure_site(key, owner, entry.kind, entry.acquired);
        }
    }

    fn place_descriptor(&mut self, slot: u64, entry: Entry) {
        let keep = self.config.keep_exited;
        let mut pending = Vec::new();
        let mut next = Some((entry.space, entry.acquired, entry));
        while let Some((id, from, entry)) = next.take().or_else(|| pending.pop()) {
            let Some(space) = self.tables.get_mut(id) else {
                continue;
            };
            let (entry, journey) = lead(
                &space.log,
                slot,
                from,
                entry,
                keep,
                descriptors::on_descriptor,
            );
            pending.extend(journey.copies);
            let fate = certain(journey.fate, space.holders.is_empty());
            let mut books = Books {
                sites: &mut self.sites,
                totals: &mut self.totals,
                time: self.latest,
                space: id,
                owner: space.owner,
            };
            space.content.settle(&mut books, slot, entry, fate);
            let settled = space.content.get(slot);
            let is_there = settled.is_some_and(|settled| settled.acquired >= entry.acquired);
            if let (Fate::Executed(_), false) = (fate, is_there) {
                let owner = space.owner;
                self.set_aside(owner, slot, entry);
            }
        }
    }

    /// A descriptor arrived that should have gone at an exec, unless `/proc` shows it.
    fn set_aside(&mut self, owner: ProcessId, slot: u64, entry: Entry) {
        if let Some(process) = self.processes.get_mut(&owner)
            && process.table == entry.space
            && process.needs_reconcile
        {
            let (counted, late) = (entry.acquired, true);
            process.at_exec.insert(
                slot,
                AtExec {
                    entry,
                    counted,
                    late,
                },
            );
        }
    }

    fn place_block(&mut self, slot: u64, entry: Entry) {
        let keep = self.config.keep_exited;
        let mut pending = Vec::new();
        let mut next = Some((entry.space, entry.acquired, entry));
        while let Some((id, from, entry)) = next.take().or_else(|| pending.pop()) {
            let Some(space) = self.memories.get_mut(id) else {
                continue;
            };
            let (entry, journey) = lead(&space.log, slot, from, entry, keep, descriptors::on_block);
            pending.extend(journey.copies);
            let fate = certain(journey.fate, space.holders.is_empty());
            let mut books = Books {
                sites: &mut self.sites,
                totals: &mut self.totals,
                time: self.latest,
                space: id,
                owner: space.owner,
            };
            let heap: &mut Slots = &mut space.content.heap;
            heap.settle(&mut books, slot, entry, fate);
        }
    }

    fn place_mapping(&mut self, range: AddressRange, entry: Entry) {
        let keep = self.config.keep_exited;
        let mut pending = vec![(entry.space, entry.acquired, vec![range])];
        while let Some((id, from, acquired)) = pending.pop() {
            let Some(space) = self.memories.get_mut(id) else {
                continue;
            };
            let start = acquired.first().map_or(0, |range| range.start);
            let (left, journey) = lead_ranges(&space.log, start, from, acquired, keep);
            pending.extend(journey.copies);
            let fate = certain(journey.fate, space.holders.is_empty());
            let mut books = Books {
                sites: &mut self.sites,
                totals: &mut self.totals,
                time: self.latest,
                space: id,
                owner: space.owner,
            };
            let regions = &mut space.content.regions;
            regions.settle(&mut books, start, &left, entry, fate);
        }
    }

    fn place_thread(&mut self, id: ProcessId, handle: Handle, entry: Entry) {
        let keep = self.config.keep_exited;
        let Some((process, mut books)) = self.own_books(id) else {
            return;
        };
        let executed = process.executed.is_some_and(|time| time > entry.acquired);
        let fate = match process.exited {
            _ if executed => Fate::Gone,
            Some(exit) if keep => Fate::Held(exit),
            Some(_) => Fate::Gone,
            None => Fate::Outstanding,
        };
        let tally = &mut process.tally;
        if let Some(present) = process.threads.get(&handle).copied() {
            match present.relation_to(&entry) {
                Relation::Same | Relation::Later => return,
                Relation::Found => books.leave(tally, handle, &present, Outcome::Corrected),
                Relation::Earlier => {
                    books.totals.implied_releases += 1;
                    books.leave(tally, handle, &present, Outcome::Released);
                }
            }
            process.threads.remove(&handle);
        }
        books.promoted(&entry);
        match fate {
            Fate::Outstanding => {
                books.enter(tally, &entry);
                process.threads.insert(handle, entry);
            }
            Fate::Held(exit) => books.hold(handle, &entry, exit),
            Fate::Gone | Fate::Released(_) | Fate::Executed(_) => books.promoted_late(&entry),
        }
    }

    /// A child process or a segment.
    fn place_loose(&mut self, acquired: &Acquired, entry: Entry) {
        let Acquired {
            process: owner,
            handle,
            ..
        } = *acquired;
        if let Some(present) = self.loose.get(&handle).copied() {
            if acquired.maybe_existed {
                return;
            }
            let outcome = match present.entry.relation_to(&entry) {
                Relation::Same | Relation::Later => return,
                Relation::Found => Outcome::Corrected,
                Relation::Earlier => {
                    self.totals.implied_releases += 1;
                    Outcome::Released
                }
            };
            self.end_loose(handle, outcome);
        }
        let zombie_since = handle
            .as_task()
            .and_then(|child| self.processes.get(&child))
            .and_then(|child| child.exited);
        let keep = self.config.keep_exited;
        let Some((process, mut books)) = self.own_books(owner) else {
            return;
        };
        books.promoted(&entry);
        if let Some(exit) = process.exited
            && entry.kind == Kind::Process
        {
            // The child has another parent now.
            if keep {
                books.hold(handle, &entry, exit);
            } else {
                books.promoted_late(&entry);
            }
            return;
        }
        books.enter(&mut process.tally, &entry);
        if entry.kind == Kind::Process {
            process.children.insert(handle);
        }
        let loose = Loose {
            owner,
            entry,
            zombie_since,
        };
        self.loose.insert(handle, loose);
    }

    /// Ends a child process or a segment.
    pub(super) fn end_loose(&mut self, handle: Handle, outcome: Outcome) {
        let Some(loose) = self.loose.remove(&handle) else {
            return;
        };
        if let Some((process, mut books)) = self.own_books(loose.owner) {
            process.children.remove(&handle);
            books.leave(&mut process.tally, handle, &loose.entry, outcome);
        }
    }
}

/// A space that no process holds keeps nothing, even where its log has lost the change
/// that says so.
fn certain(fate: Fate, ended: bool) -> Fate {
    match fate {
        Fate::Outstanding if ended => Fate::Gone,
        fate => fate,
    }
}

/// What becomes of what is in a space when that ends.
fn end(at_exit: bool, keep: bool, time: Nanos) -> Fate {
    if at_exit && keep {
        Fate::Held(time)
    } else {
        Fate::Gone
    }
}

/// Leads what is on one handle through a log. Returns it as it is at the end.
fn lead(
    log: &Log,
    slot: u64,
    from: Nanos,
    mut entry: Entry,
    keep: bool,
    effect: impl Fn(&Change, u64, &mut Entry) -> Effect,
) -> (Entry, Journey<Entry>) {
    let mut journey = Journey {
        fate: Fate::Outstanding,
        copies: Vec::new(),
    };
    // Whether it went at an exec is not certain: there, /proc has the last word.
    let mut executed = None;
    for (time, change) in log.after(from) {
        match change {
            // What should have gone is not copied, as far as is known.
            Change::Copied { to, executing } => {
                if !(executing && entry.close_on_exec) && executed.is_none() {
                    journey.copies.push((to, time, entry));
                }
            }
            Change::Ended { at_exit } => {
                journey.fate = match executed {
                    Some(_) => Fate::Gone,
                    None => end(at_exit, keep, time),
                };
                return (entry, journey);
            }
            change => {
                if let Effect::Ends = effect(&change, slot, &mut entry) {
                    if change == Change::Executed {
                        executed = Some(time);
                        continue;
                    }
                    journey.fate = match executed {
                        Some(_) => Fate::Gone,
                        None => Fate::Released(time),
                    };
                    return (entry, journey);
                }
            }
        }
    }
    if let Some(time) = executed {
        journey.fate = Fate::Executed(time);
    }
    (entry, journey)
}

/// Leads a mapping through a log. Returns where it is at the end.
fn lead_ranges(
    log: &Log,
    start: u64,
    from: Nanos,
    mut ranges: Vec<AddressRange>,
    keep: bool,
) -> (Vec<AddressRange>, Journey<Vec<AddressRange>>) {
    let mut journey = Journey {
        fate: Fate::Outstanding,
        copies: Vec::new(),
    };
    for (time, change) in log.after(from) {
        match change {
            Change::Copied { to, .. } => journey.copies.push((to, time, ranges.clone())),
            Change::Ended { at_exit } => {
                journey.fate = end(at_exit, keep, time);
                break;
            }
            change => addresses::on_mapping(&change, start, &mut ranges),
        }
        if ranges.is_empty() {
            journey.fate = Fate::Gone;
            break;
        }
    }
    (ranges, journey)
}
