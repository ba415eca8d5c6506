//! What the programs in the kernel tell, decoded and checked. There are three sorts, told apart by type, since others use
//! each: an [`Event`] changes what is outstanding and goes to the ledger; a [`Failed`] call goes to those who look what
//! ran out; a [`Notice`] concerns stacks alone. Events and failures are also what `--events` writes ([`row`]).

mod failed;
mod notice;
pub mod row;
#[cfg(test)]
pub(crate) mod sample;

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

pub use failed::{Call, Failed};
pub use notice::{CodeMapped, Interpreted, Notice, Registers, StackSample, Unfinished};

use crate::model::{site::SiteId, time::Nanos};

/// What one record of the ring tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Event(Event),
    Failed(Failed),
    Notice(Notice),
}

impl From<Event> for Message {
    fn from(event: Event) -> Message {
        Message::Event(event)
    }
}

impl From<Failed> for Message {
    fn from(failed: Failed) -> Message {
        Message::Failed(failed)
    }
}

impl From<Notice> for Message {
    fn from(notice: Notice) -> Message {
        Message::Notice(notice)
    }
}

/// One thing that happened to resources or processes: an acquisition, a release, or what changes who holds what.
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
        }
    }
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

/// What the kernel side cannot follow in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uncovered {
    /// 32-bit system calls.
    Compat,
    /// An io_uring close whose descriptor this kernel does not show.
    UringClose,
    /// An io_uring request whose descriptors are not seen: a receive that goes on and on, a request
    /// whose success is not told, or one that a thread of the kernel submits (before 5.12).
    UringUnseen,
}
