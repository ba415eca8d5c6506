//! Resources that have a handle each: descriptors of a table, heap blocks of a memory.
//! A copy of all of them costs nothing until one side changes.

use std::sync::Arc;

use leak_common::{Class, Handle};

use super::entry::{Entry, Origin, Relation, Tally};
use super::releases::Change;
use super::sites::{Books, Outcome};
use super::spaces::SpaceId;
use crate::model::hash::Map;
use crate::model::{site::SiteId, time::Nanos};

/// Handle values and what they hold: about 110 bytes a resource.
#[derive(Debug)]
pub(super) struct Slots {
    class: Class,
    entries: Arc<Map<u64, Entry>>,
    tally: Tally,
    /// No entry was acquired later.
    newest: Nanos,
}

/// What the log says has become of an acquisition that arrives late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is still there.
    Outstanding,
    /// It was released at this time.
    Released(Nanos),
    /// It should have gone when its process executed another program at this time.
    Executed(Nanos),
    /// It is not there any more.
    Gone,
    /// Its process exited at this time and still held it, which is to be remembered.
    Held(Nanos),
}

impl Slots {
    pub(super) fn new(class: Class) -> Slots {
        Slots {
            class,
            entries: Arc::default(),
            tally: Tally::default(),
            newest: 0,
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn get(&self, slot: u64) -> Option<&Entry> {
        self.entries.get(&slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle, &Entry)> {
        let class = self.class;
        self.entries
            .iter()
            .map(move |(&slot, entry)| (Handle::new(class, slot), entry))
    }

    /// The copy that a fork at `time` makes. With `executing`, that of an exec:
    /// without what closes on exec.
    pub(super) fn copy(&self, time: Nanos, executing: bool) -> Slots {
        if !executing && self.newest < time {
            return Slots {
                class: self.class,
                entries: Arc::clone(&self.entries),
                tally: self.tally.inherited(),
                newest: self.newest,
            };
        }
        let mut copy = Slots::new(self.class);
        copy.entries = Arc::new(
            self.entries
                .iter()
                .filter(|(_, entry)| entry.acquired < time && !(executing && entry.close_on_exec))
                .map(|(&slot, &entry)| (slot, entry))
                .collect(),
        );
        copy.newest = self.newest.min(time);
        for entry in copy.entries.values() {
            copy.tally.add(entry.origin, entry.kind);
        }
        copy.tally = copy.tally.inherited();
        copy
    }

    /// Puts back an entry of a saved ledger. The records of sites, which are saved too,
    /// count it already.
    pub(super) fn restore(&mut self, space: SpaceId, slot: u64, entry: Entry) {
        if entry.kind.class() == self.class && !self.entries.contains_key(&slot) {
            self.newest = self.newest.max(entry.acquired);
            self.tally.add(entry.origin_in(space), entry.kind);
            Arc::make_mut(&mut self.entries).insert(slot, entry);
        }
    }

    pub(super) fn insert(&mut self, books: &mut Books<'_>, slot: u64, entry: Entry) {
        self.newest = self.newest.max(entry.acquired);
        books.enter(&mut self.tally, &entry);
        Arc::make_mut(&mut self.entries).insert(slot, entry);
    }

    pub(super) fn remove(&mut self, books: &mut Books<'_>, slot: u64, outcome: Outcome) -> bool {
        // Looking first: entries that are shared with a copy must not be duplicated for
        // a release of nothing.
        let Some(&entry) = self.get(slot) else {
            return false;
        };
        self.take_out(books, slot, &entry, outcome);
        true
    }

    fn take_out(&mut self, books: &mut Books<'_>, slot: u64, entry: &Entry, outcome: Outcome) {
        Arc::make_mut(&mut self.entries).remove(&slot);
        let handle = Handle::new(self.class, slot);
        books.leave(&mut self.tally, handle, entry, outcome);
    }

    /// Takes an acquisition of which it is known what became of it since.
    pub(super) fn settle(&mut self, books: &mut Books<'_>, slot: u64, entry: Entry, fate: Fate) {
        let present = self.get(slot).copied();
        let relation = present.map(|present| present.relation_to(&entry));
        // What `/proc` shows after an exec has survived it.
        let (entry, fate) = match (fate, relation, present) {
            (Fate::Executed(time), Some(Relation::Found), Some(found)) if found.acquired > time => {
                let close_on_exec = false;
                (
                    Entry {
                        close_on_exec,
                        ..entry
                    },
                    Fate::Outstanding,
                )
            }
            _ => (entry, fate),
        };
        if let Some(Relation::Same) = relation {
            return self.seen_again(books, slot, &entry);
        }
        books.promoted(&entry);
        match relation {
            Some(Relation::Later) => return books.promoted_late(&entry),
            Some(Relation::Found) if fate == Fate::Outstanding => {
                if self.get(slot).is_some_and(|e| e.origin == Origin::Adopted) {
                    books.totals.adopted = books.totals.adopted.saturating_sub(1);
                }
                self.remove(books, slot, Outcome::Corrected);
            }
            Some(Relation::Earlier) => {
                books.totals.implied_releases += 1;
                self.remove(books, slot, Outcome::Released);
            }
            _ => {}
        }
        match fate {
            Fate::Outstanding => self.insert(books, slot, entry),
            Fate::Held(exit) => books.hold(Handle::new(self.class, slot), &entry, exit),
            Fate::Released(time) => {
                books.promoted_late(&entry);
                books.ended(Handle::new(self.class, slot), &entry, time, false);
            }
            Fate::Gone | Fate::Executed(_) => books.promoted_late(&entry),
        }
    }

    fn seen_again(&mut self, books: &mut Books<'_>, slot: u64, entry: &Entry) {
        let Some(present) = self.get(slot).copied() else {
            return;
        };
        if present.site == SiteId::UNKNOWN && entry.site != SiteId::UNKNOWN {
            let site = entry.site;
            self.replace(books, slot, Entry { site, ..present });
            books.promoted(entry);
        }
    }

    /// Replaces an entry by one that says better what the same resource is.
    pub(super) fn replace(&mut self, books: &mut Books<'_>, slot: u64, entry: Entry) {
        self.remove(books, slot, Outcome::Corrected);
        self.insert(books, slot, entry);
    }

    /// A release of one handle. Says whether it ended anything.
    pub(super) fn release(
        &mut self,
        books: &mut Books<'_>,
        slot: u64,
        time: Nanos,
        acquired: Option<Nanos>,
    ) -> bool {
        let Some(&entry) = self.get(slot) else {
            return false;
        };
        if !entry.ends_by(time, acquired) {
            return false;
        }
        let outcome = Outcome::of_release(entry.acquired, acquired);
        self.take_out(books, slot, &entry, outcome);
        true
    }

    /// Ends all entries of which `goes` is true. Returns how many.
    pub(super) fn end(
        &mut self,
        books: &mut Books<'_>,
        outcome: Outcome,
        goes: impl Fn(u64, &Entry) -> bool,
    ) -> u64 {
        let slots: Vec<u64> = self
            .entries
            .iter()
            .filter(|&(&slot, entry)| goes(slot, entry))
            .map(|(&slot, _)| slot)
            .collect();
        for &slot in &slots {
            self.remove(books, slot, outcome);
        }
        slots.len() as u64
    }

    /// Marks descriptors from `first` to `last` that were acquired before `time`.
    pub(super) fn mark_close_on_exec(&mut self, first: u64, last: u64, time: Nanos) {
        let marks = |slot: u64, entry: &Entry| {
            (first..=last).contains(&slot) && entry.acquired < time && !entry.close_on_exec
        };
        if !self.entries.iter().any(|(&slot, entry)| marks(slot, entry)) {
            return;
        }
        for (&slot, entry) in Arc::make_mut(&mut self.entries) {
            if marks(slot, entry) {
                entry.close_on_exec = true;
            }
        }
    }

    /// Empties the slots: their last holder went.
    pub(super) fn clear(&mut self, books: &mut Books<'_>, outcome: Outcome) {
        let entries = std::mem::take(&mut self.entries);
        let mut tally = std::mem::take(&mut self.tally);
        self.newest = 0;
        if tally.own() == 0 {
            return;
        }
        // In the same order each time, whatever the map's seed: which samples are kept
        // depends on it.
        let mut order: Vec<(u64, &Entry)> = entries.iter().map(|(&slot, e)| (slot, e)).collect();
        order.sort_unstable_by_key(|(slot, entry)| (entry.acquired, *slot));
        for (slot, entry) in order {
            let handle = Handle::new(self.class, slot);
            books.leave(&mut tally, handle, entry, outcome);
        }
    }
}

/// What a change does to a descriptor or heap block.
pub(super) enum Effect {
    None,
    /// It is gone.
    Ends,
}

/// What `change` does to the descriptor `slot`.
pub(super) fn on_descriptor(change: &Change, slot: u64, entry: &mut Entry) -> Effect {
    match *change {
        Change::Released { first, last } if (first..=last).contains(&slot) => Effect::Ends,
        Change::Executed if entry.close_on_exec => Effect::Ends,
        Change::Marked { first, last } if (first..=last).contains(&slot) => {
            entry.close_on_exec = true;
            Effect::None
        }
        _ => Effect::None,
    }
}

/// What `change` does to the heap block at `slot`.
pub(super) fn on_block(change: &Change, slot: u64, _: &mut Entry) -> Effect {
    match *change {
        Change::Freed { address } if address == slot => Effect::Ends,
        _ => Effect::None,
    }
}
