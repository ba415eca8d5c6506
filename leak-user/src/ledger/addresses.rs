//! What unmapping and moving make of ranges of addresses.

use super::releases::Change;
use crate::model::address::AddressRange;

/// mremap: what is at `old` is at `new` from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) old: u64,
    pub(super) old_length: u64,
    pub(super) new: u64,
    pub(super) new_length: u64,
}

impl Move {
    pub(super) fn source(&self) -> AddressRange {
        (self.old..self.old.saturating_add(self.old_length)).into()
    }

    pub(super) fn target(&self) -> AddressRange {
        (self.new..self.new.saturating_add(self.new_length)).into()
    }

    /// Where a piece of the source is afterwards: empty if mremap cut it off, longer if
    /// mremap made the mapping longer and the piece was its last.
    pub(super) fn moved(&self, piece: AddressRange) -> AddressRange {
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
        (place(piece.start)..end).into()
    }
}

/// Removes the addresses in `hole` from `ranges`.
pub(super) fn subtract(ranges: &mut Vec<AddressRange>, hole: AddressRange) {
    if hole.is_empty() {
        return;
    }
    *ranges = std::mem::take(ranges)
        .into_iter()
        .flat_map(|range| {
            [
                AddressRange::from(range.start..range.end.min(hole.start)),
                AddressRange::from(range.start.max(hole.end)..range.end),
            ]
        })
        .filter(|range| !range.is_empty())
        .collect();
}

/// What `change` does to a mapping that is at `ranges`, the first of which began
/// at `start`.
pub(super) fn on_mapping(change: &Change, start: u64, ranges: &mut Vec<AddressRange>) {
    match *change {
        Change::Released { first, last } => {
            subtract(ranges, (first..last.saturating_add(1)).into());
        }
        Change::Detached { first } => {
            let begins = first == start || ranges.first().is_some_and(|r| r.start == first);
            if begins {
                ranges.clear();
            }
        }
        Change::Moved(change) => {
            let source = change.source();
            let mut moved: Vec<AddressRange> = ranges
                .iter()
                .map(|range| range.intersection(source))
                .filter(|part| !part.is_empty())
                .map(|part| change.moved(part))
                .filter(|part| !part.is_empty())
                .collect();
            subtract(ranges, source);
            subtract(ranges, change.target());
            ranges.append(&mut moved);
        }
        Change::Freed { .. }
        | Change::Marked { .. }
        | Change::Executed
        | Change::Copied { .. }
        | Change::Ended { .. } => {}
    }
}
