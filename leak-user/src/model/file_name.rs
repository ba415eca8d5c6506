//! Names of files with fields in them.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use time::OffsetDateTime;

/// Fills in the fields of a file name: `%h` the host, `%p` the tracer's process
/// id, `%t` the time as YYYYMMDD-HHMMSS (UTC), `%%` a percent sign. Others stay.
#[must_use]
pub fn expand(name: &OsStr, host: &str, pid: u32, time: impl Into<OffsetDateTime>) -> OsString {
    let time = time.into();
    let mut expanded = Vec::new();
    let mut bytes = name.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            expanded.push(byte);
            continue;
        }
        match bytes.next() {
            // A host name is part of a file name, never a path.
            Some(b'h') => expanded.extend_from_slice(host.replace(['/', '\0'], "_").as_bytes()),
            Some(b'p') => expanded.extend_from_slice(pid.to_string().as_bytes()),
            Some(b't') => expanded.extend_from_slice(stamp(time).as_bytes()),
            Some(b'%') => expanded.push(b'%'),
            Some(other) => expanded.extend_from_slice(&[b'%', other]),
            None => expanded.push(b'%'),
        }
    }
    OsString::from_vec(expanded)
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
