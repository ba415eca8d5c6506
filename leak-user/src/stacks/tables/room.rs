//! Free room in a table of fixed size. The first gap that is long enough is taken, and
//! neighbouring gaps are joined when room is given back.

use std::{collections::BTreeMap, ops::Range};

use leak_common::unwind::CHUNK_ROWS;

/// What is free.
#[derive(Debug)]
pub(super) struct Room {
    /// Beginning to end; never empty, never touching each other.
    gaps: BTreeMap<usize, usize>,
    capacity: usize,
    used: usize,
}

impl Room {
    /// Everything is free.
    pub(super) fn new(capacity: usize) -> Room {
        let gaps = if capacity == 0 {
            BTreeMap::new()
        } else {
            BTreeMap::from([(0, capacity)])
        };
        Room {
            gaps,
            capacity,
            used: 0,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn free(&self) -> usize {
        self.capacity - self.used
    }

    /// Takes `length` entries in a row.
    pub(super) fn take(&mut self, length: usize) -> Option<Range<usize>> {
        if length == 0 {
            return Some(0..0);
        }
        let (start, end) = self
            .gaps
            .iter()
            .map(|(start, end)| (*start, *end))
            .find(|(start, end)| end - start >= length)?;
        self.gaps.remove(&start);
        if end - start > length {
            self.gaps.insert(start + length, end);
        }
        self.used += length;
        Some(start..start + length)
    }

    /// Takes `length` entries in a row, or where no gap is that long, in pieces, the largest
    /// gap first. Of each piece, and at each end of a chunk, up to `lost` entries may stay
    /// unused: that many more are taken.
    pub(super) fn take_in_pieces(
        &mut self,
        length: usize,
        lost: usize,
    ) -> Option<Vec<Range<usize>>> {
        let chunks = length / CHUNK_ROWS + 1;
        if let Some(range) = self.take(length + chunks * lost) {
            return Some(vec![range]);
        }
        let mut order: Vec<Range<usize>> =
            self.gaps.iter().map(|(start, end)| *start..*end).collect();
        order.sort_by_key(|range| std::cmp::Reverse(range.len()));
        let mut pieces = Vec::new();
        let mut usable = 0;
        for range in order {
            let chunks = range.len() / CHUNK_ROWS + 2;
            let gain = range.len().saturating_sub(chunks * lost);
            if gain == 0 || usable >= length {
                break;
            }
            usable += gain;
            pieces.push(range);
        }
        if usable < length {
            return None;
        }
        for piece in &pieces {
            self.gaps.remove(&piece.start);
            self.used += piece.len();
        }
        Some(pieces)
    }

    /// Gives back several ranges.
    pub(super) fn give_all(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        for range in ranges {
            self.give(range);
        }
    }

    /// Gives back what was taken, or a part of it.
    pub(super) fn give(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.used -= range.len();
        let Range { mut start, mut end } = range;
        if let Some((before, to)) = self.gaps.range(..start).next_back()
            && *to == start
        {
            start = *before;
        }
        if let Some(after) = self.gaps.remove(&end) {
            end = after;
        }
        self.gaps.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_is_nobody_elses_and_all_of_it_comes_back(
            lengths in prop::collection::vec((1usize..300, any::<bool>()), 1..80)
        ) {
            let mut room = Room::new(4096);
            let mut taken: Vec<Range<usize>> = Vec::new();
            for (length, give) in lengths {
                if give && !taken.is_empty() {
                    let index = length % taken.len();
                    room.give(taken.swap_remove(index));
                } else if let Some(range) = room.take(length) {
                    prop_assert_eq!(range.len(), length);
                    prop_assert!(range.end <= 4096);
                    let apart = |other: &Range<usize>| other.end <= range.start || range.end <= other.start;
                    prop_assert!(taken.iter().all(apart));
                    taken.push(range);
                }
                prop_assert_eq!(room.used(), taken.iter().map(ExactSizeIterator::len).sum::<usize>());
            }
            for range in taken {
                room.give(range);
            }
            prop_assert_eq!(room.take(4096), Some(0..4096));
        }
    }

    #[test]
    fn what_has_no_room_in_a_row_comes_in_pieces() {
        let mut room = Room::new(10_000);
        let all: Vec<_> = (0..10).filter_map(|_| room.take(1000)).collect();
        room.give_all(all.iter().step_by(2).cloned());
        assert_eq!(room.take(1500), None);
        let pieces = room.take_in_pieces(1500, 10).unwrap();
        assert_eq!(pieces.len(), 2);
        assert!(room.take_in_pieces(3500, 10).is_none());
        room.give_all(pieces);
        assert_eq!(room.used(), 5000);
        assert_eq!(room.take_in_pieces(500, 10).unwrap().len(), 1);
    }

    #[test]
    fn a_full_table_has_no_place() {
        let mut room = Room::new(10);
        assert_eq!(room.take(10), Some(0..10));
        assert_eq!(room.take(1), None);
        room.give(3..5);
        assert_eq!(room.take(2), Some(3..5));
        assert_eq!(Room::new(0).take(1), None);
    }
}
