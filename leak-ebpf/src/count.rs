//! Counters of this processor, and which process a loss may have hit.
//!
//! Every fault that a program meets ends here: the programs have nobody to tell, and user space
//! reads the counters. A process that may have lost records is looked at again in `/proc`.

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
        // SAFETY: this CPU's word. A program that interrupts another one between its load
        // and its store loses its increment, which only statistics see.
        unsafe { *value += 1 }
    }
}

/// Counts a loss and remembers the process that it may have hit. Where that
/// table is full too, the entry of nobody says so: all of them are suspect.
#[inline(always)]
pub(crate) fn lost(counter: Counter, process: ProcessId) {
    count(counter);
    if let Some(value) = LOSSES.get_ptr_mut(process) {
        // SAFETY: a word of the entry. Two processors that add at once may count one, and
        // one is enough.
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
