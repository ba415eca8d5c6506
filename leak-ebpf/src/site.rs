//! Sites: counted at each acquisition, sent to user space at the first.

use leak_common::{
    Counter, ProcessId,
    config::flags,
    wire::{Interpreted, RecordType, Site, StackEnd},
};

use crate::{
    config::has,
    count::{count, count_at, current, lost},
    emit::{emit_interpreted, emit_site, head},
    maps::{SCRATCH, SITES},
    registers::Registers,
    snapshot,
    stack::{self, Mappings, Stack},
    young,
};

/// Which of the scratch slots a program uses.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    Syscall = 0,
    Uring = 1,
}

/// The user's present stack, in the scratch of its slot.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    slot: Slot,
    stack: Stack,
}

/// Takes the user's stack: once per call, however many resources it acquires.
#[inline(always)]
pub(crate) fn take<M: Mappings>(
    slot: Slot,
    registers: Option<Registers>,
    process: ProcessId,
) -> Option<Taken> {
    let scratch = SCRATCH.get_ptr_mut(slot as u32)?;
    // SAFETY: this CPU's slot, which only this program uses, and never nested.
    let scratch = unsafe { &mut *scratch };
    let taken = stack::take::<M>(
        registers,
        slot as u32,
        &mut scratch.python_frames,
        &mut scratch.walk,
        process,
    );
    // Through a map: the verifier forgets which way out of the walk led here, and
    // goes on once.
    // SAFETY: a place in the scratch.
    let taken = unsafe {
        core::ptr::write_volatile(&raw mut scratch.stack, taken);
        core::ptr::read_volatile(&raw const scratch.stack)
    };
    if has(flags::SNAPSHOTS)
        && let Some(registers) = registers
    {
        snapshot::send(&scratch.frames, registers, taken, process);
    }
    Some(Taken { slot, stack: taken })
}

/// Counts `amount` acquisitions of `kind` at a stack, and returns the site's
/// identity: 0 where there is none.
#[inline(always)]
pub(crate) fn visit(taken: Taken, process: ProcessId, kind: u32, amount: u64) -> u64 {
    if !young::wanted(kind) {
        return 0;
    }
    // 0 is the unknown site.
    let site = stack::mix(taken.stack.hash, u64::from(kind)) | 1;
    if let Some(total) = SITES.get_ptr_mut(site) {
        increase(total, amount);
        return site;
    }
    if SITES.insert(site, amount, 0).is_err() {
        lost(Counter::SitesFull, process);
        return 0;
    }
    if taken.stack.end != StackEnd::Complete as u64 {
        count(Counter::StackTruncated);
        count_at(Counter::StackBroken as u64 + taken.stack.end - StackEnd::Broken as u64);
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(taken.slot as u32) else {
        return 0;
    };
    // SAFETY: as in `take`.
    let scratch = unsafe { &mut *scratch };
    if taken.stack.python_frames != 0 {
        scratch.interpreted = Interpreted {
            head: head(RecordType::Interpreted, kind, process),
            site,
            layout: taken.stack.python_layout as u32,
            frames: taken.stack.python_frames as u32,
        };
        emit_interpreted(scratch, taken.stack.python_frames, process);
    }
    scratch.record = Site {
        head: head(RecordType::Site, kind, process),
        site,
        tid: current().1,
        frames: taken.stack.frames as u16,
        end: taken.stack.end as u16,
    };
    if !emit_site(scratch, taken.stack.frames, process) {
        // Not known to user space: the next acquisition tries again.
        let _ = SITES.remove(site);
    }
    site
}

/// Adds to a word of a map that other CPUs add to as well. (The library's atomics
/// are not there for this target.)
#[inline(always)]
fn increase(total: *mut u64, amount: u64) {
    // SAFETY: an aligned word of a map value.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) total, in(reg) amount, options(nostack));
    }
}
