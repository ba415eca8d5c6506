//! What to record, and where.

use std::{path::PathBuf, time::Duration};

use super::files::Files;

/// What to record, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// `-` is standard output; `%h`, `%p` and `%t` are filled in.
    pub path: PathBuf,
    /// This host's name, for `%h`.
    pub host: String,
    /// Bytes from which the recording ends; `None`: with the trace.
    pub max_size: Option<u64>,
    /// When a part is full and a new one begins; `None`: there is one part.
    pub rotate: Option<PartLimit>,
    /// Parts that are kept: the oldest is removed for a new one. `None`: all.
    pub keep: Option<u32>,
    /// Bytes of the past that are kept in memory until
    /// [`Recorder::fire`](super::Recorder::fire); `None`: all is written at once.
    pub past: Option<u64>,
    /// Command lines are left out.
    pub redact: bool,
    /// An older recording of that name may be replaced.
    pub force: bool,
}

impl Options {
    /// Fails where no file can be made: it is better to know before the trace begins.
    ///
    /// # Errors
    /// The directory does not exist, or is not writable; there is an older file of that name, and it may not be replaced.
    pub fn check(&self) -> anyhow::Result<()> {
        Files::new(self).check()
    }
}

/// When a part of a recording is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartLimit {
    Bytes(u64),
    Age(Duration),
}
