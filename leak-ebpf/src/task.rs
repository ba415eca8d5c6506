//! Tasks: reading `struct task_struct`, and what it leads to, at the offsets that user space took
//! from the kernel's BTF.
//!
//! Where the kernel has typed pointers, fields are plain loads that the verifier checks; else a
//! helper checks each read.

use aya_ebpf::{
    bindings::task_struct,
    helpers::{bpf_get_current_task, generated::bpf_get_current_task_btf},
};
use leak_common::{
    Kind, ProcessId,
    config::{ABSENT, flags},
    identity::TICK_NS,
};

use crate::{
    config::{config, has},
    memory::{Plain, kernel, kernel_or_zero},
    verifier::opaque,
};

/// `PF_IO_WORKER`, include/linux/sched.h.
const IO_WORKER: u32 = 0x10;
/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// A `struct task_struct`.
#[derive(Clone, Copy)]
pub(crate) struct Task(*const u8);

impl Task {
    /// From a typed tracepoint argument.
    #[inline(always)]
    pub(crate) fn new(task: *const task_struct) -> Task {
        Task(task.cast())
    }

    /// The current task.
    #[inline(always)]
    pub(crate) fn current() -> Task {
        let task = if has(flags::TYPED_TASK) {
            // SAFETY: a helper without arguments, which this kernel has.
            unsafe { bpf_get_current_task_btf() }
                .cast::<u8>()
                .cast_const()
        } else {
            // SAFETY: a helper without arguments.
            unsafe { bpf_get_current_task() as *const u8 }
        };
        Task(task)
    }

