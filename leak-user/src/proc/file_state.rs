//! What the kernel tells of a file without opening it (statx(2), statfs(2)).

use std::{io, mem::MaybeUninit, path::Path};

use super::open::c_path;

/// What statx(2) says of a file, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileState {
    /// Type and permissions, as `st_mode`.
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) size: u64,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    /// The file system's device has no number of its own (tmpfs, mqueue, ...).
    pub(super) unnamed_device: bool,
}

/// The state of a file as this host knows it: a file server that does not answer
/// is not asked.
pub(super) fn file_state(path: &Path) -> io::Result<FileState> {
    let path = c_path(path)?;
    let mut state = MaybeUninit::<libc::statx>::zeroed();
    let mask = libc::STATX_TYPE
        | libc::STATX_MODE
        | libc::STATX_NLINK
        | libc::STATX_SIZE
        | libc::STATX_INO;
    // SAFETY: the path ends in a zero byte, the buffer is a whole statx.
    let result = unsafe {
        libc::statx(
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_STATX_DONT_SYNC,
            mask,
            state.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all of it was zeroed, and every bit pattern is a statx.
    let state = unsafe { state.assume_init() };
    Ok(FileState {
        mode: u32::from(state.stx_mode),
        links: state.stx_nlink,
        size: state.stx_size,
        identity: (
            u64::from(state.stx_dev_major) << 32 | u64::from(state.stx_dev_minor),
            state.stx_ino,
        ),
        unnamed_device: state.stx_dev_major == 0,
    })
}

/// Whether a file lies in a file system of this type (statfs(2), `f_type`).
pub(super) fn is_on_file_system(path: &Path, magic: u32) -> bool {
    let Ok(path) = c_path(path) else {
        return false;
    };
    let mut state = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path ends in a zero byte, the buffer is a whole statfs.
    if unsafe { libc::statfs(path.as_ptr(), state.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: all of it was zeroed, and every bit pattern is a statfs.
    let state = unsafe { state.assume_init() };
    state.f_type as u32 == magic
}
