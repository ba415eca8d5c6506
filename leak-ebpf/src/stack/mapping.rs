//! Which mapping an address lies in, asked of the kernel: by its own look-up (5.17), or through the
//! tree of mappings that kernels before 6.1 have.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_get_current_task_btf};
use leak_common::{config::ABSENT, unwind::FileKey, wire::CodeMapped};

use crate::{config::config, memory::kernel_or_zero, task::Task, verifier::forget};

/// `VM_EXEC`, include/linux/mm.h.
const EXECUTABLE: u64 = 4;

/// The kernel's pages, in which it counts offsets in files, have at least 4 KiB.
/// (With larger pages user space would see it: the tables are by file offset.)
const PAGE_BITS: u32 = 12;

/// Flag bits beside the nanoseconds of a change time (fs/inode.c, multigrain
/// time stamps, 6.13).
const NANOSECONDS: u32 = (1 << 30) - 1;

/// A mapping of code.
#[repr(C)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Of its beginning in the file, in bytes.
    pub(crate) offset: u64,
    flags: u64,
    /// The open file, 0 for memory without.
    file: u64,
    pub(crate) key: FileKey,
    node: u64,
    /// A request for its tables, while it is put together.
    pub(super) wanted: CodeMapped,
}

/// What a search came to.
pub(crate) enum Searched {
    Found,
    Nothing,
    /// The mappings are being changed.
    Locked,
}

/// A way to search the current process's mappings.
pub(crate) trait Mappings {
    /// Finds the mapping of an address.
    fn find(address: u64, mapping: &mut Mapping) -> Searched;
}

/// By the kernel's own look-up, under its lock (5.17).
pub(crate) enum ByLock {}

impl Mappings for ByLock {
    #[inline(always)]
    fn find(address: u64, mapping: &mut Mapping) -> Searched {
        /// `ENOENT`.
        const NOTHING: i64 = -2;
        // The helper takes only pointers to the stack.
        let mut target: *mut Mapping = mapping;
        // SAFETY: the helper calls `found` with the pointer to `target` before it returns.
        let result = unsafe {
            bpf_find_vma(
                bpf_get_current_task_btf(),
                address,
                found as *mut c_void,
                (&raw mut target).cast(),
                0,
            )
        };
        match result {
            0 => Searched::Found,
            NOTHING => Searched::Nothing,
            _ => Searched::Locked,
        }
    }
}

/// Called by `bpf_find_vma` with the mapping it found.
#[inline(never)]
extern "C" fn found(_task: *mut c_void, vma: *mut c_void, target: *mut *mut Mapping) -> i64 {
    // SAFETY: the pointer that was handed to `bpf_find_vma`, to a mapping that its caller
    // borrows meanwhile.
    fill(vma as u64, unsafe { &mut **target });
    0
}

/// By the tree of mappings as kernels before 6.1 have it. Without a lock: what is
/// found is checked to contain the address.
pub(crate) enum ByTree {}

/// Deeper than the tree of 65530 mappings (vm.max_map_count) can be.
const DEPTH: u32 = 34;

impl Mappings for ByTree {
    #[inline(always)]
    fn find(address: u64, mapping: &mut Mapping) -> Searched {
        if config!(offsets.mm_tree) == ABSENT {
            return Searched::Nothing;
        }
        let memory: u64 = kernel_or_zero(Task::current().address(), config!(offsets.task_mm));
        mapping.node = kernel_or_zero(memory, config!(offsets.mm_tree));
        let mut depth = 0;
        while depth < DEPTH {
            let node = mapping.node;
            if node == 0 {
                return Searched::Nothing;
            }
            let vma = node.wrapping_sub(u64::from(config!(offsets.vma_node)));
            let start: u64 = kernel_or_zero(vma, config!(offsets.vma_start));
            let end: u64 = kernel_or_zero(vma, config!(offsets.vma_end));
            if address.wrapping_sub(start) < end.wrapping_sub(start) {
                fill(vma, mapping);
                return Searched::Found;
            }
            // struct rb_node, include/linux/rbtree_types.h: right, then left.
            let child = if address < start { 16 } else { 8 };
            let child = kernel_or_zero(node, child);
            forget(&mut mapping.node, child);
            depth += 1;
        }
        Searched::Nothing
    }
}

#[inline(always)]
fn fill(vma: u64, mapping: &mut Mapping) {
    mapping.start = kernel_or_zero(vma, config!(offsets.vma_start));
    mapping.end = kernel_or_zero(vma, config!(offsets.vma_end));
    let pages: u64 = kernel_or_zero(vma, config!(offsets.vma_offset));
    mapping.offset = pages << PAGE_BITS;
    mapping.flags = kernel_or_zero(vma, config!(offsets.vma_flags));
    let file: u64 = kernel_or_zero(vma, config!(offsets.vma_file));
    mapping.file = file;
    mapping.key = key(file);
}

/// The key of an open file.
#[inline(always)]
pub(super) fn key(file: u64) -> FileKey {
    let inode: u64 = kernel_or_zero(file, config!(offsets.file_inode));
    let super_block: u64 = kernel_or_zero(inode, config!(offsets.inode_super));
    let nanoseconds: u32 = kernel_or_zero(inode, config!(offsets.inode_changed_nanoseconds));
    FileKey {
        inode: kernel_or_zero(inode, config!(offsets.inode_number)),
        changed_seconds: kernel_or_zero(inode, config!(offsets.inode_changed_seconds)),
        changed_nanoseconds: nanoseconds & NANOSECONDS,
        device: kernel_or_zero(super_block, config!(offsets.super_device)),
    }
}

impl Mapping {
    pub(super) fn is_executable(&self) -> bool {
        self.flags & EXECUTABLE != 0
    }

    pub(super) fn has_file(&self) -> bool {
        self.file != 0
    }

    /// Whether it is the code that the kernel maps into every process.
    #[inline(always)]
    pub(super) fn is_vdso(&self) -> bool {
        let memory: u64 = kernel_or_zero(Task::current().address(), config!(offsets.task_mm));
        let vdso: u64 = kernel_or_zero(memory, config!(offsets.mm_vdso));
        config!(offsets.mm_vdso) != ABSENT && vdso == self.start
    }
}
