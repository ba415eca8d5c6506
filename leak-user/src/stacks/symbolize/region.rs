//! A piece of a process's memory with code, and when it is known to have lain there.

use std::rc::Rc;

use super::modules::{Key, ModuleId};
use crate::{model::time::Nanos, proc::Mapping};

/// An executable mapping.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Offset in the file.
    pub(super) offset: u64,
    pub(super) file: Key,
    pub(super) place: Place,
    /// When it was seen first and last.
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    /// The kernel told of it: `first` is when it was mapped, not when it was found.
    pub(super) told: bool,
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
    /// A file that the kernel told of, by number, and that was not seen otherwise.
    Unknown,
}

/// The path of a mapped file, without what the kernel adds to that of a deleted one.
pub(super) fn path_of(mapped: &str) -> &str {
    mapped.strip_suffix(" (deleted)").unwrap_or(mapped)
}

impl Region {
    /// What a process has mapped now.
    pub(super) fn new(mapping: &Mapping, module: Option<ModuleId>, now: Nanos) -> Region {
        let place = match mapping.path.as_bytes().first() {
            Some(b'/') => Place::File {
                module,
                path: path_of(&mapping.path).into(),
            },
            Some(b'[') if !mapping.may_be_from_mmap() => Place::Kernel {
                module,
                name: mapping.path.as_str().into(),
            },
            _ => Place::Anonymous,
        };
        Region {
            start: mapping.start,
            end: mapping.end,
            offset: mapping.offset,
            file: (mapping.device, mapping.inode),
            place,
            first: now,
            last: now,
            told: false,
        }
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether all of another region lies in this one.
    pub(super) fn covers(&self, other: &Region) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Offset in the file of what lies at an address.
    pub(super) fn file_offset(&self, address: u64) -> u64 {
        let within = address.wrapping_sub(self.start);
        self.offset.wrapping_add(within)
    }

    /// Whether both have the same code at the same addresses.
    pub(super) fn is_same_code(&self, other: &Region) -> bool {
        let base = |region: &Region| region.start.wrapping_sub(region.offset);
        let aligned = base(self) == base(other);
        match (&self.place, &other.place) {
            (Place::Anonymous, Place::Anonymous) => true,
            (Place::Kernel { name, .. }, Place::Kernel { name: other, .. }) => name == other,
            // The kernel may tell of another device than it shows (overlayfs).
            (
                Place::File { path, .. },
                Place::File {
                    path: other_path, ..
                },
            ) => {
                let same_device = self.file.0 == other.file.0 || path == other_path;
                aligned && same_device && self.file.1 == other.file.1
            }
            (Place::Unknown, Place::File { .. } | Place::Unknown)
            | (Place::File { .. }, Place::Unknown) => aligned && self.file.1 == other.file.1,
            _ => false,
        }
    }

    /// Takes over from when on the same code is known to lie there.
    pub(super) fn continues(&mut self, earlier: &Region) {
        if earlier.covers(self) && earlier.first <= self.first {
            self.first = earlier.first;
            self.told = earlier.told;
        }
    }

    /// Whether a perf map may name what lies there. Some programs map the code
    /// they make from a file in memory.
    pub(super) fn may_be_generated(&self) -> bool {
        match &self.place {
            Place::Anonymous => true,
            Place::File { path, .. } => path.starts_with("/memfd:") || path.starts_with("/dev/"),
            Place::Kernel { .. } | Place::Unknown => false,
        }
    }
}
