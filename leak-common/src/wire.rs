//! The records of the ring buffer and the entries of the shared tables.
//!
//! Every record begins with a [`Head`]. All integers are native-endian. All bytes are named,
//! since a byte without a name would carry kernel memory to user space. Numbers that stand for
//! a kind, class or cause stay numbers here: the decoder checks them. Times are
//! nanoseconds of `CLOCK_MONOTONIC`.

use crate::{
    identity::{Handle, ProcessId},
    limits::MAX_FRAMES,
    numbered::numbered,
    unwind::FileKey,
};

numbered! {
    /// What a record is. The numbers are part of the format.
    pub enum RecordType: u32 {
        Site = 1,
        Acquired = 2,
        Released = 3,
        RangeReleased = 4,
        Remapped = 5,
        Forked = 6,
        Executed = 7,
        Exited = 8,
        Uncovered = 9,
        Received = 10,
        CodeMapped = 11,
        Interpreted = 12,
        StackSample = 13,
        Unfinished = 14,
        Failed = 15,
    }
}

/// The beginning of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Head {
    /// A [`RecordType`].
    pub record: u32,
    /// A [`Kind`](crate::Kind) for sites and acquisitions, a
    /// [`Class`](crate::Class) for releases, a [`uncovered`] cause, else 0.
    pub kind: u32,
    /// When it happened.
    pub time: u64,
    /// Whom it happened to.
    pub process: ProcessId,
}

/// The first acquisition of a site. `frames` addresses of 8 bytes follow,
/// innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Site {
    pub head: Head,
    /// Hash of process, kind and frames; records name the site by it.
    pub site: u64,
    /// The thread that acquired first.
    pub tid: u32,
    /// How many frames follow, at most [`MAX_FRAMES`].
    pub frames: u16,
    /// A [`StackEnd`].
    pub end: u16,
}

numbered! {
    /// Why a stack ends where it does.
    pub enum StackEnd: u16 {
        /// At the outermost frame.
        Complete = 0,
        /// What should be the caller is no code, or not further up the stack.
        Broken = 1,
        /// The stack's memory could not be read.
        Unreadable = 2,
        /// There were more frames than are kept.
        TooDeep = 3,
        /// No user registers: none was taken.
        NotTaken = 4,
        /// The unwind tables of a file were not there yet.
        NoTable = 5,
        /// The unwind tables of a file had been dropped to make room.
        Evicted = 6,
        /// The process's mappings were being changed and could not be read.
        Locked = 7,
    }
}

impl StackEnd {
    /// What the reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StackEnd::Complete => "complete",
            StackEnd::Broken => "broken",
            StackEnd::Unreadable => "unreadable",
            StackEnd::TooDeep => "too_deep",
            StackEnd::NotTaken => "not_taken",
            StackEnd::NoTable => "no_table",
            StackEnd::Evicted => "evicted",
            StackEnd::Locked => "locked",
        }
    }
}

/// A resource that user space is to follow: it left the young table, or never was in it.
///
/// Third and last stage of an acquisition, after [`Young`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Acquired {
    pub head: Head,
    pub handle: Handle,
    /// The site, 0 where it is unknown.
    pub site: u64,
    /// Bytes of a mapping or segment, else 0.
    pub size: u64,
    /// A set of [`acquired`] bits.
    pub flags: u32,
    /// The acquiring thread.
    pub tid: u32,
}

/// Bits of [`Acquired::flags`] and [`Young::flags`].
pub mod acquired {
    /// The descriptor closes on exec.
    pub const CLOSE_ON_EXEC: u32 = 1 << 0;
    /// The kind is a guess that `/proc` should correct.
    pub const KIND_GUESSED: u32 = 1 << 1;
    /// shmget without `IPC_EXCL`: the segment may have existed before.
    pub const MAYBE_EXISTED: u32 = 1 << 2;
    /// The site is busy: once the resource is gone, its entry in the young table waits
    /// for the next one of the same key.
    pub const BUSY: u32 = 1 << 3;
}

/// A resource that was not young any more was released. Its class is in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Released {
    pub head: Head,
    pub handle: Handle,
    /// When it had been acquired, 0 where the young table did not hold it.
    pub acquired: u64,
}