    /// Its address, for checked reads.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub(crate) fn pid(self) -> Option<u32> {
        load(self.0, config!(offsets.task_pid))
    }

    #[inline(always)]
    pub(crate) fn tgid(self) -> Option<u32> {
        load(self.0, config!(offsets.task_tgid))
    }

    #[inline(always)]
    pub(crate) fn is_kernel_thread(self) -> bool {
        load::<u32>(self.0, config!(offsets.task_flags)).is_none_or(|set| set & KERNEL_THREAD != 0)
    }

    /// Whether it is a thread of io_uring in its process: one that submits (SQPOLL) or a worker. It
    /// never was in user space, and has no registers of it.
    #[inline(always)]
    pub(crate) fn is_uring_thread(self) -> bool {
        load::<u32>(self.0, config!(offsets.task_flags)).is_some_and(|set| set & IO_WORKER != 0)
    }

    /// Whether it is in a 32-bit system call, which 64-bit code can make too
    /// (`int 0x80`): `TS_COMPAT`, arch/x86/include/asm/thread_info.h.
    #[inline(always)]
    pub(crate) fn in_compat_call(self) -> bool {
        const TS_COMPAT: u32 = 2;
        load::<u32>(self.0, config!(offsets.task_status)).is_some_and(|set| set & TS_COMPAT != 0)
    }

    /// Address of its descriptor table, to compare.
    #[inline(always)]
    pub(crate) fn files(self) -> Option<u64> {
        load(self.0, config!(offsets.task_files))
    }

    /// Address of the descriptor table of its process: that of the first thread, 0 where that
    /// has ended.
    #[inline(always)]
    pub(crate) fn files_of_process(self) -> Option<u64> {
        let leader: *const u8 = load(self.0, config!(offsets.task_group_leader))?;
        load(leader, config!(offsets.task_files))
    }

    /// Address of its memory, to compare.
    #[inline(always)]
    pub(crate) fn memory(self) -> Option<u64> {
        load(self.0, config!(offsets.task_mm))
    }

    /// This very task (a thread, or a process by its leader).
    #[inline(always)]
    pub(crate) fn identity(self) -> Option<ProcessId> {
        let start: u64 = load(self.0, config!(offsets.task_start_boottime))?;
        Some(ProcessId::new(self.pid()?, start / TICK_NS))
    }

    /// The process it belongs to.
    #[inline(always)]
    pub(crate) fn process(self) -> Option<ProcessId> {
        let leader: *const u8 = load(self.0, config!(offsets.task_group_leader))?;
        let start: u64 = load(leader, config!(offsets.task_start_boottime))?;
        Some(ProcessId::new(self.tgid()?, start / TICK_NS))
    }

    /// Whether no thread of its process lives any more: `signal->live` is counted
    /// down before the exit tracepoint (kernel/exit.c, do_exit).
    #[inline(always)]
    pub(crate) fn group_is_dead(self) -> bool {
        let signal: Option<*const u8> = load(self.0, config!(offsets.task_signal));
        match signal {
            Some(signal) => load::<i32>(signal, config!(offsets.signal_live)) == Some(0),
            None => false,
        }
    }

    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; 16] {
        let words: Option<[u64; 2]> = load_words(self.0, config!(offsets.task_comm));
        match words {
            // SAFETY: two plain words are 16 plain bytes.
            Some(words) => unsafe { core::mem::transmute::<[u64; 2], [u8; 16]>(words) },
            None => [0; 16],
        }
    }

    /// The inode number of its IPC name space.
    #[inline(always)]
    pub(crate) fn ipc_namespace(self) -> Option<u32> {
        let proxy: *const u8 = load(self.0, config!(offsets.task_nsproxy))?;
        let ipc: *const u8 = load(proxy, config!(offsets.nsproxy_ipc))?;
        load(ipc, config!(offsets.ipc_inum))
    }

    /// The open file behind a descriptor, `None` where it is not open. The
    /// pointer is not typed: what is behind it is read with [`load`].
    #[inline(always)]
    pub(crate) fn file(self, descriptor: u64) -> Option<u64> {
        let files: *const u8 = load(self.0, config!(offsets.task_files))?;
        let table: *const u8 = load(files, config!(offsets.files_fdt))?;
        let size: u32 = load(table, config!(offsets.fdt_max_fds))?;
        if descriptor >= u64::from(size) {
            return None;
        }
        let array: u64 = load(table, config!(offsets.fdt_fd))?;
        let file: u64 = kernel(array + descriptor * 8).ok()?;
        (file != 0).then_some(file)
    }

    /// Whether a descriptor closes on exec: for calls that do not say it in their arguments.
    #[inline(always)]
    pub(crate) fn closes_on_exec(self, descriptor: u64) -> bool {
        let files: u64 = kernel_or_zero(self.0 as u64, config!(offsets.task_files));
        let table: u64 = kernel_or_zero(files, config!(offsets.files_fdt));
        let bits: u64 = kernel_or_zero(table, config!(offsets.fdt_close_on_exec));
        let word: u64 = kernel_or_zero(bits.wrapping_add(descriptor / 64 * 8), 0);
        word >> (descriptor & 63) & 1 != 0
    }

    /// What can be done with the file behind a descriptor: an address that all files of its sort
    /// share. 0 where it is not open.
    #[inline(always)]
    pub(crate) fn file_operations(self, descriptor: u64) -> u64 {
        let file = self.file(descriptor).unwrap_or(0);
        kernel_or_zero(file, config!(offsets.file_operations))
    }

    /// The kind of the file behind a descriptor as far as its inode tells:
    /// anonymous inodes have no type (fs/anon_inodes.c). Without a branch: each
    /// would multiply what the verifier has to walk. A read that fails yields 0,
    /// and so does the next.
    #[inline(always)]
    pub(crate) fn descriptor_kind(self, descriptor: u64) -> u32 {
        let files: u64 = kernel_or_zero(self.0 as u64, config!(offsets.task_files));
        let table: u64 = kernel_or_zero(files, config!(offsets.files_fdt));
        let array: u64 = kernel_or_zero(table, config!(offsets.fdt_fd));
        let file: u64 = kernel_or_zero(array.wrapping_add(descriptor * 8), 0);
        let inode: u64 = kernel_or_zero(file, config!(offsets.file_inode));
        let mode: u16 = kernel_or_zero(inode, config!(offsets.inode_mode));
        let index = opaque(u64::from(mode) >> 12) & 15;
        let kinds = (&raw const KIND_BY_TYPE).cast::<u8>();
        // SAFETY: the index is in bounds.
        u32::from(unsafe { core::ptr::read_volatile(kinds.add(index as usize)) })
    }
}

/// By file type, the upper four bits of the mode (`S_IFMT`, include/uapi/linux/stat.h).
static KIND_BY_TYPE: [u8; 16] = {
    let mut kinds = [Kind::Anon as u8; 16];
    kinds[0o01] = Kind::Pipe as u8;
    kinds[0o02] = Kind::File as u8;
    kinds[0o04] = Kind::Directory as u8;
    kinds[0o06] = Kind::File as u8;
    kinds[0o10] = Kind::File as u8;
    kinds[0o12] = Kind::File as u8;
    kinds[0o14] = Kind::Socket as u8;
    kinds
};

/// A field of a kernel structure: a plain load where the pointer is typed, else a
/// checked read.
#[inline(always)]
fn load<T: Plain>(base: *const u8, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    let field = base.wrapping_add(offset as usize).cast::<T>();
    if has(flags::TYPED_TASK) {
        // SAFETY: the verifier knows the type behind the pointer: it refuses the program where
        // there is no such field, and the kernel yields 0 where the pointer does not hold.
        Some(unsafe { core::ptr::read_volatile(field) })
    } else {
        kernel(field as u64).ok()
    }
}

/// An array of two words: the verifier takes no plain load across elements of a
/// character array, so this is always a checked read.
#[inline(always)]
fn load_words(base: *const u8, offset: u32) -> Option<[u64; 2]> {
    kernel(base as u64 + u64::from(offset)).ok()
}
