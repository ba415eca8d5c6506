//! Which code lay where in a process's memory, and when: stacks are named later than they are
//! taken, and by then another library may lie at the same address.

use std::{ops::Range, rc::Rc};

use super::{
    call_site::Role,
    perf_map::PerfMap,
    seen_mapping::{Backing, SeenMapping},
};
use crate::model::{address::AddressRange, time::Nanos};

/// Most executable mappings kept of a process.
pub(super) const MAX_MAPPINGS: usize = 16_384;

/// Code that a process generates lies in one region if no more is between its parts.
const GAP: u64 = 256 << 20;

/// Most mappings kept of those that something else was mapped over.
const MAX_REPLACED: usize = 128;

/// All executable mappings of a process, and those that were there before.
#[derive(Clone, Debug, Default)]
pub(super) struct CodeMap {
    /// What was seen last at each address, in the order of addresses.
    mappings: Vec<SeenMapping>,
    /// What was seen at an address where something else was seen later, in the order in which
    /// it was seen first.
    replaced: Vec<SeenMapping>,
    pub(super) perf_map: Option<Rc<PerfMap>>,
    /// The process maps code whose file is not known.
    pub(super) stale: bool,
}

impl CodeMap {
    /// The map with these mappings, which are in the order of their addresses.
    pub(super) fn new(mappings: Vec<SeenMapping>) -> CodeMap {
        CodeMap {
            mappings,
            ..CodeMap::default()
        }
    }

    /// The map of a process whose mappings were never read.
    pub(super) fn unseen() -> CodeMap {
        CodeMap {
            stale: true,
            ..CodeMap::default()
        }
    }

    /// How many mappings it has.
    pub(super) fn len(&self) -> usize {
        self.mappings.len() + self.replaced.len()
    }

    /// Whether a perf map may name any of it.
    pub(super) fn may_be_generated(&self) -> bool {
        self.mappings.iter().any(SeenMapping::may_be_generated)
    }

    /// Where it is, with the gaps between where there is no other code: what such a process maps for
    /// its code, it fills from time to time. In the order of addresses.
    pub(super) fn generated(&self) -> Vec<AddressRange> {
        let mut ranges: Vec<AddressRange> = Vec::new();
        let mut goes_on = false;
        for mapping in &self.mappings {
            let range = mapping.range;
            let is_generated = mapping.may_be_generated();
            match ranges.last_mut() {
                Some(last) if is_generated && goes_on && range.start - last.end <= GAP => {
                    last.end = range.end;
                }
                _ if is_generated => ranges.push(range),
                _ => {}
            }
            goes_on = is_generated;
        }
        ranges
    }

