//! Opening files whose paths other processes may have made: nothing here opens a device or a
//! FIFO, which could wait for ever or do something when it is opened.

use std::{
    ffi::CString,
    fs::File,
    io,
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

/// A path for system calls that the standard library lacks.
pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
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