/// Everything of a class in a range of handle values was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RangeReleased {
    pub head: Head,
    /// First descriptor, or first address.
    pub first: u64,
    /// Last descriptor, or last address: inclusive.
    pub last: u64,
    /// A set of [`range`] bits.
    pub flags: u32,
    pub reserved: u32,
}

/// Bits of [`RangeReleased::flags`].
pub mod range {
    /// `CLOSE_RANGE_UNSHARE`: the descriptor table was unshared first.
    pub const UNSHARE: u32 = 1 << 0;
    /// `CLOSE_RANGE_CLOEXEC`: nothing is closed, all of it will be on exec.
    pub const CLOSE_ON_EXEC: u32 = 1 << 1;
    /// shmdt: the whole attachment that begins at `first` went.
    pub const ATTACHMENT: u32 = 1 << 2;
}

/// A mapping that was not young was moved or resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Remapped {
    pub head: Head,
    /// Old first address and length in bytes.
    pub old: u64,
    pub old_length: u64,
    /// New first address and length in bytes.
    pub new: u64,
    pub new_length: u64,
    /// The call's flags (`MREMAP_DONTUNMAP` is 4).
    pub flags: u32,
    pub reserved: u32,
}

/// A process was made (not a thread). The head has the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Forked {
    pub head: Head,
    pub child: ProcessId,
    /// A set of [`forked`] bits.
    pub flags: u32,
    pub reserved: u32,
    /// The child's name, zero-padded.
    pub comm: [u8; 16],
}

/// Bits of [`Forked::flags`].
pub mod forked {
    /// The child shares the parent's descriptor table.
    pub const SHARES_FILES: u32 = 1 << 0;
    /// The child shares the parent's memory (vfork and its like).
    pub const SHARES_MEMORY: u32 = 1 << 1;
}

/// A process replaced its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Executed {
    pub head: Head,
    /// The new name, zero-padded.
    pub comm: [u8; 16],
}

/// The last thread of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Exited {
    pub head: Head,
}

/// A process did something that the programs cannot follow. The cause is in the
/// head's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Uncovered {
    pub head: Head,
}

/// Causes of [`Uncovered`].
pub mod uncovered {
    /// 32-bit system calls.
    pub const COMPAT: u32 = 1;
    /// An io_uring close whose descriptor this kernel does not show.
    pub const URING_CLOSE: u32 = 2;
    /// An io_uring request whose descriptors are not seen.
    pub const URING_UNSEEN: u32 = 3;
}

/// Descriptors arrived in a message. `number` of them follow, 4 bytes each. The
/// kind in the head is that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Received {
    pub head: Head,
    pub site: u64,
    /// A set of [`acquired`] bits.
    pub flags: u32,
    /// At most [`MAX_RECEIVED`](crate::limits::MAX_RECEIVED).
    pub number: u32,
}

/// A process maps code of a file, or begins to run it; or such code was met on a stack
/// without there being tables for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CodeMapped {
    pub head: Head,
    pub file: FileKey,
    /// First address of the mapping. It, `end` and `offset` are all 0 for the program
    /// that the process begins to run.
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    /// 1 where there are no tables for the file, else 0.
    pub wanted: u32,
    pub reserved: u32,
}

/// Frames of an interpreter, innermost first, for the site that follows. `frames`
/// [`PythonFrame`](crate::unwind::PythonFrame)s follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Interpreted {
    pub head: Head,
    pub site: u64,
    /// Number of the interpreter's layout.
    pub layout: u32,
    /// How many frames follow, at most
    /// [`MAX_PYTHON_FRAMES`](crate::limits::MAX_PYTHON_FRAMES).
    pub frames: u32,
}

/// The registers and memory by which user space finishes the stack of the site before it, once
/// there are tables for the file that its last frame is in. No other stack has this site: its
/// identity is not that of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Unfinished {
    pub head: Head,
    pub site: u64,
    /// The last frame: its registers.
    pub instruction: u64,
    pub stack_pointer: u64,
    pub frame_pointer: u64,
    /// First argument's register (`rdi`), or the link register.
    pub link: u64,
    /// 1 where the instruction follows a call, else 0.
    pub after_call: u32,
    /// 1 where `link` is what it was at the function's entry, else 0.
    pub has_link: u32,
    /// The file without tables, and where it is mapped.
    pub file: FileKey,
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    /// Bytes of `memory`, which begins at the stack pointer.
    pub length: u64,
    pub memory: [u8; UNFINISHED_BYTES],
}

