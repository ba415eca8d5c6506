//! Unwind tables: what the programs need to know of code to find a caller.
//!
//! Code is looked up by its place in its file. A file's code is divided into
//! pages of [`PAGE_BYTES`]; the directory has an entry for each, which names the
//! page's rows; a [`Row`] says from which byte on a [`Rule`] holds.

/// Bytes of code that one entry of the directory stands for, as a power of two.
pub const PAGE_BITS: u32 = 9;
/// Bytes of code that one entry of the directory stands for.
pub const PAGE_BYTES: u64 = 1 << PAGE_BITS;

/// Most rows of one page: as many as [`SEARCH_STEPS`] halvings tell apart.
pub const MAX_PAGE_ROWS: usize = (1 << SEARCH_STEPS) - 1;
/// Steps of the search within a page.
pub const SEARCH_STEPS: u32 = 9;

/// Rows of one chunk: a page's rows are never in two chunks.
pub const CHUNK_ROWS: usize = 1 << 18;
/// Entries of one chunk of the directory.
pub const CHUNK_PAGES: usize = 1 << 18;
/// Most rules; all files together use some thousands.
pub const MAX_RULES: usize = 1 << 14;

/// From an offset in its page on, a rule holds: the offset in the lower half, the
/// rule's number in the upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Row(pub u32);

impl Row {
    /// Number of no rule: nothing is known of this code.
    pub const UNKNOWN: u16 = 0xffff;

    /// A row for the code from `offset` in its page on.
    #[must_use]
    pub const fn new(offset: u16, rule: u16) -> Row {
        Row(offset as u32 | (rule as u32) << 16)
    }

    /// First byte in the page.
    #[must_use]
    pub const fn offset(self) -> u16 {
        self.0 as u16
    }

    /// Number of the rule, or [`Row::UNKNOWN`].
    #[must_use]
    pub const fn rule(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// An entry of the directory: where a page's rows are. The default one has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Page(pub u64);

impl Page {
    /// `count` rows from `first` (a number over all chunks) on.
    #[must_use]
    pub const fn new(first: u32, count: u16) -> Page {
        Page(first as u64 | (count as u64) << 32)
    }

    /// Number of the first row over all chunks.
    #[must_use]
    pub const fn first(self) -> u32 {
        self.0 as u32
    }

    /// How many rows there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

/// How a frame's caller is found. The canonical frame address (CFA) is the value
/// of the stack pointer before the call (DWARF 5, 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Rule {
    /// A [`cfa`] way to find the CFA.
    pub cfa: u8,
    /// A [`frame_pointer`] way to find the caller's frame pointer.
    pub frame_pointer: u8,
    /// A [`return_address`] way to find the address to return to.
    pub return_address: u8,
    /// Added after the load by the ways of [`cfa`] that load.
    pub cfa_addend: u8,
    /// Added to the base, in bytes.
    pub cfa_offset: i32,
    /// Where the caller's frame pointer is saved, in bytes from its base.
    pub frame_pointer_offset: i32,
    /// Where the return address is saved, in bytes from the CFA. Always -8 on x86-64.
    pub return_offset: i32,
}

/// Ways to find the CFA.
pub mod cfa {
    /// Stack pointer plus offset.
    pub const STACK_POINTER: u8 = 0;
    /// Frame pointer plus offset.
    pub const FRAME_POINTER: u8 = 1;
    /// An entry of the procedure linkage table (x86-64): stack pointer plus 8, and
    /// 8 more once the lower four bits of the address reach the offset.
    pub const PLT: u8 = 2;
    /// This bit: not one of the common ways.
    pub const RARE: u8 = 0x10;
    /// What is stored at stack pointer plus offset, plus addend.
    pub const LOADED_BY_STACK_POINTER: u8 = 0x10;
    /// What is stored at frame pointer plus offset, plus addend.
    pub const LOADED_BY_FRAME_POINTER: u8 = 0x11;
    /// A signal handler's return: all registers are in the kernel's signal frame.
    pub const SIGNAL: u8 = 0x12;
    /// The outermost frame.
    pub const END: u8 = 0x13;
    /// Nothing is known: the innermost frame is taken for a function without
    /// frame, others for functions with a frame pointer, checked.
    pub const CHECKED: u8 = 0x14;
    /// Nothing is mapped there: what was taken for a caller is none, or it is code that
    /// a forked child did not inherit (`MADV_DONTFORK`, as V8 has it).
    pub const UNMAPPED: u8 = 0x15;
}

/// Ways to find the caller's frame pointer.
pub mod frame_pointer {
    /// It was not changed.
    pub const SAME: u8 = 0;
    /// It is saved at CFA plus offset.
    pub const AT_CFA: u8 = 1;
    /// It is saved at frame pointer plus offset.
    pub const AT_FRAME_POINTER: u8 = 2;
}

/// Ways to find the address to return to.
pub mod return_address {
    /// It is saved at CFA plus offset.
    pub const AT_CFA: u8 = 0;
    /// It is in a register: the link register on aarch64, `rdi` on x86-64 (vfork).
    pub const IN_REGISTER: u8 = 1;
}

impl Rule {
    /// Nothing is known.
    pub const CHECKED: Rule = Rule {
        cfa: cfa::CHECKED,
        frame_pointer: frame_pointer::AT_CFA,
        return_address: return_address::AT_CFA,
        cfa_addend: 0,
        cfa_offset: 16,
        frame_pointer_offset: -16,
        return_offset: -8,
    };
}

/// Which file, as the kernel tells files apart, and which state of it: the time of
/// the last change to the inode tells reused inode numbers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FileKey {
    pub inode: u64,
    /// `i_ctime`, seconds.
    pub changed_seconds: i64,
    /// `i_ctime`, nanoseconds.
    pub changed_nanoseconds: u32,
    /// `s_dev`: the major number from bit 20 on, the minor below.
    pub device: u32,
}

impl FileKey {
    /// The kernel's own code that processes map (vDSO).
    pub const VDSO: FileKey = FileKey {
        inode: 0,
        changed_seconds: 0,
        changed_nanoseconds: 0,
        device: 0,
    };
}

/// What the programs know of a file's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FileCode {
    /// A [`file_state`].
    pub state: u32,
    /// Number of the directory's entry for `first_page`.
    pub directory: u32,
    /// First page with an entry: file offset over [`PAGE_BYTES`], a multiple of 8.
    pub first_page: u32,
    /// Pages with an entry.
    pub pages: u32,
    /// Where CPython's `_PyRuntime` is, in bytes from where the file's beginning
    /// would be mapped (mapping's start minus its file offset).
    pub python_runtime: u64,
    /// Number of the layout of the interpreter in this file, 0 for none.
    pub python_layout: u32,
    pub reserved: u32,
    /// When a process's page of it was last looked up.
    pub used: u64,
    /// When user space was last asked for tables.
    pub asked: u64,
}

