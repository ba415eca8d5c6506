//! An iterator over tasks (`iter/task`, Linux 5.8): how many descriptors each process has, one row
//! for each of its tables. It runs when user space reads it, and costs nobody anything else.
//!
//! The kernel keeps a bit for each number that is in use. A number that a thread has reserved, as it
//! does while it waits in accept(2), counts too.

use aya_ebpf::helpers::generated::bpf_seq_write;
use leak_common::wire::TableCount;

use super::descriptor_uses::Meta;
use crate::{
    config::config,
    memory::{kernel, kernel_or_zero},
    task::Task,
};

/// `struct bpf_iter__task`, kernel/bpf/task_iter.c.
#[repr(C)]
pub(crate) struct TaskEntry {
    meta: *const Meta,
    task: *const u8,
}

/// Words of bits that are read at once, and how often: tables of up to 65,536 numbers are counted.
const AT_ONCE: u32 = 8;
const TIMES: u32 = 128;

/// Writes one [`TableCount`] for each table.
#[unsafe(link_section = "iter/task")]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn table_counts(ctx: *const TaskEntry) -> i32 {
    tell(ctx);
    0
}

#[inline(always)]
fn tell(ctx: *const TaskEntry) -> Option<()> {
    // SAFETY: the context of this type of program; the verifier checks the field.
    let task = unsafe { (*ctx).task };
    // At the end it runs once more, without a task.
    if task.is_null() {
        return None;
    }
    let task = Task::new(task.cast());
    let files = task.files()?;
    if files == 0 || task.is_kernel_thread() {
        return None;
    }
    // The first thread tells for all that have its table. It may have ended: then it has none.
    let tid = task.pid()?;
    if tid != task.tgid()? && files == task.files_of_process()? {
        return None;
    }
    let table: u64 = kernel_or_zero(files, config!(offsets.files_fdt));
    let size: u32 = kernel_or_zero(table, config!(offsets.fdt_max_fds));
    let bits: u64 = kernel_or_zero(table, config!(offsets.fdt_open_fds));
    let mut row = TableCount {
        process: task.process()?,
        files,
        descriptors: count(bits, size / 64)?,
        tid,
    };
    // SAFETY: the output is what the kernel handed over; the row is memory of that size. What
    // does not fit is asked for again by the kernel (seq_file).
    unsafe {
        let output = (*(*ctx).meta).output;
        let size = size_of::<TableCount>() as u32;
        bpf_seq_write(output.cast(), (&raw mut row).cast(), size)
    };
    Some(())
}

/// The bits that are set in so many words, `TableCount::TOO_MANY` if they are more than are read.
#[inline(always)]
fn count(bits: u64, words: u32) -> Option<u32> {
    let mut set = 0;
    let mut from = 0;
    while from < AT_ONCE * TIMES {
        if from >= words {
            return Some(set);
        }
        // A table of the smallest size is in the middle of a larger structure.
        let read: [u64; AT_ONCE as usize] = kernel(bits.wrapping_add(u64::from(from) * 8)).ok()?;
        let mut index = 0;
        while index < AT_ONCE {
            if from + index < words {
                set += read[index as usize].count_ones();
            }
            index += 1;
        }
        from += AT_ONCE;
    }
    Some(TableCount::TOO_MANY)
}
