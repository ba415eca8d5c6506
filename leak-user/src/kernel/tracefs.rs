//! Access to tracefs: where it is mounted, else through a mount of our own that
//! nobody else sees and that ends with us.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read as _},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use leak_common::config::{ABSENT, Offsets};

/// A format file or number is far smaller.
const MAX_FILE: u64 = 64 << 10;

/// An open tracefs.
#[derive(Debug)]
pub struct TraceFs {
    root: OwnedFd,
    /// Whether it is our own, detached mount.
    pub detached: bool,
}

impl TraceFs {
    /// Opens tracefs.
    ///
    /// # Errors
    /// It is neither mounted in one of the usual places nor can it be.
    pub fn open() -> io::Result<TraceFs> {
        for path in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
            if Path::new(path).join("events").is_dir() {
                return Ok(TraceFs {
                    root: File::open(path)?.into(),
                    detached: false,
                });
            }
        }
        Ok(TraceFs {
            root: mount_detached()?,
            detached: true,
        })
    }

    /// The number of a tracepoint, for `perf_event_open`.
    ///
    /// # Errors
    /// This kernel has no such tracepoint.
    pub fn id(&self, category: &str, name: &str) -> io::Result<u64> {
        let text = self.read(&format!("events/{category}/{name}/id"))?;
        text.trim()
            .parse()
            .map_err(|_| io::Error::other("tracepoint number is no number"))
    }

    /// Offset of a field in the record of a tracepoint.
    #[must_use]
    pub fn field(&self, category: &str, name: &str, field: &str) -> Option<u32> {
        field_offset(
            &self
                .read(&format!("events/{category}/{name}/format"))
                .ok()?,
            field,
        )
    }

    /// The tracepoint of io_uring submissions: its name changed in 6.3.
    pub(super) fn uring_submit(&self) -> &'static str {
        let old = "io_uring_submit_sqe";
        let new = "io_uring_submit_req";
        if self.id("io_uring", new).is_err() && self.id("io_uring", old).is_ok() {
            old
        } else {
            new
        }
    }

    fn read(&self, path: &str) -> io::Result<String> {
        let path = CString::new(path)?;
        // SAFETY: a live descriptor and a terminated string.
        let descriptor = unsafe {
            libc::openat(
                self.root.as_raw_fd(),
                path.as_ptr(),
                libc::O_RDONLY | libc::O_CLOEXEC,
            )
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just made and belongs to nobody else.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// fsopen(2) and fsmount(2), Linux 5.2: a mount that is in no name space.
fn mount_detached() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: a terminated string and numbers.
    let context =
        owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), FSOPEN_CLOEXEC) })?;
    // SAFETY: a live descriptor; this command takes no key and no value.
    let created = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            null,
            null,
            0,
        )
    };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a live descriptor and numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}

/// Finds `field` in a `format` file: `field:TYPE NAME; offset:N; size:M; ...`.
fn field_offset(format: &str, field: &str) -> Option<u32> {
    format.lines().find_map(|line| {
        let line = line.trim().strip_prefix("field:")?;
        let mut parts = line.split(';').map(str::trim);
        let declaration = parts.next()?;
        let name = declaration.rsplit([' ', '*', '\t']).next()?;
        if name.split('[').next() != Some(field) {
            return None;
        }
        parts
            .find_map(|part| part.strip_prefix("offset:"))?
            .parse()
            .ok()
    })
}

/// Fills in where the io_uring tracepoints keep their fields.
pub(super) fn uring_offsets(tracefs: &TraceFs, offsets: &mut Offsets) {
    let submit = tracefs.uring_submit();
    let field = |name: &str, field: &str| tracefs.field("io_uring", name, field).unwrap_or(ABSENT);
    offsets.uring_submit_ctx = field(submit, "ctx");
    offsets.uring_submit_req = field(submit, "req");
    offsets.uring_submit_user_data = field(submit, "user_data");
    offsets.uring_submit_opcode = field(submit, "opcode");
    offsets.uring_submit_flags = field(submit, "flags");
    offsets.uring_complete_ctx = field("io_uring_complete", "ctx");
    offsets.uring_complete_req = field("io_uring_complete", "req");
    offsets.uring_complete_user_data = field("io_uring_complete", "user_data");
    offsets.uring_complete_res = field("io_uring_complete", "res");
    offsets.uring_complete_flags = field("io_uring_complete", "cflags");
    if offsets.uring_submit_req == ABSENT || offsets.uring_complete_req == ABSENT {
        // Both ends must know a request by the same name.
        offsets.uring_submit_req = ABSENT;
        offsets.uring_complete_req = ABSENT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: io_uring_complete\nID: 1\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:void * ctx;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:u64 user_data;\toffset:24;\tsize:8;\tsigned:0;\n\
        \tfield:int res;\toffset:32;\tsize:4;\tsigned:1;\n\
        \tfield:char name[16];\toffset:40;\tsize:16;\tsigned:0;\n\
        print fmt: \"res %d\", REC->res\n";

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field_offset(FORMAT, "ctx"), Some(8));
        assert_eq!(field_offset(FORMAT, "user_data"), Some(24));
        assert_eq!(field_offset(FORMAT, "res"), Some(32));
        assert_eq!(field_offset(FORMAT, "name"), Some(40));
        assert_eq!(field_offset(FORMAT, "data"), None);
        assert_eq!(field_offset("field:;;;", "x"), None);
    }
}
