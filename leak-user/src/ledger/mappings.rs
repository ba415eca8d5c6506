//! The mappings of a memory. They are ranges: unmapping and moving cut them into
//! pieces. A mapping counts as one resource until its last piece goes.

use std::{collections::BTreeMap, sync::Arc};

use leak_common::{Class, Handle};

use super::addresses::{Addresses, Move, subtract};
use super::descriptors::Fate;
use super::entry::{Entry, Relation, Tally};
use super::sites::{Books, Outcome};
use super::spaces::SpaceId;
use crate::model::hash::{Map, Set};
use crate::model::{site::SiteId, time::Nanos};

/// The handle of the mapping that begins at `start`.
fn handle(start: u64) -> Handle {
    Handle::new(Class::Mapping, start)
}

/// A piece of a mapping. Its entry's size is the piece's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    end: u64,
    /// Pieces of one mapping have one number.
    resource: u64,
    entry: Entry,
}

/// Non-overlapping pieces by their first address: about 150 bytes each.
#[derive(Debug, Default)]
pub(super) struct Regions {
    pieces: Arc<BTreeMap<u64, Piece>>,
    /// In how many pieces a mapping is, where it is not one.
    split: Map<u64, u32>,
    next: u64,
    tally: Tally,
    newest: Nanos,
}

