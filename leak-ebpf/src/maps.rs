//! Every map of the programs. Hash maps are preallocated: allocating in a
//! tracepoint is refused or unsafe on the older kernels.

use aya_ebpf::{
    btf_maps::CgroupArray,
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use leak_common::{
    Counter, ProcessId,
    limits::{
        CHANGE_COUNTERS, CODE_PAGE_ENTRIES, FAILURE_ENTRIES, FILE_ENTRIES, INFLIGHT_ENTRIES,
        LOSS_ENTRIES, MAX_FRAMES, MAX_PYTHON_FRAMES, MAX_RECEIVED, REMEMBERED_STACKS, RING_BYTES,
        SITE_ENTRIES, SPACE_ENTRIES, TARGET_ENTRIES, YOUNG_ENTRIES,
    },
    unwind::{
        CHUNK_PAGES, CHUNK_ROWS, FileCode, FileKey, MAX_PYTHON_LAYOUTS, MAX_RULES, Page,
        PythonFrame, PythonLayout, Row, Rule,
    },
    wire::{FailureKey, Interpreted, Received, Site, Young, YoungKey},
};

use crate::{
    operations::Acquiring,
    stack::{CodePage, Recalled, Remembered, Space, Stack, StackScratch},
    unfinished::Budget,
};

/// Records to user space. Only `emit` writes here.
#[map]
pub(crate) static RING: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What was acquired and neither released nor promoted yet.
#[map]
pub(crate) static YOUNG: HashMap<YoungKey, Young> = HashMap::with_max_entries(YOUNG_ENTRIES, 0);

/// Acquisitions per site; a site in here has been sent to user space.
#[map]
pub(crate) static SITES: HashMap<u64, u64> = HashMap::with_max_entries(SITE_ENTRIES, 0);

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

/// Processes known to make calls that are not covered: cause in the upper half.
#[map]
pub(crate) static UNCOVERED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

/// A thread or child between the fork tracepoint and the end of the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Cloned {
    pub(crate) key: YoungKey,
    /// When it was recorded.
    pub(crate) time: u64,
}

/// What the thread in the key has made, until its clone call returns.
#[map]
pub(crate) static CLONING: LruHashMap<u64, Cloned> =
    LruHashMap::with_max_entries(INFLIGHT_ENTRIES, 0);

/// When a process last mapped something at a fixed address.
#[map]
pub(crate) static FIXED: LruHashMap<ProcessId, u64> = LruHashMap::with_max_entries(4096, 0);

/// An io_uring request between its submission and its completion.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct UringRequest {
    pub(crate) process: ProcessId,
    /// Owner of the descriptor's key in the young table.
    pub(crate) owner: ProcessId,
    pub(crate) site: u64,
    pub(crate) kind: u32,
    /// What was asked for.
    pub(crate) opcode: u32,
}

/// Requests of io_uring that are not complete: by the request's address, or by a mix of its
/// ring and user data where this kernel does not tell the address.
#[map]
pub(crate) static URING: LruHashMap<u64, UringRequest> =
    LruHashMap::with_max_entries(INFLIGHT_ENTRIES, 0);

/// A site's record while it is put together; too large for the program's stack.
#[repr(C)]
pub(crate) struct SiteScratch {
    pub(crate) record: Site,
    pub(crate) frames: [u64; MAX_FRAMES + 1],
    pub(crate) received: Received,
    pub(crate) numbers: [u32; MAX_RECEIVED + 3],
    pub(crate) acquiring: Acquiring,
    /// 1 where the stack is to be finished by user space, else 0.
    pub(crate) unfinished: u64,
    /// Address and number of the descriptors in a message.
    pub(crate) rights: [u64; 2],
    pub(crate) stack: Stack,
    pub(crate) walk: StackScratch,
    pub(crate) interpreted: Interpreted,
    pub(crate) python_frames: [PythonFrame; MAX_PYTHON_FRAMES + 1],
}

/// Slot per kind of program: a program never interrupts itself on one CPU.
#[map]
pub(crate) static SCRATCH: PerCpuArray<SiteScratch> = PerCpuArray::with_max_entries(2, 0);

/// Unfinished stacks that a processor sent lately.
#[map]
pub(crate) static UNFINISHED: PerCpuArray<Budget> = PerCpuArray::with_max_entries(1, 0);

/// Rules that a processor remembers; slots as in `SCRATCH`.
#[map]
pub(crate) static REMEMBERED: PerCpuArray<Remembered> = PerCpuArray::with_max_entries(2, 0);

/// Whole stacks that a processor remembers.
#[map]
pub(crate) static STACKS: PerCpuArray<Recalled> =
    PerCpuArray::with_max_entries(REMEMBERED_STACKS + 1, 0);

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

/// Number in the directory of a page of a process's code.
#[map]
pub(crate) static CODE_PAGES: LruHashMap<CodePage, u64> =
    LruHashMap::with_max_entries(CODE_PAGE_ENTRIES, 0);

/// The code of processes.
#[map]
pub(crate) static SPACES: LruHashMap<ProcessId, Space> =
    LruHashMap::with_max_entries(SPACE_ENTRIES, 0);

/// How often processes mapped code, by a hash of the process.
#[map]
pub(crate) static CHANGES: Array<u64> = Array::with_max_entries(CHANGE_COUNTERS, 0);

/// Where interpreters keep their frames.
#[map]
pub(crate) static PYTHON_LAYOUTS: Array<PythonLayout> =
    Array::with_max_entries(MAX_PYTHON_LAYOUTS as u32, 0);

/// The interpreter's state of a thread.
#[map]
pub(crate) static PYTHON_THREADS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4096, 0);