    /// The mapping that an address lay in at a time, as far as that is known.
    ///
    /// Mappings are read because a stack came in whose addresses were not known. So what was
    /// read was there a little before already, and of two readings the later one is right for
    /// the time between them. Example: A was read at 10, B at 20: a stack of 15 is in B. Of what
    /// the kernel told, the time is exact: A was read at 10, the kernel told of B at 20: a
    /// stack of 15 is in A.
    pub(super) fn mapping(&self, address: u64, time: Nanos) -> Option<&SeenMapping> {
        let earlier = self.replaced.iter();
        let earlier = earlier.filter(|mapping| mapping.contains(address));
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

    fn latest(&self, address: u64) -> Option<&SeenMapping> {
        let index = self
            .mappings
            .partition_point(|mapping| mapping.range.end <= address);
        let mapping = self.mappings.get(index)?;
        mapping.contains(address).then_some(mapping)
    }

    /// The mapping that the instruction of a frame lay in.
    pub(super) fn mapping_of(&self, address: u64, role: Role, time: Nanos) -> Option<&SeenMapping> {
        let called = || self.mapping(address.saturating_sub(1), time);
        match role {
            Role::Caller => called(),
            // It may be the first instruction of the mapping.
            Role::Innermost => called().or_else(|| self.mapping(address, time)),
            Role::Interrupted => self.mapping(address, time),
        }
    }

    /// Keeps what an earlier map of the same process has that is not there now: stacks from
    /// before a library was unloaded still have its addresses.
    pub(super) fn keep_earlier(&mut self, earlier: CodeMap) {
        self.replaced = earlier.replaced;
        let mut gone = Vec::new();
        for old in earlier.mappings {
            let overlapped = self.overlapped(&old);
            if overlapped.is_empty() {
                gone.push(old);
                continue;
            }
            let mut is_replaced = false;
            for new in &mut self.mappings[overlapped] {
                match new.is_same_code(&old) {
                    true => new.continues(&old),
                    false => is_replaced = true,
                }
            }
            if is_replaced {
                self.replace(old);
            }
        }
        gone.truncate(MAX_MAPPINGS.saturating_sub(self.mappings.len()));
        self.mappings.extend(gone);
        self.mappings.sort_by_key(|mapping| mapping.range.start);
    }

    /// Takes in a mapping that the kernel told of. It may be told late, when what came
    /// after it was seen already.
    pub(super) fn mapped(&mut self, new: SeenMapping) {
        let overlapped = self.overlapped(&new);
        if let [known] = &mut self.mappings[overlapped.clone()]
            && known.covers(&new)
            && known.is_same_code(&new)
        {
            if new.first < known.first {
                known.first = new.first;
                known.told = true;
            }
            known.last = known.last.max(new.last);
            if matches!(known.backing, Backing::Unknown) {
                known.file = new.file;
                known.backing = new.backing;
            }
            return;
        }
        self.stale |= matches!(new.backing, Backing::Unknown);
        let start = overlapped.start;
        let mut latest = Vec::new();
        for mut old in self.mappings.drain(overlapped).collect::<Vec<_>>() {
            if old.last <= new.first {
                self.replace(old);
                continue;
            }
            if old.first <= new.first {
                // It was there before and after the new one: it is kept once for each time.
                self.replace(SeenMapping {
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
        } else if self.mappings.len() < MAX_MAPPINGS {
            latest.push(new);
        }
        self.mappings.splice(start..start, latest);
    }

    /// The mappings that share an address with one.
    fn overlapped(&self, other: &SeenMapping) -> Range<usize> {
        let start = self
            .mappings
            .partition_point(|one| one.range.end <= other.range.start);
        let end = self
            .mappings
            .partition_point(|one| one.range.start < other.range.end);
        start..end.max(start)
    }

    /// Keeps a mapping whose addresses have something else by now.
    fn replace(&mut self, old: SeenMapping) {
        let later = |one: &SeenMapping| one.first <= old.first;
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

    fn mapping(line: &str, now: Nanos) -> SeenMapping {
        SeenMapping::new(&Mapping::parse(line).unwrap(), None, now)
    }

    fn told(line: &str, time: Nanos) -> SeenMapping {
        SeenMapping {
            told: true,
            ..mapping(line, time)
        }
    }

    fn seen(lines: &[&str], now: Nanos) -> CodeMap {
        CodeMap::new(lines.iter().map(|line| mapping(line, now)).collect())
    }

    /// As it is learned again.
    fn again(earlier: CodeMap, lines: &[&str], now: Nanos) -> CodeMap {
        let mut code_map = seen(lines, now);
        code_map.keep_earlier(earlier);
        code_map
    }

    fn inode_at(code_map: &CodeMap, address: u64, time: Nanos) -> Option<u64> {
        code_map
            .mapping(address, time)
            .map(|mapping| mapping.file.1)
    }

    /// Which files are at an address, time by time.
    fn inodes_at<const N: usize>(
        code_map: &CodeMap,
        address: u64,
        times: [Nanos; N],
    ) -> [Option<u64>; N] {
        times.map(|time| inode_at(code_map, address, time))
    }

    const A: &str = "1000-2000 r-xp 0 fe:00 1 /a";
    const B: &str = "1000-2000 r-xp 0 fe:00 2 /b";
    const C: &str = "1000-3000 r-xp 0 fe:00 3 /c";

    #[test]
    fn an_address_is_in_the_mapping_that_covers_it() {
        let code_map = seen(&[A, "3000-4000 r-xp 0 00:00 0 [vdso]"], 1);
        for (address, start) in [
            (0xfff, None),
            (0x1000, Some(0x1000)),
            (0x1fff, Some(0x1000)),
            (0x2000, None),
            (0x3fff, Some(0x3000)),
            (u64::MAX, None),
        ] {
            let found = code_map
                .mapping(address, 1)
                .map(|mapping| mapping.range.start);
            assert_eq!(found, start, "{address:#x}");
        }
    }

    #[test]
    fn unloaded_libraries_stay() {
        let unloaded = "4000-5000 r-xp 0 fe:00 9 /unloaded";
        let code_map = again(seen(&[A, unloaded], 10), &[A], 20);
        assert_eq!(inodes_at(&code_map, 0x4000, [5, 15, 25]), [Some(9); 3]);
        assert_eq!(code_map.replaced.len(), 0);
    }

    #[test]
    fn between_two_looks_the_later_one_is_right() {
        let code_map = again(seen(&[A], 10), &[A], 20);
        let code_map = again(code_map, &[B], 30);
        let code_map = again(code_map, &[C], 40);
        let found = inodes_at(&code_map, 0x1800, [5, 10, 20, 21, 30, 31, 99]);
        assert_eq!(found, [1, 1, 1, 2, 2, 3, 3].map(Some));
        assert_eq!(inode_at(&code_map, 0x2800, 5), Some(3));
    }

    #[test]
    fn what_the_kernel_told_lies_there_from_then_on() {
        let mut code_map = seen(&[A], 10);
        code_map.mapped(told(B, 30));
        let code_map = again(code_map, &[B], 50);
        let found = inodes_at(&code_map, 0x1000, [5, 29, 30, 40, 60]);
        assert_eq!(found, [1, 1, 2, 2, 2].map(Some));
        // The same place twice, with another file in between.
        let mut code_map = code_map;
        code_map.mapped(told(A, 70));
        let found = inodes_at(&code_map, 0x1000, [29, 69, 70, 99]);
        assert_eq!(found, [1, 2, 1, 1].map(Some));
    }

    #[test]
    fn what_is_told_late_does_not_hide_what_was_seen_since() {
        let mut code_map = seen(&[A], 50);
        for (line, time) in [(A, 5), (B, 15), (A, 25)] {
            code_map.mapped(told(line, time));
        }
        let found = inodes_at(&code_map, 0x1000, [4, 14, 15, 24, 25, 60]);
        assert_eq!(found, [1, 1, 2, 2, 1, 1].map(Some));
        let mut code_map = seen(&[C], 50);
        for (line, time) in [(A, 5), (B, 15), (C, 25)] {
            code_map.mapped(told(line, time));
        }
        let found = inodes_at(&code_map, 0x1000, [4, 14, 15, 24, 25, 60]);
        assert_eq!(found, [1, 1, 2, 2, 3, 3].map(Some));
    }

    #[test]
    fn what_lies_beside_a_replacement_is_still_known() {
        let mut code_map = seen(&[C], 10);
        code_map.mapped(told(B, 30));
        assert_eq!(inodes_at(&code_map, 0x1000, [20, 40]), [Some(3), Some(2)]);
        assert_eq!(inodes_at(&code_map, 0x2000, [20, 40]), [Some(3); 2]);
    }

    #[test]
    fn a_file_known_by_number_gets_its_name_by_looking() {
        let mut code_map = CodeMap::unseen();
        code_map.mapped(SeenMapping {
            backing: Backing::Unknown,
            // Of another device: overlayfs.
            ..told("1000-2000 r-xp 0 00:31 1 /unknown", 20)
        });
        assert!(code_map.stale);
        let code_map = again(code_map, &[A], 30);
        assert!(!code_map.stale && code_map.replaced.is_empty());
        let found = code_map.mapping(0x1000, 20).unwrap();
        assert_eq!((found.first, found.told), (20, true));
        assert!(matches!(found.backing, Backing::File { .. }));
    }

    #[test]
    fn what_is_known_is_told_without_effect() {
        let mut code_map = seen(&[C], 10);
        code_map.mapped(SeenMapping {
            backing: Backing::Unknown,
            ..told("2000-3000 r-xp 1000 fe:00 3 /c", 20)
        });
        assert!(!code_map.stale);
        assert_eq!((code_map.mappings.len(), code_map.replaced.len()), (1, 0));
        assert_eq!(code_map.mappings[0].range.end, 0x3000);
    }

    #[test]
    fn replaced_mappings_are_bounded_and_the_first_ones_go() {
        let mut code_map = CodeMap::default();
        for time in 0..1000 {
            code_map.mapped(told(&format!("1000-2000 r-xp 0 fe:00 {time} /x"), time));
        }
        assert_eq!(code_map.replaced.len(), MAX_REPLACED);
        assert_eq!(inode_at(&code_map, 0x1000, 990), Some(990));
        assert_eq!(code_map.mappings.len(), 1);
        for page in 0..20_000_u64 {
            let (start, end) = (page << 12, (page + 1) << 12);
            let line = format!("{start:x}-{end:x} r-xp 0 fe:00 7 /x");
            code_map.mapped(told(&line, 1000));
        }
        assert_eq!(code_map.mappings.len(), MAX_MAPPINGS);
    }

    /// Whatever comes in whatever order, and however it overlaps.
    #[test]
    fn mappings_stay_in_order_and_apart() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut code_map = CodeMap::default();
        for round in 0..5000 {
            let start = random(30) + 1;
            let end = start + 1 + random(6);
            let inode = 1 + random(3);
            let line = format!("{start:x}000-{end:x}000 r-xp 0 fe:00 {inode} /x");
            match random(4) {
                0 => code_map = again(code_map, &[&line], round),
                _ => code_map.mapped(told(&line, round.saturating_sub(random(9)))),
            }
            let mut pairs = code_map.mappings.windows(2);
            assert!(pairs.all(|pair| pair[0].range.end <= pair[1].range.start));
            let mut pairs = code_map.replaced.windows(2);
            assert!(pairs.all(|pair| pair[0].first <= pair[1].first));
            for address in (start << 12..end << 12).step_by(0x1000) {
                assert!(inode_at(&code_map, address, random(5000)).is_some());
            }
        }
    }

    #[test]
    fn generated_code_is_told_from_files() {
        for (line, expected) in [
            ("1000-2000 rwxp 0 00:00 0 ", true),
            ("1000-2000 r-xp 0 00:00 0 [anon:v8]", true),
            ("1000-2000 r-xs 0 00:01 9 /memfd:x (deleted)", true),
            ("1000-2000 r-xs 0 fe:00 9 /tmp/ffi7 (deleted)", true),
            ("1000-2000 r-xp 0 fe:00 9 /lib/old.so (deleted)", false),
            (A, false),
            ("1000-2000 r-xp 0 00:00 0 [vdso]", false),
        ] {
            assert_eq!(mapping(line, 0).may_be_generated(), expected, "{line}");
        }
    }
}
