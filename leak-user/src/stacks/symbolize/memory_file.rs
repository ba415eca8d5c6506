//! Files that lie in memory and have no name.

use std::{ffi::CStr, fs::File, io, os::fd::FromRawFd as _};

/// An empty one (memfd_create(2)); the name is what `/proc` shows of it.
pub(super) fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the string ends in a zero byte.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, nobody else has it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}
