//! What happened, as the ledger takes it: records of the ring buffer and entries
//! of the young table, decoded and checked.

pub mod row;
#[cfg(test)]
pub(crate) mod sample;

use leak_common::{
    Class, Handle, Kind, ProcessId,
    unwind::{FileKey, PythonFrame},
    wire::StackEnd,
};

pub use crate::model::moment::Nanos;

/// A time's length in seconds.
#[must_use]
pub fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// A site's identity: hash of process, kind and frames. 0 is the unknown site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u64);

impl SiteId {
    /// The site of resources whose acquisition was not seen.
    pub const UNKNOWN: SiteId = SiteId(0);
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Site(Site),
    Acquired(Acquired),
    Released(Released),
    RangeReleased(RangeReleased),
    Remapped(Remapped),
    Forked(Forked),
    Executed(Executed),
    /// The last thread of the process ended.
    Exited {
        time: Nanos,
        process: ProcessId,
    },
    Uncovered {
        time: Nanos,
        process: ProcessId,
        cause: Uncovered,
    },
    CodeMapped(CodeMapped),
    Interpreted(Interpreted),
    Snapshot(Box<StackSnapshot>),
    Unfinished(Box<Unfinished>),
    Failed(Failed),
}

impl Event {
    /// When it happened.
    #[must_use]
    pub fn time(&self) -> Nanos {
        match self {
            Event::Site(site) => site.time,
            Event::Acquired(acquired) => acquired.time,
            Event::Released(released) => released.time,
            Event::RangeReleased(released) => released.time,
            Event::Remapped(remapped) => remapped.time,
            Event::Forked(forked) => forked.time,
            Event::Executed(executed) => executed.time,
            Event::Exited { time, .. } | Event::Uncovered { time, .. } => *time,
            Event::CodeMapped(wanted) => wanted.time,
            Event::Interpreted(interpreted) => interpreted.time,
            Event::Snapshot(snapshot) => snapshot.time,
            Event::Unfinished(unfinished) => unfinished.time,
            Event::Failed(failed) => failed.time,
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
pub struct StackSnapshot {
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

/// First sight of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub time: Nanos,
    pub process: ProcessId,
    pub kind: Kind,
    pub id: SiteId,
    pub tid: u32,
    /// Addresses, innermost first.
    pub frames: Box<[u64]>,
    /// Why the stack ends where it does.
    pub end: StackEnd,
}

/// An acquisition: sent at once, or promoted from the young table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    pub time: Nanos,
    pub process: ProcessId,
    pub kind: Kind,
    pub handle: Handle,
    pub site: SiteId,
    /// Bytes of a mapping or segment, else 0.
    pub size: u64,
    pub close_on_exec: bool,
    /// The kind is a guess that `/proc` should correct.
    pub kind_guessed: bool,
    /// A shared memory segment that may have existed before.
    pub maybe_existed: bool,
}

/// A release of one handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    pub time: Nanos,
    /// The releasing process; [`ProcessId::NONE`] for processes and segments.
    pub process: ProcessId,
    pub handle: Handle,
    /// When it had been acquired, `None` where the kernel did not know any more.
    pub acquired: Option<Nanos>,
}

/// A release of all handles of a class in a range of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeReleased {
    pub time: Nanos,
    pub process: ProcessId,
    pub class: Class,
    /// First descriptor or address.
    pub first: u64,
    /// Last descriptor or address, inclusive.
    pub last: u64,
    /// The descriptor table was unshared first (`CLOSE_RANGE_UNSHARE`).
    pub unshare: bool,
    /// Nothing was closed, all of it will be on exec (`CLOSE_RANGE_CLOEXEC`).
    pub close_on_exec: bool,
    /// The whole shared memory attachment that begins at `first` went (shmdt);
    /// `last` means nothing.
    pub attachment: bool,
}

/// mremap of a mapping that was not young.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remapped {
    pub time: Nanos,
    pub process: ProcessId,
    pub old: u64,
    pub old_length: u64,
    pub new: u64,
    pub new_length: u64,
    /// Where mremap was called, for what it maps anew.
    pub site: SiteId,
    /// The old range stays mapped (`MREMAP_DONTUNMAP`, or an old length of 0).
    pub keeps_old: bool,
}

/// A new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forked {
    pub time: Nanos,
    pub parent: ProcessId,
    pub child: ProcessId,
    /// Parent and child have one descriptor table (`CLONE_FILES`).
    pub shares_files: bool,
    /// Parent and child have one memory (`CLONE_VM`).
    pub shares_memory: bool,
    /// The child's name as the kernel keeps it, zero-padded.
    pub comm: [u8; 16],
}

/// A new program in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    pub time: Nanos,
    pub process: ProcessId,
    pub comm: [u8; 16],
}

/// The first time that the kernel refused a process something for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub time: Nanos,
    pub process: ProcessId,
    /// What the call would have acquired.
    pub kind: Kind,
    /// Where it was called, [`SiteId::UNKNOWN`] where its stack is not known.
    pub site: SiteId,
    /// Bytes of the mapping that was asked for, else 0.
    pub size: u64,
    pub call: Call,
    pub error: Refusal,
    /// The thread that called, 0 where io_uring did.
    pub tid: u32,
}

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The system call with this number on this machine.
    System(u32),
    /// The operation of io_uring with this number.
    Uring(u32),
}

/// Why the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// `EAGAIN` of a call that makes a thread or process.
    Tasks,
    /// `ENOMEM`.
    Memory,
    /// `ENFILE`: too many open files on the host.
    HostFiles,
    /// `EMFILE`: too many of the process.
    Files,
}

impl Refusal {
    /// Every reason, in the order of its error's number.
    pub const ALL: [Refusal; 4] = [
        Refusal::Tasks,
        Refusal::Memory,
        Refusal::HostFiles,
        Refusal::Files,
    ];

    /// The error's number, as in include/uapi/asm-generic/errno-base.h.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Refusal::Tasks => 11,
            Refusal::Memory => 12,
            Refusal::HostFiles => 23,
            Refusal::Files => 24,
        }
    }

    /// The reason with an error's number, if it is one.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Refusal> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// What it means where no more is known, one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Refusal::Tasks => "the kernel refused to make another process or thread",
            Refusal::Memory => "the kernel had no memory, or the process may not have more",
            Refusal::HostFiles => "the host has no room for another open file",
            Refusal::Files => "the process has no room for another descriptor",
        }
    }

    /// The error as the kernel calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Tasks => "EAGAIN",
            Refusal::Memory => "ENOMEM",
            Refusal::HostFiles => "ENFILE",
            Refusal::Files => "EMFILE",
        }
    }
}

/// What the kernel side cannot follow in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uncovered {
    /// 32-bit system calls.
    Compat,
    /// An io_uring close whose descriptor this kernel does not show.
    UringClose,
}
