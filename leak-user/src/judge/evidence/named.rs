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
    /// How many of the known ones are mappings of files that have a name.
    pub of_files: usize,
    /// How many of those are pipes and pairs of sockets whose other end is closed.
    pub half_closed: usize,
    /// Threads that the process has.
    pub threads: u64,
}

impl Named<'_> {
    /// Whether a function on the stack has a name that begins with one of these.
    pub(in crate::judge) fn calls(&self, beginnings: &[&str]) -> bool {
        any_called(self.stack, beginnings)
    }

    /// The frames that called for memory: those of the C library that are innermost, and those of the
    /// file behind them. Who called these wanted something else than memory.
    pub(in crate::judge) fn caller(&self) -> &[Frame] {
        let outside = self.stack.iter().position(|frame| !is_library(frame));
        let outside = outside.unwrap_or(self.stack.len());
        let module = self.stack.get(outside).map(|frame| &frame.module);
        let behind = self.stack[outside..].iter().take(SAME_FILE);
        let same = behind.take_while(|frame| Some(&frame.module) == module);
        &self.stack[..outside + same.count()]
    }
}

/// Frames of the file behind the C library that are looked at.
const SAME_FILE: usize = 8;

/// Beginnings of the names of the files that make the calls: the C library, what loads it, and the
/// kernel's own.
const LIBRARIES: &[&str] = &[
    "libc.so",
    "libc-",
    "libpthread",
    "ld-",
    "libc.musl",
    "[vdso]",
];

/// What the calls that map memory are called, also where the C library is part of the program.
const CALLS: &[&str] = &[
    "mmap", "mmap64", "__mmap", "__mmap64", "mremap", "__mremap", "syscall",
];

fn is_library(frame: &Frame) -> bool {
    let file = file_name(frame);
    LIBRARIES.iter().any(|name| file.starts_with(name)) || CALLS.contains(&frame.symbol.as_str())
}

/// The name of the file that a function is in, without directories.
pub(in crate::judge) fn file_name(frame: &Frame) -> &str {
    frame.module.rsplit('/').next().unwrap_or_default()
}

/// Whether one of the functions has a name that begins with one of these.
pub(in crate::judge) fn any_called(frames: &[Frame], beginnings: &[&str]) -> bool {
    let begins = |frame: &Frame| {
        let symbol = frame.symbol.as_str();
        beginnings.iter().any(|name| symbol.starts_with(name))
    };
    frames.iter().any(begins)
}
