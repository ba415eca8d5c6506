//! The mappings of a memory. They are ranges: unmapping and moving cut them into
//! pieces. A mapping counts as one resource until its last piece goes.

mod pieces;

use super::addresses::Move;
use super::descriptors::Fate;
use super::entry::{Entry, Relation};
use super::sites::{Books, Outcome};
use crate::model::{address::AddressRange, site::SiteId, time::Nanos};
pub(super) use pieces::Regions;
use pieces::{handle, resized};

impl Regions {
    /// Ends what is in `range`, of entries of which `goes` is true. Returns how many
    /// mappings went entirely.
    pub(in crate::ledger) fn cut(
        &mut self,
        books: &mut Books<'_>,
        range: AddressRange,
        outcome: Outcome,
        goes: impl Fn(&Entry) -> bool,
    ) -> u64 {
        let mut gone = 0;
        for (start, piece) in self.extract(range, goes) {
            gone += u64::from(self.discard(books, start, &piece, outcome));
        }
        gone
    }

    /// Ends the whole mapping whose first piece begins at `start`.
    /// `when`: the time, and when it was acquired, if the young table held it.
    pub(in crate::ledger) fn detach(
        &mut self,
        books: &mut Books<'_>,
        start: u64,
        when: (Nanos, Option<Nanos>),
    ) {
        let (time, acquired) = when;
        let Some(first) = self.pieces.get(&start).copied() else {
            return;
        };
        if first.entry.acquired >= time {
            return;
        }
        let ranges: Vec<AddressRange> = if self.split.contains_key(&first.resource) {
            self.iter()
                .filter(|&(_, resource, _)| resource == first.resource)
                .map(|(range, ..)| range)
                .collect()
        } else {
            vec![(start..first.end).into()]
        };
        let outcome = Outcome::of_release(first.entry.acquired, acquired);
        for range in ranges {
            self.cut(books, range, outcome, |_| true);
        }
    }

    /// Adds what was found where nothing is known.
    pub(in crate::ledger) fn add_to_gaps(
        &mut self,
        books: &mut Books<'_>,
        range: AddressRange,
        entry: Entry,
    ) {
        let gaps = self.gaps(&[range]);
        self.add(books, &gaps, entry);
    }

    /// Takes an acquisition of which it is known what became of it since. It began at
    /// `start` when it came to this memory; `left` is where it is now, as far as it was
    /// not unmapped.
    pub(in crate::ledger) fn settle(
        &mut self,
        books: &mut Books<'_>,
        start: u64,
        left: &[AddressRange],
        entry: Entry,
        fate: Fate,
    ) {
        if self.seen_again(books, left, &entry) {
            return;
        }
        books.promoted(&entry);
        match fate {
            Fate::Held(exit) => books.hold(handle(start), &entry, exit),
            Fate::Gone | Fate::Released(_) | Fate::Executed(_) => books.promoted_late(&entry),
            Fate::Outstanding => {
                // Only where it is now: another mapping may have moved to where it was
                // before.
                for &range in left {
                    let gone = self.cut(books, range, Outcome::Released, |present| {
                        matches!(present.relation_to(&entry), Relation::Earlier)
                    });
                    books.totals.implied_releases += gone;
                    self.cut(books, range, Outcome::Corrected, |present| {
                        matches!(present.relation_to(&entry), Relation::Found)
                    });
                }
                let gaps = self.gaps(left);
                if gaps.iter().all(|gap| gap.is_empty()) {
                    // What is there now was mapped later.
                    return books.promoted_late(&entry);
                }
                self.add(books, &gaps, entry);
            }
        }
    }

    /// Whether the acquisition is there already; its site is learnt if it was not known.
    fn seen_again(&mut self, books: &mut Books<'_>, left: &[AddressRange], entry: &Entry) -> bool {
        let same = |present: &Entry| matches!(present.relation_to(entry), Relation::Same);
        let present = left
            .iter()
            .flat_map(|&range| self.overlapping(range))
            .find(|(_, piece)| same(&piece.entry))
            .map(|(_, piece)| piece);
        let Some(present) = present else {
            return false;
        };
        if present.entry.site == SiteId::UNKNOWN && entry.site != SiteId::UNKNOWN {
            self.relabel(books, present.resource, entry.site);
        }
        true
    }

    fn relabel(&mut self, books: &mut Books<'_>, resource: u64, site: SiteId) {
        let mut ranges = Vec::new();
        let mut known = None;
        for (range, number, entry) in self.iter() {
            if number == resource {
                ranges.push(range);
                known = Some(*entry);
            }
        }
        let Some(entry) = known else { return };
        for &range in &ranges {
            self.cut(books, range, Outcome::Corrected, |_| true);
        }
        let entry = Entry { site, ..entry };
        self.add(books, &ranges, entry);
        books.promoted(&entry);
    }

    /// mremap at `time`.
    pub(in crate::ledger) fn shift(&mut self, books: &mut Books<'_>, change: &Move, time: Nanos) {
        let before = |entry: &Entry| entry.acquired < time;
        let parts = self.extract(change.source(), before);
        self.cut(books, change.target(), Outcome::Released, before);
        for (start, piece) in parts {
            let range = change.moved((start..piece.end).into());
            if range.is_empty() {
                self.discard(books, start, &piece, Outcome::Released);
                continue;
            }
            let moved = resized(piece, range);
            books.resize(&piece.entry, piece.entry.size, moved.entry.size);
            // What was mapped there later stays: only gaps are filled.
            let gaps = self.gaps(&[range]);
            self.put(books, range.start, &moved, &gaps);
        }
    }

    /// Ends what was acquired before `time` and is not in `shown`, which is
    /// sorted. Returns how many mappings went entirely.
    pub(in crate::ledger) fn keep_only(
        &mut self,
        books: &mut Books<'_>,
        shown: &[AddressRange],
        time: Nanos,
    ) -> u64 {
        let mut gone = 0;
        let mut start = 0;
        let end = AddressRange::from(u64::MAX..u64::MAX);
        for &range in shown.iter().chain([&end]) {
            gone += self.cut(
                books,
                (start..range.start).into(),
                Outcome::Released,
                |entry| entry.acquired < time,
            );
            start = start.max(range.end);
        }
        gone
    }

    /// Empties the regions: their last holder went.
    pub(in crate::ledger) fn clear(&mut self, books: &mut Books<'_>, outcome: Outcome) {
        if self.tally().own() > 0 {
            for (start, piece) in std::mem::take(&mut self.pieces).iter() {
                self.discard(books, *start, piece, outcome);
            }
        }
        *self = Regions::default();
    }
}
