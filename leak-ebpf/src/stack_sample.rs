//! Stacks with the memory they were taken from, for comparing the walk with another unwinder's.
//! Only a test asks for them: switched off, there is nothing of it in the programs.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use leak_common::{
    ProcessId,
    limits::MAX_FRAMES,
    wire::{RecordType, StackSample},
};

use crate::{
    count::current,
    emit::{head, reserve},
    registers::Registers,
    stack::{self, Scratch},
};

/// Sends a stack with what it was taken from, one in four at random.
#[inline(always)]
pub(crate) fn send(scratch: &Scratch, registers: Registers, process: ProcessId) {
    const ONE_IN: u32 = 4;
    // SAFETY: a helper without arguments.
    if unsafe { bpf_get_prandom_u32() } % ONE_IN != 0 {
        return;
    }
    let Some(mut entry) = reserve::<StackSample>(process) else {
        return;
    };
    let record = entry.as_mut_ptr();
    let stack_pointer = registers.stack();
    // SAFETY: fields of the record, which is reserved for this program alone until it is
    // submitted; they are written and never read.
    unsafe {
        (*record).head = head(RecordType::StackSample, 0, process);
        (*record).instruction = registers.instruction();
        (*record).stack_pointer = stack_pointer;
        (*record).frame_pointer = registers.frame();
        (*record).link = registers.link();
        (*record).tid = current().1;
        (*record).count = scratch.stack.frames as u16;
        (*record).end = scratch.stack.end as u16;
        // By words: a copy by the compiler is a loop over bytes.
        let mut index = 0;
        while index <= MAX_FRAMES {
            core::ptr::write_volatile(&raw mut (*record).frames[index], scratch.site.rest[index]);
            index += 1;
        }
        (*record).length = stack::copy(&raw mut (*record).memory, stack_pointer);
    }
    entry.submit(0);
}
