//! What concerns stacks alone: the code that processes map, and stacks in parts. The rooms that name and finish stacks
//! use it at once; the ledger never sees it.

use leak_common::{
    Kind, ProcessId,
    unwind::{FileKey, PythonFrame},
    wire::StackEnd,
};

use crate::model::{site::SiteId, time::Nanos};

/// One thing about stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    CodeMapped(CodeMapped),
    Interpreted(Interpreted),
    StackSample(Box<StackSample>),
    Unfinished(Box<Unfinished>),
}

impl Notice {
    /// When it happened.
    #[must_use]
    pub fn time(&self) -> Nanos {
        match self {
            Notice::CodeMapped(mapped) => mapped.time,
            Notice::Interpreted(interpreted) => interpreted.time,
            Notice::StackSample(sample) => sample.time,
            Notice::Unfinished(unfinished) => unfinished.time,
        }
    }
}

/// What it takes to finish the stack of the site before it, once there are tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub time: Nanos,
    pub process: ProcessId,
    pub kind: Kind,
    pub site: SiteId,
    /// The last frame's registers.
    pub last: Registers,
    /// The file without tables, where it is mapped, and the offset there.
    pub file: FileKey,
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    /// Memory from the stack pointer on.
    pub memory: Box<[u8]>,
}

/// Registers of a frame, as far as callers are found by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    pub instruction: u64,
    pub stack: u64,
    pub frame: u64,
    /// First argument's register (x86-64) or the link register (aarch64), if it is
    /// what it was when the frame's function was entered.
    pub link: Option<u64>,
    /// The instruction follows a call.
    pub after_call: bool,
}

/// A process maps code of a file, or begins to run it; or such code was met on a
/// stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeMapped {
    pub time: Nanos,
    pub process: ProcessId,
    pub file: FileKey,
    /// Where the process has it mapped: first address and end. Both 0 for the program
    /// that it begins to run.
    pub start: u64,
    pub end: u64,
    /// Of the mapping in the file, in bytes.
    pub offset: u64,
    /// There are no unwind tables for the file.
    pub wanted: bool,
}

/// The frames of an interpreter at a site that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreted {
    pub time: Nanos,
    pub process: ProcessId,
    pub site: SiteId,
    /// Number of the interpreter's layout.
    pub layout: u32,
    /// Innermost first.
    pub frames: Box<[PythonFrame]>,
}

/// A stack and what it was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSample {
    pub time: Nanos,
    pub process: ProcessId,
    pub tid: u32,
    pub instruction: u64,
    pub stack_pointer: u64,
    pub frame_pointer: u64,
    /// First argument's register (x86-64) or the link register (aarch64).
    pub link: u64,
    /// Addresses, innermost first.
    pub frames: Box<[u64]>,
    pub end: StackEnd,
    /// Memory from the stack pointer on.
    pub memory: Box<[u8]>,
}
