//! What the kernel tells of a descriptor of another process that its link does not show.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::Path,
};

use crate::proc::open::c_path;

/// Whether two descriptors, each a process and a number, are of one open file. `None`
/// where the kernel does not tell.
pub(in crate::proc) fn is_same_file(one: (u32, u32), other: (u32, u32)) -> Option<bool> {
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

/// Whether the other end of a pipe or Unix socket is closed, so that nothing can come
/// through it any more. A socket that was never connected has no other end, so none is
/// closed. The descriptor is copied for a moment (pidfd_getfd(2), Linux 5.6) and asked by
/// poll(2) and getpeername(2), which change nothing about it. `None` where the kernel does
/// not allow that.
pub(in crate::proc) fn other_end_closed(pid: u32, descriptor: u32) -> Option<bool> {
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
        events: 0,
        revents: 0,
    };
    // SAFETY: one pollfd is passed; no time is waited.
    if unsafe { libc::poll(&raw mut poll, 1, 0) } < 0 {
        return None;
    }
    Some(match had_peer(copy.as_fd()) {
        // The read end of a pipe hangs up, the write end fails.
        None => poll.revents & (libc::POLLHUP | libc::POLLERR) != 0,
        // A socket that was never connected hangs up too (unix_poll() in
        // net/unix/af_unix.c). One whose peer only stopped sending does not: it may send.
        Some(had_peer) => had_peer && poll.revents & libc::POLLHUP != 0,
    })
}

/// Whether a socket is or was connected; `None` for what is no socket. The kernel keeps a
/// Unix socket's peer also after the peer is closed.
fn had_peer(descriptor: BorrowedFd<'_>) -> Option<bool> {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut length = libc::socklen_t::try_from(size_of_val(&address)).expect("it is short");
    // SAFETY: the address has room for `length` bytes, and nothing reads it.
    let result = unsafe {
        libc::getpeername(
            descriptor.as_raw_fd(),
            address.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Some(true),
        _ if io::Error::last_os_error().raw_os_error() == Some(libc::ENOTSOCK) => None,
        _ => Some(false),
    }
}

/// The protocol's name of the socket behind a `/proc/PID/fd` link: `TCP`,
/// `UNIX-STREAM`, `NETLINK`, ...
pub(in crate::proc) fn socket_protocol(link: &Path) -> Option<String> {
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
