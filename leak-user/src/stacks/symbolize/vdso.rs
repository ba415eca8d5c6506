//! The code that the kernel maps into every process (vDSO). All of the same kind
//! have the same, so it is read from this process's own memory.

use std::{
    fs::{self, File},
    io::Write,
    os::fd::FromRawFd,
};

use crate::proc::Mapping;

/// The kernel's name of the mapping.
pub(super) const NAME: &str = "[vdso]";

/// Most bytes taken; it has two pages.
const MAX_BYTES: u64 = 1 << 20;

/// A copy of this process's in memory. `None` where it has none.
pub(super) fn copy() -> Option<File> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut mappings = maps.lines().filter_map(Mapping::parse);
    let mapping = mappings.find(|mapping| mapping.path == NAME)?;
    let size = mapping.end.checked_sub(mapping.start)?;
    // SAFETY: it has no preconditions.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    if start == 0 || start != mapping.start || size > MAX_BYTES {
        return None;
    }
    // SAFETY: the kernel says that it begins there and that so many bytes are
    // mapped; it stays there, readable, for as long as the process lives.
    let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, size as usize) };
    // SAFETY: a constant string that ends in a zero byte.
    let descriptor = unsafe { libc::memfd_create(c"leaktrace-vdso".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return None;
    }
    // SAFETY: the kernel just made this descriptor, nobody else has it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(bytes).ok()?;
    Some(file)
}
