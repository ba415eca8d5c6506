//! Stacks with what they were taken from, to compare the walk with another
//! unwinder's. Switched off, there is nothing of it in the programs.

use aya_ebpf::helpers::{bpf_get_prandom_u32, generated};
use leak_common::{
    ProcessId,
    limits::MAX_FRAMES,
    wire::{RecordType, SNAPSHOT_BYTES, Snapshot},
};

use crate::{
    count::current,
    emit::head,
    maps::{RING, SiteScratch},
    registers::Registers,
    stack::opaque,
};

/// Sends a stack with what it was taken from, one in so many at random.
#[inline(always)]
pub(crate) fn send(scratch: &SiteScratch, registers: Registers, process: ProcessId) {
    const ONE_IN: u32 = 4;
    const PAGE: u64 = 4096;
    // SAFETY: a helper without arguments.
    if unsafe { bpf_get_prandom_u32() } % ONE_IN != 0 {
        return;
    }
    let Some(mut entry) = RING.reserve::<Snapshot>(0) else {
        return;
    };
    let record = entry.as_mut_ptr();
    let stack = registers.stack();
    // SAFETY: fields of the reserved record, and reads within its memory.
    unsafe {
        (*record).head = head(RecordType::Snapshot, 0, process);
        (*record).instruction = registers.instruction();
        (*record).stack_pointer = stack;
        (*record).frame_pointer = registers.frame();
        (*record).link = registers.link();
        (*record).tid = current().1;
        (*record).count = scratch.stack.frames as u16;
        (*record).end = scratch.stack.end as u16;
        // By words: a copy by the compiler is a loop over bytes.
        let mut index = 0;
        while index <= MAX_FRAMES {
            core::ptr::write_volatile(&raw mut (*record).frames[index], scratch.frames[index]);
            index += 1;
        }
        let memory = (&raw mut (*record).memory).cast::<u8>();
        let mut length = 0;
        // By pages: the stack's end is no reason to have nothing of it.
        let first = PAGE - opaque(stack & (PAGE - 1));
        if generated::bpf_probe_read_user(memory.cast(), first as u32 & 0x1fff, stack as *const _)
            == 0
        {
            length = first;
            let mut page = 1;
            while page < SNAPSHOT_BYTES as u64 / PAGE {
                let offset = opaque(first + (page - 1) * PAGE) & (SNAPSHOT_BYTES as u64 - 1);
                if offset > SNAPSHOT_BYTES as u64 - PAGE {
                    break;
                }
                let from = stack + offset;
                let into = memory.add(offset as usize);
                if generated::bpf_probe_read_user(into.cast(), PAGE as u32, from as *const _) != 0 {
                    break;
                }
                length = offset + PAGE;
                page += 1;
            }
        }
        (*record).length = length;
    }
    entry.submit(0);
}
