//! Sizes of the kernel-side tables, with what they cost in memory, and other limits that both
//! sides go by. Numbers of bytes are for one table unless they say "each".

/// Entries of the young table. A preallocated hash element costs 48 bytes plus
/// key (16) and value (48), and 16 bytes of bucket: 128 bytes an entry, 16 MiB.
pub const YOUNG_ENTRIES: u32 = 131_072;

/// Acquisitions from which on a site is busy: its entries in the young table are kept for the
/// next resource of the same key.
pub const BUSY_SITE: u64 = 64;

/// Sites known to the kernel: 48 + 8 + 16 bytes and a bucket of 16 each, 5.5 MiB.
pub const SITE_ENTRIES: u32 = 65_536;

/// Processes that a filter selects: 48 + 8 + 8 bytes and a bucket each, 2.5 MiB.
pub const TARGET_ENTRIES: u32 = 32_768;

/// Processes that were refused something, one entry for each reason: 48 + 16 + 8
/// bytes and a bucket each, 0.4 MiB.
pub const FAILURE_ENTRIES: u32 = 4_096;

/// Calls between their two ends (clone, io_uring): 1 MiB in all.
pub const INFLIGHT_ENTRIES: u32 = 8_192;

/// Processes whose events were dropped, until user space has looked.
pub const LOSS_ENTRIES: u32 = 4_096;

/// The ring buffer's size in bytes, unless the user asks for another.
pub const RING_BYTES: u32 = 16 << 20;

/// Frames of one stack at most.
pub const MAX_FRAMES: usize = 127;

/// Watches of inotify descriptors whose stacks are remembered, the latest: 48 + 16 + 8 bytes and a
/// bucket each, 1.4 MiB.
pub const WATCH_ENTRIES: u32 = 16_384;

/// Descriptors taken from one SCM_RIGHTS message at most: `SCM_MAX_FD`
/// (include/net/scm.h).
pub const MAX_RECEIVED: usize = 253;

/// How long a resource counts as young, unless the user says otherwise.
pub const NURSERY_NS: u64 = 1_000_000_000;

/// Process names a filter can hold.
pub const MAX_COMMS: usize = 8;

/// Rows of the table of system calls: numbers end below 512 on x86-64 and aarch64.
pub const SYSCALLS: usize = 512;

/// Frames of an interpreter on one stack at most.
pub const MAX_PYTHON_FRAMES: usize = 127;

/// Files whose unwind tables are known: 48 + 24 + 48 bytes and a bucket each, 2 MiB.
pub const FILE_ENTRIES: u32 = 16_384;

/// Pages of code that were met on stacks, per process: 48 + 16 + 8 bytes and a
/// bucket each, 5.5 MiB.
pub const CODE_PAGE_ENTRIES: u32 = 65_536;

/// Processes whose code was met on a stack: 48 + 8 + 24 bytes and a bucket each, 1.5 MiB.
pub const SPACE_ENTRIES: u32 = 16_384;

/// Unfinished stacks that a processor sends in a tenth of a second: 16 KiB each.
pub const UNFINISHED_STACKS: u64 = 64;

/// Stack rules that a processor remembers by address, 24 bytes each.
pub const REMEMBERED_RULES: usize = 1024;

/// Whole stacks that a processor remembers, 2.1 KiB each: 135 KiB. A power of two.
pub const REMEMBERED_STACKS: u32 = 64;

/// Counters of how often processes mapped code: a power of two, 8 KiB.
pub const CHANGE_COUNTERS: u32 = 1024;

/// Sockets of pools that are watched: 48 + 8 + 48 bytes and a bucket each, 0.12 MiB.
pub const WATCHED_ENTRIES: u32 = 1024;

/// Stacks that borrow from watched pools: 48 + 16 + 16 bytes and a bucket each, 0.4 MiB.
pub const BORROW_ENTRIES: u32 = 4096;

/// A send on a watched socket after this pause is another borrow.
pub const BORROW_PAUSE_NS: u64 = 10_000_000;

/// Sends by the same thread and registers within this time count as made by the same stack: it
/// is not taken again.
pub const BORROWER_FRESH_NS: u64 = 1_000_000;