impl Regions {
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Pieces with their mapping's number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Addresses, u64, &Entry)> {
        self.pieces
            .iter()
            .map(|(&start, piece)| (start..piece.end, piece.resource, &piece.entry))
    }

    /// The copy that a fork at `time` makes.
    pub(super) fn copy(&self, time: Nanos) -> Regions {
        let mut copy = Regions {
            pieces: Arc::clone(&self.pieces),
            split: self.split.clone(),
            next: self.next,
            tally: self.tally.inherited(),
            newest: self.newest,
        };
        if self.newest < time {
            return copy;
        }
        copy.newest = self.newest.min(time);
        Arc::make_mut(&mut copy.pieces).retain(|_, piece| piece.entry.acquired < time);
        let mut seen = Set::default();
        let mut tally = Tally::default();
        for piece in copy.pieces.values() {
            if seen.insert(piece.resource) {
                tally.add(piece.entry.origin, piece.entry.kind);
            }
        }
        copy.tally = tally.inherited();
        copy.split.retain(|resource, _| seen.contains(resource));
        copy
    }

    /// Puts back a piece of a mapping of `space`; they come in the order of the
    /// mappings' numbers. The books have it already.
    pub(super) fn restore(
        &mut self,
        space: SpaceId,
        range: &Addresses,
        resource: u64,
        entry: Entry,
    ) {
        let is_in_order = resource
            .checked_add(1)
            .is_some_and(|next| next >= self.next);
        if range.is_empty()
            || entry.kind.class() != Class::Mapping
            || resource >= 1 << 56
            || !is_in_order
            || !self.overlapping(range).is_empty()
        {
            return;
        }
        if resource + 1 == self.next {
            *self.split.entry(resource).or_insert(1) += 1;
        } else {
            self.tally.add(entry.origin_in(space), entry.kind);
        }
        self.next = resource + 1;
        self.newest = self.newest.max(entry.acquired);
        let piece = Piece {
            end: range.end,
            resource,
            entry,
        };
        let piece = resized(piece, range);
        Arc::make_mut(&mut self.pieces).insert(range.start, piece);
    }

    /// The pieces that have addresses in `range`, by their first address.
    fn overlapping(&self, range: &Addresses) -> Vec<(u64, Piece)> {
        let mut found = Vec::new();
        if range.is_empty() {
            return found;
        }
        if let Some((&start, piece)) = self.pieces.range(..range.start).next_back()
            && piece.end > range.start
        {
            found.push((start, *piece));
        }
        found.extend(
            self.pieces
                .range(range.clone())
                .map(|(&start, piece)| (start, *piece)),
        );
        found
    }

    /// Takes out the parts in `range` of the pieces that `takes` says, leaving
    /// what is before and behind. The parts still count as pieces.
    fn extract(&mut self, range: &Addresses, takes: impl Fn(&Entry) -> bool) -> Vec<(u64, Piece)> {
        let mut parts = Vec::new();
        for (start, piece) in self.overlapping(range) {
            if !takes(&piece.entry) {
                continue;
            }
            let pieces = Arc::make_mut(&mut self.pieces);
            pieces.remove(&start);
            let part = start.max(range.start)..piece.end.min(range.end);
            let mut more = 0;
            for rest in [start..part.start, part.end..piece.end] {
                if !rest.is_empty() {
                    pieces.insert(rest.start, resized(piece, &rest));
                    more += 1;
                }
            }
            if more > 0 {
                *self.split.entry(piece.resource).or_insert(1) += more;
            }
            parts.push((part.start, resized(piece, &part)));
        }
        parts
    }

    /// Ends an extracted part. Says whether its mapping is gone with it.
    fn discard(
        &mut self,
        books: &mut Books<'_>,
        start: u64,
        piece: &Piece,
        outcome: Outcome,
    ) -> bool {
        if let Some(count) = self.split.get_mut(&piece.resource) {
            *count -= 1;
            if *count == 1 {
                self.split.remove(&piece.resource);
            }
            books.resize(&piece.entry, piece.entry.size, 0);
            return false;
        }
        books.leave(&mut self.tally, handle(start), &piece.entry, outcome);
        true
    }

    /// Ends what `goes` says in `range`. Returns how many mappings went entirely.
    pub(super) fn cut(
        &mut self,
        books: &mut Books<'_>,
        range: &Addresses,
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
    pub(super) fn detach(&mut self, books: &mut Books<'_>, start: u64, time: Nanos) {
        let Some(first) = self.pieces.get(&start).copied() else {
            return;
        };
        if first.entry.acquired >= time {
            return;
        }
        let ranges: Vec<Addresses> = if self.split.contains_key(&first.resource) {
            self.iter()
                .filter(|&(_, resource, _)| resource == first.resource)
                .map(|(range, ..)| range)
                .collect()
        } else {
            std::iter::once(start..first.end).collect()
        };
        for range in ranges {
            self.cut(books, &range, Outcome::Released, |_| true);
        }
    }

    /// Adds a mapping that consists of `ranges`, which must be free.
    fn add(&mut self, books: &mut Books<'_>, ranges: &[Addresses], entry: Entry) {
        let resource = self.next;
        let mut count = 0;
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            let piece = resized(
                Piece {
                    end: 0,
                    resource,
                    entry,
                },
                range,
            );
            if count == 0 {
                books.enter(&mut self.tally, &piece.entry);
            } else {
                books.resize(&piece.entry, 0, piece.entry.size);
            }
            Arc::make_mut(&mut self.pieces).insert(range.start, piece);
            count += 1;
        }
        if count > 1 {
            self.split.insert(resource, count);
        }
        if count > 0 {
            self.next += 1;
            self.newest = self.newest.max(entry.acquired);
        }
    }

    /// What of `ranges` no piece covers.
    fn gaps(&self, ranges: &[Addresses]) -> Vec<Addresses> {
        let mut gaps = ranges.to_vec();
        for range in ranges {
            for (start, piece) in self.overlapping(range) {
                subtract(&mut gaps, &(start..piece.end));
            }
        }
        gaps
    }

    /// Adds what was found where nothing is known.
    pub(super) fn add_to_gaps(&mut self, books: &mut Books<'_>, range: &Addresses, entry: Entry) {
        let gaps = self.gaps(std::slice::from_ref(range));
        self.add(books, &gaps, entry);
    }

    /// Puts an acquisition where it belongs. It began at `start` when it came to
    /// this memory; `left` is what its fate since has left of it, and where.
    pub(super) fn settle(
        &mut self,
        books: &mut Books<'_>,
        start: u64,
        left: &[Addresses],
        entry: Entry,
        fate: Fate,
    ) {
        if self.seen_again(books, left, &entry) {
            return;
        }
        books.promoted(&entry);
        match fate {
            Fate::Held(exit) => books.hold(handle(start), &entry, exit),
            Fate::Gone => books.totals.ended_before_promotion += 1,
            Fate::Outstanding => {
                // Not where it only was once: another may have moved there since.
                for range in left {
                    let gone = self.cut(books, range, Outcome::Released, |present| {
                        matches!(present.relation_to(&entry), Relation::Earlier)
                    });
                    books.totals.implied_releases += gone;
                    self.cut(books, range, Outcome::Corrected, |present| {
                        matches!(present.relation_to(&entry), Relation::Found)
                    });
                }
                let gaps = self.gaps(left);
                self.add(books, &gaps, entry);
            }
        }
    }

    /// Whether the acquisition is there already; its site is learnt if it was not known.
    fn seen_again(&mut self, books: &mut Books<'_>, left: &[Addresses], entry: &Entry) -> bool {
        let same = |present: &Entry| matches!(present.relation_to(entry), Relation::Same);
        let present = left
            .iter()
            .flat_map(|range| self.overlapping(range))
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
        for range in &ranges {
            self.cut(books, range, Outcome::Corrected, |_| true);
        }
        let entry = Entry { site, ..entry };
        self.add(books, &ranges, entry);
        books.promoted(&entry);
    }

    /// mremap at `time`.
    pub(super) fn shift(&mut self, books: &mut Books<'_>, change: &Move, time: Nanos) {
        let before = |entry: &Entry| entry.acquired < time;
        let parts = self.extract(&change.source(), before);
        self.cut(books, &change.target(), Outcome::Released, before);
        for (start, piece) in parts {
            let range = change.moved(&(start..piece.end));
            if range.is_empty() {
                self.discard(books, start, &piece, Outcome::Released);
                continue;
            }
            let moved = resized(piece, &range);
            books.resize(&piece.entry, piece.entry.size, moved.entry.size);
            // What came to be there later has its right: only gaps are filled.
            let gaps = self.gaps(std::slice::from_ref(&range));
            self.put(books, range.start, &moved, &gaps);
        }
    }

    /// Puts an extracted part back, as far as there is room for it.
    fn put(&mut self, books: &mut Books<'_>, start: u64, part: &Piece, gaps: &[Addresses]) {
        let Some((last, rest)) = gaps.split_last() else {
            self.discard(books, start, part, Outcome::Released);
            return;
        };
        let room: u64 = gaps.iter().map(|gap| gap.end - gap.start).sum();
        books.resize(&part.entry, part.entry.size, room);
        let pieces = Arc::make_mut(&mut self.pieces);
        for gap in rest {
            pieces.insert(gap.start, resized(*part, gap));
            *self.split.entry(part.resource).or_insert(1) += 1;
        }
        pieces.insert(last.start, resized(*part, last));
    }

    /// Ends what was acquired before `time` and is not in `shown`, which is
    /// sorted. Returns how many mappings went entirely.
    pub(super) fn keep_only(
        &mut self,
        books: &mut Books<'_>,
        shown: &[Addresses],
        time: Nanos,
    ) -> u64 {
        let mut gone = 0;
        let mut start = 0;
        for range in shown.iter().chain(std::iter::once(&(u64::MAX..u64::MAX))) {
            gone += self.cut(books, &(start..range.start), Outcome::Released, |entry| {
                entry.acquired < time
            });
            start = start.max(range.end);
        }
        gone
    }

    /// Empties the regions: their last holder went.
    pub(super) fn clear(&mut self, books: &mut Books<'_>, outcome: Outcome) {
        if self.tally.own() > 0 {
            for (start, piece) in std::mem::take(&mut self.pieces).iter() {
                self.discard(books, *start, piece, outcome);
            }
        }
        *self = Regions::default();
    }
}

/// A piece of the same mapping at other addresses.
fn resized(piece: Piece, range: &Addresses) -> Piece {
    Piece {
        end: range.end,
        entry: Entry {
            size: range.end - range.start,
            ..piece.entry
        },
        ..piece
    }
}
