//! The few system calls that the standard library lacks.

use std::{
    ffi::CString,
    fs::File,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

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

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
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

/// Whether two descriptors, each a process and a number, are of one open file. `None`
/// where the kernel does not tell.
pub(super) fn is_same_file(one: (u32, u32), other: (u32, u32)) -> Option<bool> {
    /// include/uapi/linux/kcmp.h.
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: only numbers are passed.
    let result =
        unsafe { libc::syscall(libc::SYS_kcmp, one.0, other.0, KCMP_FILE, one.1, other.1) };
    match result {
        0 => Some(true),
        1.. => Some(false),
        // Closed, or its process is gone.
        _ => match io::Error::last_os_error().raw_os_error() {
            Some(libc::EBADF | libc::ESRCH) => Some(false),
            _ => None,
        },
    }
}

/// Whether the other end of a pipe or socket is closed, so that nothing can come
/// through it any more. The descriptor is copied for a moment (pidfd_getfd(2), Linux
/// 5.6) and asked by poll(2), which changes nothing about it. `None` where the kernel
/// does not allow that.
pub(super) fn other_end_closed(pid: u32, descriptor: u32) -> Option<bool> {
    let open = |number: libc::c_long| {
        let number = i32::try_from(number).ok().filter(|&number| number >= 0)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    };
    // SAFETY: only numbers are passed.
    let process = open(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let asked = process.as_raw_fd();
    // SAFETY: only numbers are passed.
    let copy = open(unsafe { libc::syscall(libc::SYS_pidfd_getfd, asked, descriptor, 0) })?;
    let mut poll = libc::pollfd {
        fd: copy.as_raw_fd(),
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // SAFETY: one pollfd is passed; no time is waited.
    let result = unsafe { libc::poll(&raw mut poll, 1, 0) };
    let closed = libc::POLLHUP | libc::POLLERR | libc::POLLRDHUP;
    (result >= 0).then_some(poll.revents & closed != 0)
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

/// The protocol's name of the socket behind a `/proc/PID/fd` link: `TCP`,
/// `UNIX-STREAM`, `NETLINK`, ...
pub(super) fn socket_protocol(link: &Path) -> Option<String> {
    let path = c_path(link).ok()?;
    let mut name = [0u8; 64];
    // SAFETY: both strings end in a zero byte, the buffer has the given length.
    let length = unsafe {
        libc::getxattr(
            path.as_ptr(),
            c"system.sockprotoname".as_ptr(),
            name.as_mut_ptr().cast(),
            name.len(),
        )
    };
    let name = name.get(..usize::try_from(length).ok()?)?;
    let name = name.split(|byte| *byte == 0).next()?;
    Some(std::str::from_utf8(name).ok()?.to_owned())
}

/// Opens a regular file for reading whose path another process may have made:
/// the path is resolved as if `root` were `/`, and neither devices nor FIFOs are
/// ever opened.
pub(crate) fn open_beneath(root: &Path, path: &Path) -> io::Result<File> {
    let root = File::open(root)?;
    let path = c_path(path)?;
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: libc::RESOLVE_IN_ROOT,
    };
    // SAFETY: the path ends in a zero byte, `how` has the size given.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor, nobody else has it.
    reopen(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Opens a regular file for reading, through links, but no device and no FIFO.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let path = c_path(path)?;
    // SAFETY: the path ends in a zero byte.
    let descriptor = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, nobody else has it.
    reopen(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Opens for reading what a path descriptor names, if it is a regular file.
fn reopen(descriptor: OwnedFd) -> io::Result<File> {
    let named = File::from(descriptor);
    if !named.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(format!("/proc/self/fd/{}", named.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{io::Read, os::unix::fs::symlink};

    use super::*;

    fn text(mut file: File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "inside").unwrap();
        symlink("/etc/passwd", root.path().join("absolute")).unwrap();
        symlink("../../../../../etc/passwd", root.path().join("relative")).unwrap();
        for path in ["absolute", "relative", "/etc/passwd", "../etc/passwd"] {
            let file = open_beneath(root.path(), Path::new(path)).unwrap();
            assert_eq!(text(file), "inside", "{path}");
        }
    }

    #[test]
    fn neither_fifos_nor_devices_are_opened() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        let path = c_path(&fifo).unwrap();
        // SAFETY: the path ends in a zero byte.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        // Opened for reading it would wait for a writer for ever.
        assert!(open_regular(&fifo).is_err());
        assert!(open_beneath(root.path(), Path::new("fifo")).is_err());
        assert!(open_regular(Path::new("/dev/null")).is_err());
        assert!(open_regular(root.path()).is_err());
    }
}
