//! Counters, and who was hit by a loss.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use leak_common::{Counter, ProcessId};

use crate::maps::{COUNTERS, LOSSES};

/// Adds one to a counter of this CPU.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    count_at(counter as u64);
}

/// Adds one to the counter with a number.
#[inline(always)]
pub(crate) fn count_at(number: u64) {
    if let Some(value) = COUNTERS.get_ptr_mut(number as u32) {
        // SAFETY: a slot of this CPU; a nested program may lose an increment of
        // its own interruption, which only statistics see.
        unsafe { *value += 1 }
    }
}

/// Counts a loss and remembers the process that it may have hit. Where that
/// table is full too, the entry of nobody says so: all of them are suspect.
#[inline(always)]
pub(crate) fn lost(counter: Counter, process: ProcessId) {
    count(counter);
    if let Some(value) = LOSSES.get_ptr_mut(process) {
        unsafe { *value += 1 }
    } else if LOSSES.insert(process, 1u64, 0).is_err() {
        let _ = LOSSES.insert(ProcessId::NONE, 1u64, 0);
    }
}

/// The calling process's id, tgid in the upper half, tid in the lower.
#[inline(always)]
pub(crate) fn current() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// Adds to a word of a map that other CPUs add to as well. (The library's atomics
/// are not there for this target.)
#[inline(always)]
pub(crate) fn increase(total: *mut u64, amount: u64) {
    // SAFETY: an aligned word of a map value.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) total, in(reg) amount, options(nostack));
    }
}
