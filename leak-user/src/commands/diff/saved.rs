//! Saved reports: reads a [`Report`] from a JSON report or a recording. Errors name the file.

use std::{fs::File, io::Read as _, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::{Context as _, anyhow};

use crate::commands::recordings;
use crate::{
    advice::{self, Advice},
    model::{escape::escape_bytes, report::Report},
    output::formats::json::read,
    recording::{
        format,
        reader::{self, Query, Source},
    },
};

/// Reads the report in a file. For a recording, makes the report of all of it, with the
/// built-in hints and suppressions.
///
/// # Errors
///
/// If the file cannot be read, or is neither a report nor a recording.
pub(super) fn load(path: &Path) -> anyhow::Result<Report> {
    let shown = escape_bytes(path.as_os_str().as_bytes());
    let mut file = File::open(path).with_context(|| format!("cannot open '{shown}'"))?;
    // It may be a pipe and cannot be rewound: the bytes read here are put before the rest.
    let mut start = Vec::new();
    (&mut file)
        .take(format::MARKER.len() as u64)
        .read_to_end(&mut start)
        .with_context(|| format!("cannot read '{shown}'"))?;
    let is_being_written = recordings::is_locked(&file);
    let is_recording = start == format::MARKER;
    let content = start.as_slice().chain(file);
    if is_recording {
        let name = path.to_string_lossy().into_owned();
        let source = Source {
            name,
            content,
            is_being_written,
        };
        let mut report = reader::report(vec![source], &Query::default())?;
        Advice::read(&advice::Sources::default())?.apply(&mut report);
        return Ok(report);
    }
    read::read(content).map_err(|error| anyhow!("'{shown}' {error}"))
}
