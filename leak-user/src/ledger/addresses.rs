//! Ranges of addresses, and what unmapping and moving make of them.

use std::ops::Range;

use super::releases::Change;

/// Addresses from the first to before the end.
pub(super) type Addresses = Range<u64>;

/// mremap: what is at `old` is at `new` from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) old: u64,
    pub(super) old_length: u64,
    pub(super) new: u64,
    pub(super) new_length: u64,
}

impl Move {
    pub(super) fn source(&self) -> Addresses {
        self.old..self.old.saturating_add(self.old_length)
    }

    pub(super) fn target(&self) -> Addresses {
        self.new..self.new.saturating_add(self.new_length)
    }

    /// Where a piece of the source is afterwards: empty if it was cut off, longer
    /// if the mapping grew behind it.
    pub(super) fn moved(&self, piece: &Addresses) -> Addresses {
        let (source, target) = (self.source(), self.target());
        let place = |address: u64| {
            let offset = address.saturating_sub(source.start).min(self.new_length);
            self.new.saturating_add(offset).min(target.end)
        };
        let end = if piece.end == source.end {
            target.end
        } else {
            place(piece.end)
        };
        place(piece.start)..end
    }
}

/// Removes the addresses in `hole` from `ranges`.
pub(super) fn subtract(ranges: &mut Vec<Addresses>, hole: &Addresses) {
    if hole.is_empty() {
        return;
    }
    *ranges = std::mem::take(ranges)
        .into_iter()
        .flat_map(|range| {
            [
                range.start..range.end.min(hole.start),
                range.start.max(hole.end)..range.end,
            ]
        })
        .filter(|range| !range.is_empty())
        .collect();
}

/// What `change` does to a mapping that is at `ranges`, the first of which began
/// at `start`.
pub(super) fn on_mapping(change: &Change, start: u64, ranges: &mut Vec<Addresses>) {
    match *change {
        Change::Released { first, last } => {
            subtract(ranges, &(first..last.saturating_add(1)));
        }
        Change::Detached { first } => {
            let begins = first == start || ranges.first().is_some_and(|r| r.start == first);
            if begins {
                ranges.clear();
            }
        }
        Change::Moved(change) => {
            let source = change.source();
            let mut moved: Vec<Addresses> = ranges
                .iter()
                .map(|range| range.start.max(source.start)..range.end.min(source.end))
                .filter(|part| !part.is_empty())
                .map(|part| change.moved(&part))
                .filter(|part| !part.is_empty())
                .collect();
            subtract(ranges, &source);
            subtract(ranges, &change.target());
            ranges.append(&mut moved);
        }
        _ => {}
    }
}
