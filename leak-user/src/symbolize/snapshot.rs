//! Where a process's code lay in its memory at some moment.

use std::rc::Rc;

use super::{call_site::Kind, modules::ModuleId, perf_map::PerfMap};
use crate::proc::Mapping;

/// Most executable mappings kept of a process.
pub(super) const MAX_REGIONS: usize = 16_384;

/// An executable mapping.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Offset in the file.
    pub(super) offset: u64,
    pub(super) place: Place,
}

/// What is mapped.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The module is `None` where the file could not be opened.
    File {
        module: Option<ModuleId>,
        path: Rc<str>,
    },
    /// Code of the kernel in every process (`[vdso]`, `[vsyscall]`, `[uprobes]`).
    Kernel {
        module: Option<ModuleId>,
        name: Rc<str>,
    },
    /// Code that the program made itself.
    Anonymous,
}

impl Region {
    pub(super) fn new(mapping: &Mapping, module: Option<ModuleId>) -> Region {
        let path = mapping.path.as_str();
        let place = match path.as_bytes().first() {
            Some(b'/') => Place::File {
                module,
                path: path.strip_suffix(" (deleted)").unwrap_or(path).into(),
            },
            Some(b'[') if !mapping.may_be_from_mmap() => Place::Kernel {
                module,
                name: path.into(),
            },
            _ => Place::Anonymous,
        };
        Region {
            start: mapping.start,
            end: mapping.end,
            offset: mapping.offset,
            place,
        }
    }

    /// Offset in the file of what lies at an address.
    pub(super) fn file_offset(&self, address: u64) -> u64 {
        let within = address.wrapping_sub(self.start);
        self.offset.wrapping_add(within)
    }

    /// Whether a perf map may name what lies there. Some programs map the code
    /// they make from a file in memory.
    pub(super) fn may_be_generated(&self) -> bool {
        match &self.place {
            Place::Anonymous => true,
            Place::File { path, .. } => path.starts_with("/memfd:") || path.starts_with("/dev/"),
            Place::Kernel { .. } => false,
        }
    }
}

/// All executable mappings of a process, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) regions: Vec<Region>,
    pub(super) perf_map: Option<Rc<PerfMap>>,
    pub(super) used: u64,
}

impl Snapshot {
    /// The region that an address lies in.
    pub(super) fn region(&self, address: u64) -> Option<&Region> {
        let index = self.regions.partition_point(|region| region.end <= address);
        let region = self.regions.get(index)?;
        (region.start <= address).then_some(region)
    }

    /// The region that the instruction of a frame lies in.
    pub(super) fn region_of(&self, address: u64, kind: Kind) -> Option<&Region> {
        let called = self.region(address.saturating_sub(1));
        match kind {
            Kind::Caller => called,
            // It may be the first instruction of the region.
            Kind::Innermost => called.or_else(|| self.region(address)),
            Kind::Interrupted => self.region(address),
        }
    }

    /// Keeps those of an earlier snapshot that nothing lies in now: stacks from
    /// before a library was unloaded still have its addresses.
    pub(super) fn keep_unmapped(&mut self, earlier: &Snapshot) {
        let gone = earlier.regions.iter().filter(|old| {
            let index = self.regions.partition_point(|new| new.end <= old.start);
            let next = self.regions.get(index);
            next.is_none_or(|next| next.start >= old.end)
        });
        let room = MAX_REGIONS.saturating_sub(self.regions.len());
        let gone: Vec<Region> = gone.take(room).cloned().collect();
        self.regions.extend(gone);
        self.regions.sort_by_key(|region| region.start);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn region(line: &str) -> Region {
        Region::new(&Mapping::parse(line).unwrap(), None)
    }

    fn starts(snapshot: &Snapshot) -> Vec<u64> {
        let regions = snapshot.regions.iter();
        regions.map(|region| region.start).collect()
    }

    #[test]
    fn an_address_is_in_the_region_that_covers_it() {
        let snapshot = Snapshot {
            regions: vec![
                region("1000-2000 r-xp 0 fe:00 1 /a"),
                region("3000-4000 r-xp 0 00:00 0 [vdso]"),
            ],
            ..Snapshot::default()
        };
        for (address, start) in [
            (0xfff, None),
            (0x1000, Some(0x1000)),
            (0x1fff, Some(0x1000)),
            (0x2000, None),
            (0x3fff, Some(0x3000)),
            (u64::MAX, None),
        ] {
            let found = snapshot.region(address).map(|region| region.start);
            assert_eq!(found, start, "{address:#x}");
        }
    }

    #[test]
    fn unloaded_libraries_stay_unless_something_else_lies_there() {
        let earlier = Snapshot {
            regions: vec![
                region("1000-2000 r-xp 0 fe:00 1 /unloaded"),
                region("3000-5000 r-xp 0 fe:00 2 /replaced"),
                region("6000-7000 r-xp 0 fe:00 3 /same"),
            ],
            ..Snapshot::default()
        };
        let mut now = Snapshot {
            regions: vec![
                region("4000-4800 r-xp 0 fe:00 4 /new"),
                region("6000-7000 r-xp 0 fe:00 3 /same"),
            ],
            ..Snapshot::default()
        };
        now.keep_unmapped(&earlier);
        assert_eq!(starts(&now), [0x1000, 0x4000, 0x6000]);
    }

    #[test]
    fn generated_code_is_told_from_files() {
        assert!(region("1000-2000 rwxp 0 00:00 0 ").may_be_generated());
        assert!(region("1000-2000 r-xp 0 00:00 0 [anon:v8]").may_be_generated());
        assert!(
            region("1000-2000 r-xs 0 00:01 9 /memfd:doublemapper (deleted)").may_be_generated()
        );
        assert!(!region("1000-2000 r-xp 0 fe:00 1 /a").may_be_generated());
        assert!(!region("1000-2000 r-xp 0 00:00 0 [vdso]").may_be_generated());
    }
}
