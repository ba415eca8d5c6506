//! Ranges of addresses.

/// Addresses from the first to before the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    pub start: u64,
    /// The first address behind it.
    pub end: u64,
}

impl AddressRange {
    /// Bytes in it; 0 where it ends before it starts.
    #[must_use]
    pub const fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    #[must_use]
    pub const fn contains(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Whether all of another range lies in it.
    #[must_use]
    pub const fn covers(self, other: AddressRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// What both have; empty where they have nothing in common.
    #[must_use]
    pub fn intersection(self, other: AddressRange) -> AddressRange {
        AddressRange {
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        }
    }
}

impl From<std::ops::Range<u64>> for AddressRange {
    fn from(range: std::ops::Range<u64>) -> AddressRange {
        AddressRange {
            start: range.start,
            end: range.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_before_its_end() {
        let range = AddressRange::from(10..20);
        assert!(range.contains(10) && range.contains(19) && !range.contains(20));
        assert_eq!(range.length(), 10);
        assert_eq!(range.intersection((15..30).into()), (15..20).into());
        assert!(range.intersection((20..30).into()).is_empty());
        assert!(range.covers((12..20).into()) && !range.covers((12..21).into()));
        assert_eq!(AddressRange { start: 5, end: 2 }.length(), 0);
    }
}
