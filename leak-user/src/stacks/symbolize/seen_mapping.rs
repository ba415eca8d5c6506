//! A mapping with code, what backs it, and when it is known to have been there.

use std::rc::Rc;

use super::modules::{Key, ModuleId};
use crate::{
    model::{address::AddressRange, time::Nanos},
    proc::Mapping,
};

/// An executable mapping, and when it was there.
#[derive(Clone, Debug)]
pub(super) struct SeenMapping {
    pub(super) range: AddressRange,
    /// Offset in the file.
    pub(super) offset: u64,
    pub(super) file: Key,
    pub(super) backing: Backing,
    /// When it was seen first and last.
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    /// It shares a file that is deleted: libraries are mapped privately.
    pub(super) nameless: bool,
    /// The kernel told of it: `first` is when it was mapped, not when it was found.
    pub(super) told: bool,
}

/// What the code of a mapping comes from.
#[derive(Clone, Debug)]
pub(super) enum Backing {
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

impl SeenMapping {
    /// What a process has mapped now.
    pub(super) fn new(mapping: &Mapping, module: Option<ModuleId>, now: Nanos) -> SeenMapping {
        let backing = match mapping.path.as_bytes().first() {
            Some(b'/') => Backing::File {
                module,
                path: path_of(&mapping.path).into(),
            },
            Some(b'[') if !mapping.may_be_from_mmap() => Backing::Kernel {
                module,
                name: mapping.path.as_str().into(),
            },
            _ => Backing::Anonymous,
        };
        let is_shared = mapping.permissions[3] == b's';
        SeenMapping {
            nameless: is_shared && path_of(&mapping.path) != mapping.path,
            range: mapping.range,
            offset: mapping.offset,
            file: (mapping.device, mapping.inode),
            backing,
            first: now,
            last: now,
            told: false,
        }
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        self.range.contains(address)
    }

    /// Whether all of another mapping lies in this one.
    pub(super) fn covers(&self, other: &SeenMapping) -> bool {
        self.range.covers(other.range)
    }

    /// Offset in the file of what lies at an address.
    pub(super) fn file_offset(&self, address: u64) -> u64 {
        let within = address.wrapping_sub(self.range.start);
        self.offset.wrapping_add(within)
    }

    /// Whether both have the same code at the same addresses.
    pub(super) fn is_same_code(&self, other: &SeenMapping) -> bool {
        let base = |mapping: &SeenMapping| mapping.range.start.wrapping_sub(mapping.offset);
        let aligned = base(self) == base(other);
        match (&self.backing, &other.backing) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::Kernel { name, .. }, Backing::Kernel { name: other, .. }) => name == other,
            // The kernel may tell of another device than it shows (overlayfs).
            (
                Backing::File { path, .. },
                Backing::File {
                    path: other_path, ..
                },
            ) => {
                let same_device = self.file.0 == other.file.0 || path == other_path;
                aligned && same_device && self.file.1 == other.file.1
            }
            (Backing::Unknown, Backing::File { .. } | Backing::Unknown)
            | (Backing::File { .. }, Backing::Unknown) => aligned && self.file.1 == other.file.1,
            _ => false,
        }
    }

    /// Takes over from when on the same code is known to lie there.
    pub(super) fn continues(&mut self, earlier: &SeenMapping) {
        if earlier.covers(self) && earlier.first <= self.first {
            self.first = earlier.first;
            self.told = earlier.told;
        }
    }

    /// Whether a perf map may name what lies there. Some programs map the code
    /// they make from a file in memory.
    pub(super) fn may_be_generated(&self) -> bool {
        match &self.backing {
            Backing::Anonymous => true,
            Backing::File { .. } if self.nameless => true,
            Backing::File { path, .. } => path.starts_with("/memfd:") || path.starts_with("/dev/"),
            Backing::Kernel { .. } | Backing::Unknown => false,
        }
    }
}
