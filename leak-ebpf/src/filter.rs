//! Which processes are traced: by their pid, their name or their cgroup, as user space said, and
//! by what they inherit from the process that made them.

use aya_ebpf::helpers::bpf_get_current_comm;
use aya_log_ebpf::warn;
use leak_common::{
    Counter, ProcessId,
    config::{flags, target},
    limits::MAX_COMMS,
};

use crate::{
    config::{config, has},
    count::count,
    entries::Entries,
    maps::{CGROUPS, TARGETS},
};

/// Whether the current process, `tgid`, is traced.
#[inline(always)]
pub(crate) fn traced(tgid: u32) -> bool {
    if tgid == config!(own_tgid) {
        return false;
    }
    if has(flags::FILTER_TARGETS) && !is_target(tgid) {
        return false;
    }
    if has(flags::FILTER_CGROUP) && !matches!(CGROUPS.current_task_under_cgroup(0), Ok(true)) {
        return false;
    }
    true
}

/// Whether `tgid`'s entry has all the bits that the filters ask for.
#[inline(always)]
pub(crate) fn is_target(tgid: u32) -> bool {
    let required = config!(required_targets);
    entry(tgid).is_some_and(|bits| bits & required == required)
}

/// What is known of a process, if it is or was selected.
#[inline(always)]
fn entry(tgid: u32) -> Option<u32> {
    TARGETS.copy(tgid)
}

/// A child inherits what selected its parent; a child of the tracer itself is a
/// command that it runs.
#[inline(always)]
pub(crate) fn forked(parent: u32, child: ProcessId) {
    if !has(flags::FILTER_TARGETS) {
        return;
    }
    let bits = if has(flags::FOLLOW_OWN_CHILDREN) && parent == config!(own_tgid) {
        target::BY_PID
    } else {
        entry(parent).unwrap_or(0) & target::ALL
    };
    if bits != 0 {
        set(child.pid(), bits | born(child));
    }
}

/// When a process began, beside the bits of its entry: its pid may be another's by the
/// time that the kernel frees it. Zero where it was not seen to begin.
#[inline(always)]
fn born(process: ProcessId) -> u32 {
    process.start_ticks() << target::ALL.count_ones()
}

/// The current process has a new name: it selects or deselects it.
#[inline(always)]
pub(crate) fn executed(process: ProcessId) {
    if config!(required_targets) & target::BY_COMM == 0 {
        return;
    }
    let before = entry(process.pid()).unwrap_or(born(process));
    let Ok(comm) = bpf_get_current_comm() else {
        return;
    };
    let after = if named(&comm) {
        before | target::BY_COMM
    } else {
        before & !target::BY_COMM
    };
    if after != before {
        set(process.pid(), after);
    }
}

/// The process is gone.
#[inline(always)]
pub(crate) fn freed(process: ProcessId) {
    if !has(flags::FILTER_TARGETS) {
        return;
    }
    let Some(bits) = entry(process.pid()) else {
        return;
    };
    let since = bits & !target::ALL;
    if since == 0 || since == born(process) {
        let _ = TARGETS.remove(process.pid());
    }
}

#[inline(always)]
fn set(tgid: u32, bits: u32) {
    if TARGETS.insert(tgid, bits, 0).is_err() {
        warn!((), "no room to trace process {}", tgid);
        count(Counter::TargetsFull);
    }
}

/// Whether a zero-padded name is one of the filter's.
#[inline(always)]
fn named(comm: &[u8; 16]) -> bool {
    let comm = words(comm);
    let mut index = 0;
    while index < MAX_COMMS {
        let wanted = words(&config!(comms[index]));
        if wanted[0] != 0 && comm[0] == wanted[0] && comm[1] == wanted[1] {
            return true;
        }
        index += 1;
    }
    false
}

#[inline(always)]
fn words(comm: &[u8; 16]) -> [u64; 2] {
    // SAFETY: 16 plain bytes are two plain words.
    unsafe { core::mem::transmute_copy(comm) }
}
