//! Where a process's code lay in its memory, and what lay there before.

use std::{ops::Range, rc::Rc};

use super::{
    call_site::Kind,
    perf_map::PerfMap,
    region::{Place, Region},
};
use crate::model::time::Nanos;

/// Most executable mappings kept of a process.
pub(super) const MAX_REGIONS: usize = 16_384;

/// Most of those kept that something else was mapped over.
const MAX_REPLACED: usize = 128;

/// All executable mappings of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// What was seen last at each address; by address.
    regions: Vec<Region>,
    /// What was seen earlier where something else was later; by the time it was seen
    /// first.
    replaced: Vec<Region>,
    pub(super) perf_map: Option<Rc<PerfMap>>,
    pub(super) used: u64,
    /// There is code that nothing is known of.
    pub(super) stale: bool,
}

impl Snapshot {
    /// Of regions in the order of their addresses.
    pub(super) fn new(regions: Vec<Region>) -> Snapshot {
        Snapshot {
            regions,
            ..Snapshot::default()
        }
    }

    /// Of a process of which nothing was seen.
    pub(super) fn unseen() -> Snapshot {
        Snapshot {
            stale: true,
            ..Snapshot::default()
        }
    }

    /// Whether a perf map may name any of it.
    pub(super) fn may_be_generated(&self) -> bool {
        self.regions.iter().any(Region::may_be_generated)
    }

    /// The region that an address lay in at a time, as far as that is known.
    ///
    /// What was found by looking was there already when a stack came in that made
    /// one look: between two looks the later one is right. What the kernel told of
    /// has lain there exactly since then.
    pub(super) fn region(&self, address: u64, time: Nanos) -> Option<&Region> {
        let earlier = self.replaced.iter();
        let earlier = earlier.filter(|region| region.contains(address));
        let mut versions = earlier.chain(self.latest(address)).peekable();
        while let Some(version) = versions.next() {
            let until = match versions.peek() {
                None => Nanos::MAX,
                Some(next) if next.told => next.first.saturating_sub(1),
                Some(_) => version.last,
            };
            if time <= until {
                return Some(version);
            }
        }
        None
    }

    fn latest(&self, address: u64) -> Option<&Region> {
        let index = self.regions.partition_point(|region| region.end <= address);
        let region = self.regions.get(index)?;
        region.contains(address).then_some(region)
    }

    /// The region that the instruction of a frame lay in.
    pub(super) fn region_of(&self, address: u64, kind: Kind, time: Nanos) -> Option<&Region> {
        let called = || self.region(address.saturating_sub(1), time);
        match kind {
            Kind::Caller => called(),
            // It may be the first instruction of the region.
            Kind::Innermost => called().or_else(|| self.region(address, time)),
            Kind::Interrupted => self.region(address, time),
        }
    }

    /// Keeps what an earlier snapshot has that is not there now: stacks from before
    /// a library was unloaded still have its addresses.
    pub(super) fn keep_earlier(&mut self, earlier: Snapshot) {
        self.replaced = earlier.replaced;
        let mut gone = Vec::new();
        for old in earlier.regions {
            let overlapped = self.overlapped(&old);
            if overlapped.is_empty() {
                gone.push(old);
                continue;
            }
            let mut is_replaced = false;
            for new in &mut self.regions[overlapped] {
                match new.is_same_code(&old) {
                    true => new.continues(&old),
                    false => is_replaced = true,
                }
            }
            if is_replaced {
                self.replace(old);
            }
        }
        gone.truncate(MAX_REGIONS.saturating_sub(self.regions.len()));
        self.regions.extend(gone);
        self.regions.sort_by_key(|region| region.start);
    }

    /// Takes in a region that the kernel told of. It may be told late, when what came
    /// after it was seen already.
    pub(super) fn mapped(&mut self, new: Region) {
        let overlapped = self.overlapped(&new);
        if let [known] = &mut self.regions[overlapped.clone()]
            && known.covers(&new)
            && known.is_same_code(&new)
        {
            if new.first < known.first {
                known.first = new.first;
                known.told = true;
            }
            known.last = known.last.max(new.last);
            if matches!(known.place, Place::Unknown) {
                known.file = new.file;
                known.place = new.place;
            }
            return;
        }
        self.stale |= matches!(new.place, Place::Unknown);
        let start = overlapped.start;
        let mut latest = Vec::new();
        for mut old in self.regions.drain(overlapped).collect::<Vec<_>>() {
            if old.last <= new.first {
                self.replace(old);
                continue;
            }
            if old.first <= new.first {
                // There before and after: twice.
                self.replace(Region {
                    last: new.first,
                    ..old.clone()
                });
                old.first = old.last;
                old.told = false;
            }
            latest.push(old);
        }
        if !latest.is_empty() {
            self.replace(new);
        } else if self.regions.len() < MAX_REGIONS {
            latest.push(new);
        }
        self.regions.splice(start..start, latest);
    }

