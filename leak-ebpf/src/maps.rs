//! Maps that several rooms share, user space among them, which finds them by these names.
//! Their types come from leak-common.
//!
//! A map that one module alone uses, or whose entries only that module can read, is in that
//! module, next to the type of its entries. So nothing here names another module, and a map
//! makes no circle of imports.
//!
//! Hash maps are preallocated: allocating in a tracepoint is refused or unsafe on the older
//! kernels.

use aya_ebpf::{
    btf_maps::CgroupArray,
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use leak_common::{
    Counter, ProcessId,
    limits::{
        BORROW_ENTRIES, FAILURE_ENTRIES, FILE_ENTRIES, LOSS_ENTRIES, RING_BYTES, SITE_ENTRIES,
        TARGET_ENTRIES, WATCH_ENTRIES, WATCHED_ENTRIES, YOUNG_ENTRIES,
    },
    unwind::{
        CHUNK_PAGES, CHUNK_ROWS, FileCode, FileKey, MAX_PYTHON_LAYOUTS, MAX_RULES, Page,
        PythonLayout, Row, Rule,
    },
    wire::{BorrowKey, Borrows, FailureKey, SiteCount, WatchKey, Watched, Young, YoungKey},
};

/// Records to user space. Only `emit` writes here.
#[map]
pub(crate) static RING: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What was acquired and neither released nor promoted yet.
#[map]
pub(crate) static YOUNG: HashMap<YoungKey, Young> = HashMap::with_max_entries(YOUNG_ENTRIES, 0);

/// Acquisitions and early releases per site; a site in here has been sent to user space.
#[map]
pub(crate) static SITES: HashMap<u64, SiteCount> = HashMap::with_max_entries(SITE_ENTRIES, 0);

/// Processes selected by a filter: tgid to `config::target` bits.
#[map]
pub(crate) static TARGETS: HashMap<u32, u32> = HashMap::with_max_entries(TARGET_ENTRIES, 0);

/// The cgroup of `--cgroup`, in slot 0.
#[btf_map]
pub(crate) static CGROUPS: CgroupArray<1> = CgroupArray::new();

/// Slot 0: releases of what was acquired before this time are always sent. User
/// space moves it while it reads /proc, so that nothing it sees there vanishes
/// unseen.
#[map]
pub(crate) static EMIT_BEFORE: Array<u64> = Array::with_max_entries(1, 0);

/// Slot 0: the process that iterators over descriptors are to tell of, 0 for all.
#[map]
pub(crate) static LOOK_AT: Array<u32> = Array::with_max_entries(1, 0);

/// Slot 0: the address of fanotify's file operations, 0 as long as no fanotify descriptor is known:
/// only then read(2) may bring descriptors.
#[map]
pub(crate) static FANOTIFY: Array<u64> = Array::with_max_entries(1, 0);

/// The site that added each watch of an inotify descriptor.
#[map]
pub(crate) static WATCHES: LruHashMap<WatchKey, u64> =
    LruHashMap::with_max_entries(WATCH_ENTRIES, 0);

/// Counters, by `Counter`.
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Counter::COUNT as u32, 0);

/// Processes that lost records, and how many, until user space takes them out.
#[map]
pub(crate) static LOSSES: HashMap<ProcessId, u64> = HashMap::with_max_entries(LOSS_ENTRIES, 0);

/// What processes were refused, and how often; an entry in here has been sent to user
/// space.
#[map]
pub(crate) static FAILURES: HashMap<FailureKey, u64> =
    HashMap::with_max_entries(FAILURE_ENTRIES, 0);

/// Sockets of pools that user space has watched, by their address; empty unless there is a pool.
#[map]
pub(crate) static WATCHED: HashMap<u64, Watched> = HashMap::with_max_entries(WATCHED_ENTRIES, 0);

/// How often each stack borrowed from each pool that is watched.
#[map]
pub(crate) static BORROWS: HashMap<BorrowKey, Borrows> =
    HashMap::with_max_entries(BORROW_ENTRIES, 0);

/// User space writes the tables through a mapping of the maps (5.5).
const MAPPABLE: u32 = aya_ebpf::bindings::BPF_F_MMAPABLE;

/// Rows of the unwind tables, in chunks of 1 MiB; user space says how many.
#[map]
pub(crate) static ROWS: Array<[Row; CHUNK_ROWS]> = Array::with_max_entries(1, MAPPABLE);

/// Directory of the unwind tables, in chunks of 2 MiB; user space says how many.
#[map]
pub(crate) static DIRECTORY: Array<[Page; CHUNK_PAGES]> = Array::with_max_entries(1, MAPPABLE);

/// The rules that rows name.
#[map]
pub(crate) static RULES: Array<[Rule; MAX_RULES]> = Array::with_max_entries(1, MAPPABLE);

/// What is known of files whose code was met, or may be.
#[map]
pub(crate) static FILES: HashMap<FileKey, FileCode> = HashMap::with_max_entries(FILE_ENTRIES, 0);

/// Where interpreters keep their frames.
#[map]
pub(crate) static PYTHON_LAYOUTS: Array<PythonLayout> =
    Array::with_max_entries(MAX_PYTHON_LAYOUTS as u32, 0);
