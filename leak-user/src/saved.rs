//! Reports that were saved: a file's path becomes a [`Report`], or a message that names the file.

use std::{fs::File, io::Read as _, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::{Context as _, anyhow, bail};

use crate::{
    capture,
    report::{Report, escape::escape_bytes, read},
};

/// Reads the report in a file.
///
/// # Errors
///
/// Where there is no such file, or it holds something else.
pub fn load(path: &Path) -> anyhow::Result<Report> {
    let shown = escape_bytes(path.as_os_str().as_bytes());
    let mut file = File::open(path).with_context(|| format!("cannot open '{shown}'"))?;
    // It may be a pipe: what was read to know it goes before the rest.
    let mut start = Vec::new();
    (&mut file)
        .take(capture::MARKER.len() as u64)
        .read_to_end(&mut start)
        .with_context(|| format!("cannot read '{shown}'"))?;
    if start == capture::MARKER {
        bail!("'{shown}' is a capture: only JSON reports can be read here");
    }
    read::read(start.as_slice().chain(file)).map_err(|error| anyhow!("'{shown}' {error}"))
}