    /// The regions that share an address with one.
    fn overlapped(&self, other: &Region) -> Range<usize> {
        let start = self.regions.partition_point(|one| one.end <= other.start);
        let end = self.regions.partition_point(|one| one.start < other.end);
        start..end.max(start)
    }

    /// Keeps a region as one that something else was seen at later.
    fn replace(&mut self, old: Region) {
        let later = |one: &Region| one.first <= old.first;
        let index = self.replaced.partition_point(later);
        self.replaced.insert(index, old);
        if self.replaced.len() > MAX_REPLACED {
            self.replaced.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::proc::Mapping;

    fn region(line: &str, now: Nanos) -> Region {
        Region::new(&Mapping::parse(line).unwrap(), None, now)
    }

    fn told(line: &str, time: Nanos) -> Region {
        Region {
            told: true,
            ..region(line, time)
        }
    }

    fn seen(lines: &[&str], now: Nanos) -> Snapshot {
        Snapshot::new(lines.iter().map(|line| region(line, now)).collect())
    }

    /// As it is learned again.
    fn again(earlier: Snapshot, lines: &[&str], now: Nanos) -> Snapshot {
        let mut snapshot = seen(lines, now);
        snapshot.keep_earlier(earlier);
        snapshot
    }

    fn inode_at(snapshot: &Snapshot, address: u64, time: Nanos) -> Option<u64> {
        snapshot.region(address, time).map(|region| region.file.1)
    }

    /// Which files are at an address, time by time.
    fn inodes_at<const N: usize>(
        snapshot: &Snapshot,
        address: u64,
        times: [Nanos; N],
    ) -> [Option<u64>; N] {
        times.map(|time| inode_at(snapshot, address, time))
    }

    const A: &str = "1000-2000 r-xp 0 fe:00 1 /a";
    const B: &str = "1000-2000 r-xp 0 fe:00 2 /b";
    const C: &str = "1000-3000 r-xp 0 fe:00 3 /c";

    #[test]
    fn an_address_is_in_the_region_that_covers_it() {
        let snapshot = seen(&[A, "3000-4000 r-xp 0 00:00 0 [vdso]"], 1);
        for (address, start) in [
            (0xfff, None),
            (0x1000, Some(0x1000)),
            (0x1fff, Some(0x1000)),
            (0x2000, None),
            (0x3fff, Some(0x3000)),
            (u64::MAX, None),
        ] {
            let found = snapshot.region(address, 1).map(|region| region.start);
            assert_eq!(found, start, "{address:#x}");
        }
    }

    #[test]
    fn unloaded_libraries_stay() {
        let unloaded = "4000-5000 r-xp 0 fe:00 9 /unloaded";
        let snapshot = again(seen(&[A, unloaded], 10), &[A], 20);
        assert_eq!(inodes_at(&snapshot, 0x4000, [5, 15, 25]), [Some(9); 3]);
        assert_eq!(snapshot.replaced.len(), 0);
    }

    #[test]
    fn between_two_looks_the_later_one_is_right() {
        let snapshot = again(seen(&[A], 10), &[A], 20);
        let snapshot = again(snapshot, &[B], 30);
        let snapshot = again(snapshot, &[C], 40);
        let found = inodes_at(&snapshot, 0x1800, [5, 10, 20, 21, 30, 31, 99]);
        assert_eq!(found, [1, 1, 1, 2, 2, 3, 3].map(Some));
        assert_eq!(inode_at(&snapshot, 0x2800, 5), Some(3));
    }

    #[test]
    fn what_the_kernel_told_lies_there_from_then_on() {
        let mut snapshot = seen(&[A], 10);
        snapshot.mapped(told(B, 30));
        let snapshot = again(snapshot, &[B], 50);
        let found = inodes_at(&snapshot, 0x1000, [5, 29, 30, 40, 60]);
        assert_eq!(found, [1, 1, 2, 2, 2].map(Some));
        // The same place twice, with another file in between.
        let mut snapshot = snapshot;
        snapshot.mapped(told(A, 70));
        let found = inodes_at(&snapshot, 0x1000, [29, 69, 70, 99]);
        assert_eq!(found, [1, 2, 1, 1].map(Some));
    }

    #[test]
    fn what_is_told_late_does_not_hide_what_was_seen_since() {
        let mut snapshot = seen(&[A], 50);
        for (line, time) in [(A, 5), (B, 15), (A, 25)] {
            snapshot.mapped(told(line, time));
        }
        let found = inodes_at(&snapshot, 0x1000, [4, 14, 15, 24, 25, 60]);
        assert_eq!(found, [1, 1, 2, 2, 1, 1].map(Some));
        let mut snapshot = seen(&[C], 50);
        for (line, time) in [(A, 5), (B, 15), (C, 25)] {
            snapshot.mapped(told(line, time));
        }
        let found = inodes_at(&snapshot, 0x1000, [4, 14, 15, 24, 25, 60]);
        assert_eq!(found, [1, 1, 2, 2, 3, 3].map(Some));
    }

    #[test]
    fn what_lies_beside_a_replacement_is_still_known() {
        let mut snapshot = seen(&[C], 10);
        snapshot.mapped(told(B, 30));
        assert_eq!(inodes_at(&snapshot, 0x1000, [20, 40]), [Some(3), Some(2)]);
        assert_eq!(inodes_at(&snapshot, 0x2000, [20, 40]), [Some(3); 2]);
    }

    #[test]
    fn a_file_known_by_number_gets_its_name_by_looking() {
        let mut snapshot = Snapshot::unseen();
        snapshot.mapped(Region {
            place: Place::Unknown,
            // Of another device: overlayfs.
            ..told("1000-2000 r-xp 0 00:31 1 /unknown", 20)
        });
        assert!(snapshot.stale);
        let snapshot = again(snapshot, &[A], 30);
        assert!(!snapshot.stale && snapshot.replaced.is_empty());
        let found = snapshot.region(0x1000, 20).unwrap();
        assert_eq!((found.first, found.told), (20, true));
        assert!(matches!(found.place, Place::File { .. }));
    }

    #[test]
    fn what_is_known_is_told_without_effect() {
        let mut snapshot = seen(&[C], 10);
        snapshot.mapped(Region {
            place: Place::Unknown,
            ..told("2000-3000 r-xp 1000 fe:00 3 /c", 20)
        });
        assert!(!snapshot.stale);
        assert_eq!((snapshot.regions.len(), snapshot.replaced.len()), (1, 0));
        assert_eq!(snapshot.regions[0].end, 0x3000);
    }

    #[test]
    fn replaced_regions_are_bounded_and_the_first_ones_go() {
        let mut snapshot = Snapshot::default();
        for time in 0..1000 {
            snapshot.mapped(told(&format!("1000-2000 r-xp 0 fe:00 {time} /x"), time));
        }
        assert_eq!(snapshot.replaced.len(), MAX_REPLACED);
        assert_eq!(inode_at(&snapshot, 0x1000, 990), Some(990));
        assert_eq!(snapshot.regions.len(), 1);
        for page in 0..20_000_u64 {
            let (start, end) = (page << 12, (page + 1) << 12);
            let line = format!("{start:x}-{end:x} r-xp 0 fe:00 7 /x");
            snapshot.mapped(told(&line, 1000));
        }
        assert_eq!(snapshot.regions.len(), MAX_REGIONS);
    }

    /// Whatever comes in whatever order, and however it overlaps.
    #[test]
    fn regions_stay_in_order_and_apart() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut snapshot = Snapshot::default();
        for round in 0..5000 {
            let start = random(30) + 1;
            let end = start + 1 + random(6);
            let inode = 1 + random(3);
            let line = format!("{start:x}000-{end:x}000 r-xp 0 fe:00 {inode} /x");
            match random(4) {
                0 => snapshot = again(snapshot, &[&line], round),
                _ => snapshot.mapped(told(&line, round.saturating_sub(random(9)))),
            }
            let mut pairs = snapshot.regions.windows(2);
            assert!(pairs.all(|pair| pair[0].end <= pair[1].start));
            let mut pairs = snapshot.replaced.windows(2);
            assert!(pairs.all(|pair| pair[0].first <= pair[1].first));
            for address in (start << 12..end << 12).step_by(0x1000) {
                assert!(inode_at(&snapshot, address, random(5000)).is_some());
            }
        }
    }

    #[test]
    fn generated_code_is_told_from_files() {
        for (line, expected) in [
            ("1000-2000 rwxp 0 00:00 0 ", true),
            ("1000-2000 r-xp 0 00:00 0 [anon:v8]", true),
            ("1000-2000 r-xs 0 00:01 9 /memfd:x (deleted)", true),
            (A, false),
            ("1000-2000 r-xp 0 00:00 0 [vdso]", false),
        ] {
            assert_eq!(region(line, 0).may_be_generated(), expected, "{line}");
        }
    }
}