/// The first time that the kernel refused a process something for one reason. The
/// kind in the head is what the call would have acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Failed {
    pub head: Head,
    /// Where it was called, 0 where the stack is unknown.
    pub site: u64,
    /// Bytes of the mapping that was asked for, else 0.
    pub size: u64,
    /// The system call's number; with [`FAILED_URING`] io_uring's operation.
    pub call: u32,
    /// The error as a positive number.
    pub error: u32,
    /// The thread that called, 0 where io_uring did.
    pub tid: u32,
    pub reserved: u32,
}

/// In [`Failed::call`]: the rest is an operation of io_uring.
pub const FAILED_URING: u32 = 1 << 31;

/// Key of the table of failures; its value is how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FailureKey {
    pub process: ProcessId,
    /// The error as a positive number.
    pub error: u32,
    pub reserved: u32,
}

/// Value of the table of sites, whose key is the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SiteCount {
    /// Acquisitions.
    pub acquired: u64,
    /// Of those, how many were released out of the young table: in silence, or, where user space may
    /// know the resource, with a record that has the time of the acquisition.
    pub released: u64,
}

/// Bytes of stack in an [`Unfinished`].
pub const UNFINISHED_BYTES: usize = 16_384;

/// A stack and what it was taken from, to be compared with another unwinder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StackSample {
    pub head: Head,
    pub instruction: u64,
    pub stack_pointer: u64,
    pub frame_pointer: u64,
    /// First argument's register (`rdi`), or the link register.
    pub link: u64,
    pub tid: u32,
    /// How many of `frames` there are.
    pub count: u16,
    /// A [`StackEnd`].
    pub end: u16,
    /// Bytes of `memory`, which begins at the stack pointer.
    pub length: u64,
    pub frames: [u64; MAX_FRAMES + 1],
    pub memory: [u8; STACK_SAMPLE_BYTES],
}

/// Bytes of stack in a [`StackSample`].
pub const STACK_SAMPLE_BYTES: usize = 32_768;

/// Key of the young table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct YoungKey {
    /// The holder; [`ProcessId::NONE`] for processes and segments.
    pub owner: ProcessId,
    pub handle: Handle,
}

/// Value of the young table: a resource with its site.
///
/// Second stage of an acquisition. Before it, the programs know what a call acquires, and not
/// yet where; after it, a resource that lives long becomes [`Acquired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Young {
    /// When it was acquired; 0 in a vacant entry, whose resource is gone and which waits
    /// for the next one of the same key.
    pub time: u64,
    /// The site, 0 where it is unknown.
    pub site: u64,
    /// The acquiring process.
    pub process: ProcessId,
    /// Bytes of a mapping or segment, else 0; in a vacant entry the last resource's time.
    pub size: u64,
    /// A [`Kind`](crate::Kind).
    pub kind: u32,
    /// A set of [`acquired`] bits.
    pub flags: u32,
    /// How many acquisitions wanted the entry since it became vacant. The acquisition that makes it 1 gets it.
    pub claims: u64,
}

impl Young {
    /// A resource that is acquired now: its time is set as it enters the table.
    #[inline(always)]
    #[must_use]
    pub const fn new(process: ProcessId, site: u64, kind: u32, size: u64, flags: u32) -> Young {
        Young {
            time: 0,
            site,
            process,
            size,
            kind,
            flags,
            claims: 1,
        }
    }
}

/// What an iterator tells of an open descriptor: its type, and when it was used last as far as
/// the kernel keeps that. These do not go through the ring: user space reads them when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DescriptorUse {
    /// The process, and the number of the descriptor.
    pub tgid: u32,
    pub descriptor: u32,
    /// Type and permissions of the inode (`st_mode`).
    pub mode: u32,
    /// The lower 32 bits of the kernel's count of ticks (jiffies): now, and of a TCP socket
    /// when it sent and received data last, or was established.
    pub now: u32,
    pub sent: u32,
    pub received: u32,
    /// Of a socket: address family, protocol, state, and local port; else 0.
    pub family: u16,
    pub protocol: u16,
    pub state: u16,
    pub local_port: u16,
    /// Where the next read or write of a file begins.
    pub position: u64,
    /// Bytes of data that a TCP socket sent and received.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Address of the kernel's socket (`struct sock`), to compare; 0 where it is none.
    pub socket: u64,
    /// Address of the open file (`struct file`), to compare: duplicates of a descriptor have the
    /// same.
    pub file: u64,
    /// Whom a TCP socket is connected to: the address, one of IPv4 in the first word, and the
    /// port, both in the order of the network.
    pub remote_address: [u32; 4],
    pub remote_port: u16,
    pub reserved: [u16; 3],
}