impl FileCode {
    /// A [`file_state`] in which there are no tables.
    #[must_use]
    pub const fn without_tables(state: u32) -> FileCode {
        FileCode {
            state,
            directory: 0,
            first_page: 0,
            pages: 0,
            python_runtime: 0,
            python_layout: 0,
            reserved: 0,
            used: 0,
            asked: 0,
        }
    }
}

/// What is known of a file.
pub mod file_state {
    /// User space was asked for tables.
    pub const WANTED: u32 = 0;
    /// There are tables.
    pub const LOADED: u32 = 1;
    /// It has none: frame pointers are all there is.
    pub const BARE: u32 = 2;
    /// The tables were dropped to make room.
    pub const EVICTED: u32 = 3;
}

/// Where an interpreter keeps its frames: byte offsets in the structures of
/// CPython. [`ABSENT`](crate::config::ABSENT) where this version has no such field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PythonLayout {
    /// `_PyRuntimeState`: first interpreter.
    pub runtime_interpreters: u32,
    /// `PyInterpreterState`: next one, and first thread.
    pub interpreter_next: u32,
    pub interpreter_threads: u32,
    /// `PyThreadState`: next one, pthread_self of the thread, and its frame. A thread
    /// has a state in each interpreter it ever ran; one without a frame does not count.
    pub thread_next: u32,
    pub thread_id: u32,
    pub thread_frame: u32,
    /// The thread's `_PyCFrame`, through which the frame is found (3.11 and 3.12):
    /// the frame's offset in it.
    pub cframe_frame: u32,
    /// A frame: its code object, its caller, and the place in the code: the
    /// instruction's address, or (`lasti` set) the index of it as 32 bits.
    pub frame_code: u32,
    pub frame_previous: u32,
    pub frame_instruction: u32,
    /// The frame's byte that says whether native code entered the interpreter
    /// here, and its value then; absent where each frame is one entry (to 3.10).
    pub frame_entry: u32,
    pub frame_entry_value: u32,
    /// The place in the code is an index of 32 bits (to 3.10).
    pub lasti: u32,
    /// An entry is a frame of its own, without code, outside of the function's
    /// (from 3.12 on): programs pass it on as it is, user space takes it out.
    pub entry_apart: u32,
}

impl PythonLayout {
    /// Bytes of a frame's beginning that hold all of these fields: 3.9 has them the farthest
    /// in.
    pub const FRAME_BYTES: u32 = 112;
}

/// A frame of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PythonFrame {
    /// Address of the code object; its lower three bits may be the interpreter's
    /// own marks (from 3.14 on).
    pub code: u64,
    /// The instruction (address, or index up to 3.10) in the lower 63 bits; the
    /// upper bit is set where native code entered the interpreter.
    pub place: u64,
}

impl PythonFrame {
    /// Bit of [`PythonFrame::place`].
    pub const ENTRY: u64 = 1 << 63;
}

/// Layouts of interpreters that can be known at a time, number 0 being none.
pub const MAX_PYTHON_LAYOUTS: usize = 64;

const _: () = assert!(size_of::<Rule>() == 16);
const _: () = assert!(size_of::<FileKey>() == 24);
const _: () = assert!(size_of::<FileCode>() == 48);
const _: () = assert!(size_of::<PythonLayout>() == 56);
const _: () = assert!(size_of::<PythonFrame>() == 16);
