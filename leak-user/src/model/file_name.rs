//! Names of files with fields in them.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use time::OffsetDateTime;

/// Fills in the fields of a file name: `%h` the host, `%p` the tracer's process
/// id, `%t` the time as YYYYMMDD-HHMMSS (UTC), `%%` a percent sign. Others stay.
#[must_use]
pub fn expand(path: &Path, host: &str, pid: u32, time: impl Into<OffsetDateTime>) -> PathBuf {
    let time = time.into();
    let mut name = Vec::new();
    let mut bytes = path.as_os_str().as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            name.push(byte);
            continue;
        }
        match bytes.next() {
            // A host name is part of a file name, never a path.
            Some(b'h') => name.extend_from_slice(host.replace(['/', '\0'], "_").as_bytes()),
            Some(b'p') => name.extend_from_slice(pid.to_string().as_bytes()),
            Some(b't') => name.extend_from_slice(stamp(time).as_bytes()),
            Some(b'%') => name.push(b'%'),
            Some(other) => name.extend_from_slice(&[b'%', other]),
            None => name.push(b'%'),
        }
    }
    PathBuf::from(OsString::from_vec(name))
}

fn stamp(utc: OffsetDateTime) -> String {
    format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02}",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    )
}
