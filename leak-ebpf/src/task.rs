//! Reading kernel structures at the offsets that user space found.

use core::ffi::c_void;

use aya_ebpf::helpers::generated;
use aya_ebpf::{
    bindings::task_struct,
    helpers::{bpf_get_current_task, bpf_probe_read_kernel, generated::bpf_get_current_task_btf},
};
use leak_common::{
    Kind, ProcessId,
    config::{ABSENT, flags},
    identity::TICK_NS,
};

use crate::config::{config, has};

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
            unsafe { bpf_get_current_task_btf() }
                .cast::<u8>()
                .cast_const()
        } else {
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
        let slot = (array + descriptor * 8) as *const u64;
        let file = unsafe { bpf_probe_read_kernel(slot) }.ok()?;
        (file != 0).then_some(file)
    }

    /// The kind of the file behind a descriptor as far as its inode tells:
    /// anonymous inodes have no type (fs/anon_inodes.c). Without a branch: each
    /// would multiply what the verifier has to walk. A read that fails yields 0,
    /// and so does the next.
    #[inline(always)]
    pub(crate) fn descriptor_kind(self, descriptor: u64) -> u32 {
        let files: u64 = read_or_zero(self.0 as u64, config!(offsets.task_files));
        let table: u64 = read_or_zero(files, config!(offsets.files_fdt));
        let array: u64 = read_or_zero(table, config!(offsets.fdt_fd));
        let file: u64 = read_or_zero(array.wrapping_add(descriptor * 8), 0);
        let inode: u64 = read_or_zero(file, config!(offsets.file_inode));
        let mode: u16 = read_or_zero(inode, config!(offsets.inode_mode));
        let index = crate::stack::opaque(u64::from(mode) >> 12) & 15;
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

/// A checked read of kernel memory; zero where it fails.
#[inline(always)]
pub(crate) fn read_or_zero<T: Copy + Default>(base: u64, offset: u32) -> T {
    let mut value = T::default();
    let from = base.wrapping_add(u64::from(offset)) as *const c_void;
    // SAFETY: the helper checks the address, and zeroes `value` where it fails.
    unsafe {
        generated::bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, from)
    };
    value
}

/// A field of a kernel structure: a plain load where the pointer is typed, else a
/// checked read.
#[inline(always)]
fn load<T: Copy>(base: *const u8, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    let field = base.wrapping_add(offset as usize).cast::<T>();
    if has(flags::TYPED_TASK) {
        // SAFETY: the verifier knows the type behind the pointer and checks the field.
        Some(unsafe { core::ptr::read_volatile(field) })
    } else {
        unsafe { bpf_probe_read_kernel(field) }.ok()
    }
}

/// An array of two words: the verifier takes no plain load across elements of a
/// character array, so this is always a checked read.
#[inline(always)]
fn load_words(base: *const u8, offset: u32) -> Option<[u64; 2]> {
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset as usize).cast()) }.ok()
}