/// Value of the table of watched sockets, whose key is the address of the kernel's socket: who
/// sent on it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Watched {
    /// Whose socket it is: its [`ProcessId`].
    pub process: u64,
    /// The sockets that belong together have the same: their borrows are counted by it.
    pub pool: u64,
    /// The last send, 0 before the first that was seen.
    pub used: u64,
    /// The site of the stack that borrowed it last, 0 where that is not known.
    pub borrower: u64,
    /// When that stack was taken last, and by which thread and registers.
    pub taken: u64,
    pub place: u64,
}

/// Key of the table of borrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct BorrowKey {
    /// As in [`Watched::pool`].
    pub pool: u64,
    /// The site of the borrower's stack.
    pub borrower: u64,
}

/// Value of the table of borrows. A borrow is a send by another stack than the one before on the
/// same socket, or after a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Borrows {
    pub count: u64,
    /// Those after which the same socket was borrowed again.
    pub followed: u64,
}

const _: () = assert!(size_of::<DescriptorUse>() == 96);
const _: () = assert!(size_of::<Watched>() == 48);
const _: () = assert!(size_of::<BorrowKey>() == 16);
const _: () = assert!(size_of::<Borrows>() == 16);

/// What an iterator tells of a process's descriptor table; see [`DescriptorUse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TableCount {
    pub process: ProcessId,
    /// The table's address: processes may share one.
    pub files: u64,
    /// Numbers that are in use, or [`TableCount::TOO_MANY`].
    pub descriptors: u32,
    /// A thread that has this table.
    pub tid: u32,
}

impl TableCount {
    /// The table is so large that it was not counted.
    pub const TOO_MANY: u32 = u32::MAX;

    /// Whether it was not counted.
    #[must_use]
    pub const fn is_too_large(self) -> bool {
        self.descriptors == Self::TOO_MANY
    }
}

const _: () = assert!(size_of::<TableCount>() == 24);

/// A watch of an inotify descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct WatchKey {
    pub process: ProcessId,
    /// The descriptor's number in the upper half, the watch's in the lower.
    pub watch: u64,
}

impl WatchKey {
    /// A watch by its number and its descriptor's.
    #[inline(always)]
    #[must_use]
    pub const fn new(process: ProcessId, descriptor: u32, watch: u32) -> WatchKey {
        WatchKey {
            process,
            watch: (descriptor as u64) << 32 | watch as u64,
        }
    }
}

const _: () = assert!(size_of::<WatchKey>() == 16);
const _: () = assert!(size_of::<Head>() == 24);
const _: () = assert!(size_of::<Site>() == 40);
const _: () = assert!(size_of::<Acquired>() == 56);
const _: () = assert!(size_of::<Released>() == 40);
const _: () = assert!(size_of::<RangeReleased>() == 48);
const _: () = assert!(size_of::<Remapped>() == 64);
const _: () = assert!(size_of::<Forked>() == 56);
const _: () = assert!(size_of::<Executed>() == 40);
const _: () = assert!(size_of::<Exited>() == 24);
const _: () = assert!(size_of::<Uncovered>() == 24);
const _: () = assert!(size_of::<Received>() == 40);
const _: () = assert!(size_of::<CodeMapped>() == 80);
const _: () = assert!(size_of::<Interpreted>() == 40);
const _: () = assert!(size_of::<StackSample>() == 72 + (MAX_FRAMES + 1) * 8 + STACK_SAMPLE_BYTES);
const _: () = assert!(size_of::<Unfinished>() == 128 + UNFINISHED_BYTES);
const _: () = assert!(size_of::<Failed>() == 56);
const _: () = assert!(size_of::<FailureKey>() == 16);
const _: () = assert!(size_of::<SiteCount>() == 16);
const _: () = assert!(size_of::<YoungKey>() == 16);
const _: () = assert!(size_of::<Young>() == 48);
