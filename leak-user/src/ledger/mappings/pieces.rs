//! The pieces of mappings: where each is, which belong together, and the counters that
//! follow them. What happens to mappings is in the module above.

use std::{collections::BTreeMap, sync::Arc};

use leak_common::{Class, Handle};

use crate::ledger::addresses::subtract;
use crate::ledger::entry::{Entry, Tally};
use crate::ledger::sites::{Books, Outcome};
use crate::ledger::spaces::SpaceId;
use crate::model::hash::{Map, Set};
use crate::model::{address::AddressRange, time::Nanos};

/// The handle of the mapping that begins at `start`.
pub(super) fn handle(start: u64) -> Handle {
    Handle::new(Class::Mapping, start)
}

/// A piece of a mapping. Its entry's size is the piece's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) end: u64,
    /// Pieces of one mapping have one number.
    pub(super) resource: u64,
    pub(super) entry: Entry,
}

/// Non-overlapping pieces by their first address: about 150 bytes each.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Regions {
    pub(super) pieces: Arc<BTreeMap<u64, Piece>>,
    /// Of each mapping that is in more than one piece, how many there are.
    pub(super) split: Map<u64, u32>,
    /// The number that the next mapping gets.
    next: u64,
    tally: Tally,
    /// No entry was acquired later.
    newest: Nanos,
}

impl Regions {
    pub(in crate::ledger) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Pieces with their mapping's number.
    pub(in crate::ledger) fn iter(&self) -> impl Iterator<Item = (AddressRange, u64, &Entry)> {
        self.pieces
            .iter()
            .map(|(&start, piece)| ((start..piece.end).into(), piece.resource, &piece.entry))
    }

    /// What an address is in.
    pub(in crate::ledger) fn at(&self, address: u64) -> Option<&Entry> {
        let (_, piece) = self.pieces.range(..=address).next_back()?;
        (address < piece.end).then_some(&piece.entry)
    }

    /// The copy that a fork at `time` makes.
    pub(in crate::ledger) fn copy(&self, time: Nanos) -> Regions {
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

    /// Puts back a piece of a saved ledger; pieces come in the order of their mappings'
    /// numbers. The records of sites, which are saved too, count it already.
    pub(in crate::ledger) fn restore(
        &mut self,
        space: SpaceId,
        range: AddressRange,
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
    pub(super) fn overlapping(&self, range: AddressRange) -> Vec<(u64, Piece)> {
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
                .range(range.start..range.end)
                .map(|(&start, piece)| (start, *piece)),
        );
        found
    }

    /// What of `ranges` no piece covers.
    pub(super) fn gaps(&self, ranges: &[AddressRange]) -> Vec<AddressRange> {
        let mut gaps = ranges.to_vec();
        for &range in ranges {
            for (start, piece) in self.overlapping(range) {
                subtract(&mut gaps, (start..piece.end).into());
            }
        }
        gaps
    }

    /// Takes out what is in `range` of the pieces of which `takes` is true, and leaves
    /// what is before and behind it. The parts taken out still count as pieces.
    pub(super) fn extract(
        &mut self,
        range: AddressRange,
        takes: impl Fn(&Entry) -> bool,
    ) -> Vec<(u64, Piece)> {
        let mut parts = Vec::new();
        for (start, piece) in self.overlapping(range) {
            if !takes(&piece.entry) {
                continue;
            }
            let pieces = Arc::make_mut(&mut self.pieces);
            pieces.remove(&start);
            let whole = AddressRange::from(start..piece.end);
            let part = whole.intersection(range);
            let mut more = 0;
            for rest in [start..part.start, part.end..piece.end].map(AddressRange::from) {
                if !rest.is_empty() {
                    pieces.insert(rest.start, resized(piece, rest));
                    more += 1;
                }
            }
            if more > 0 {
                *self.split.entry(piece.resource).or_insert(1) += more;
            }
            parts.push((part.start, resized(piece, part)));
        }
        parts
    }

    /// Ends an extracted part. Says whether its mapping is gone with it.
    pub(super) fn discard(
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

    /// Adds a mapping that consists of `ranges`, which must be free.
    pub(super) fn add(&mut self, books: &mut Books<'_>, ranges: &[AddressRange], entry: Entry) {
        let resource = self.next;
        let mut count = 0;
        for &range in ranges.iter().filter(|range| !range.is_empty()) {
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

    /// Puts an extracted part back, as far as there is room for it.
    pub(super) fn put(
        &mut self,
        books: &mut Books<'_>,
        start: u64,
        part: &Piece,
        gaps: &[AddressRange],
    ) {
        let Some((last, rest)) = gaps.split_last() else {
            self.discard(books, start, part, Outcome::Released);
            return;
        };
        let room: u64 = gaps.iter().map(|gap| gap.length()).sum();
        books.resize(&part.entry, part.entry.size, room);
        let pieces = Arc::make_mut(&mut self.pieces);
        for &gap in rest {
            pieces.insert(gap.start, resized(*part, gap));
            *self.split.entry(part.resource).or_insert(1) += 1;
        }
        pieces.insert(last.start, resized(*part, *last));
    }
}

/// A piece of the same mapping at other addresses.
pub(super) fn resized(piece: Piece, range: AddressRange) -> Piece {
    Piece {
        end: range.end,
        entry: Entry {
            size: range.length(),
            ..piece.entry
        },
        ..piece
    }
}
