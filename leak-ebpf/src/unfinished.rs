//! Stacks that end in a file without unwind tables. User space finishes them when it has made the
//! tables, from the memory that goes with them.
//!
//! Each carries 16 KiB, so a processor sends only some in a tenth of a second; the others stay as
//! they are.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    ProcessId,
    identity::unfinished_at,
    limits::UNFINISHED_STACKS,
    wire::{RecordType, StackEnd, Unfinished},
};

use crate::{
    clock::now,
    emit::{head, reserve},
    stack::{self, Scratch, Stack},
};

/// How many were sent since a time.
#[repr(C)]
#[derive(Clone, Copy)]
struct Budget {
    since: u64,
    sent: u64,
}

/// Unfinished stacks that a processor sent lately.
#[map]
static UNFINISHED: PerCpuArray<Budget> = PerCpuArray::with_max_entries(1, 0);

const TENTH_OF_A_SECOND: u64 = 100_000_000;

/// Marks a stack that is to be finished: its site becomes one of its own.
#[inline(always)]
pub(crate) fn mark(scratch: &mut Scratch) {
    scratch.unfinished = 0;
    let Stack { end, hash, .. } = scratch.stack;
    if end != StackEnd::NoTable as u64 && end != StackEnd::Evicted as u64 {
        return;
    }
    let Some(budget) = UNFINISHED.get_ptr_mut(0) else {
        return;
    };
    let now = now();
    // SAFETY: this CPU's entry. A program that interrupts another one may send one stack
    // too many, which does no harm.
    let budget = unsafe { &mut *budget };
    if now.wrapping_sub(budget.since) > TENTH_OF_A_SECOND {
        *budget = Budget {
            since: now,
            sent: 0,
        };
    }
    if budget.sent < UNFINISHED_STACKS {
        budget.sent += 1;
        scratch.unfinished = 1;
        scratch.stack.hash = unfinished_at(hash, now);
    }
}

/// Sends the registers and memory by which user space finishes the stack of a new site, if the
/// stack was marked.
#[inline(always)]
pub(crate) fn send(scratch: &Scratch, kind: u32, process: ProcessId, site: u64) {
    if scratch.unfinished == 0 {
        return;
    }
    let Some(mut entry) = reserve::<Unfinished>(process) else {
        return;
    };
    let record = entry.as_mut_ptr();
    let (walk, mapping) = (&scratch.walk.walk, &scratch.walk.mapping);
    // SAFETY: fields of the record, which is reserved for this program alone until it is
    // submitted; they are written and never read.
    unsafe {
        (*record).head = head(RecordType::Unfinished, kind, process);
        (*record).site = site;
        (*record).instruction = walk.instruction;
        (*record).stack_pointer = walk.stack;
        (*record).frame_pointer = walk.frame;
        (*record).link = walk.link;
        (*record).after_call = walk.after_call as u32;
        (*record).has_link = walk.has_link as u32;
        (*record).file = mapping.key;
        (*record).start = mapping.start;
        (*record).end = mapping.end;
        (*record).offset = mapping.offset;
        (*record).length = stack::copy(&raw mut (*record).memory, walk.stack);
    }
    entry.submit(0);
}
