//! What the names of frames and of resources say. They come after the verdict, as only
//! what is to be shown is looked up.

use crate::model::report::Frame;

/// What is known of a finding by names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// Innermost first.
    pub stack: &'a [Frame],
    /// How many of the examples are known.
    pub described: usize,
    /// How many of those are deleted files.
    pub deleted: usize,
    /// How many of the deleted files take memory and no space on disk.
    pub in_memory: usize,
    /// How many of those are pipes and pairs of sockets whose other end is closed.
    pub half_closed: usize,
    /// Threads that the process has.
    pub threads: u64,
}

impl Named<'_> {
    /// Whether a function on the stack has a name that begins with one of these.
    pub(in crate::judge) fn calls(&self, beginnings: &[&str]) -> bool {
        let begins = |frame: &Frame| {
            let symbol = frame.symbol.as_str();
            beginnings.iter().any(|name| symbol.starts_with(name))
        };
        self.stack.iter().any(begins)
    }

    /// The names of the files that functions on the stack are in, without directories.
    pub(in crate::judge) fn files(&self) -> impl Iterator<Item = &str> {
        let modules = self.stack.iter().map(|frame| frame.module.as_str());
        modules.map(|module| module.rsplit('/').next().unwrap_or_default())
    }
}
