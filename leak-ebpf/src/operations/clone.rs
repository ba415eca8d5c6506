//! Threads and child processes. The fork tracepoint makes the entry; the end of
//! the parent's call adds the stack, which only it can take on every kernel.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::LruHashMap};
use leak_common::{
    Counter, Handle, Kind, ProcessId,
    config::flags,
    limits::INFLIGHT_ENTRIES,
    wire::{Young, YoungKey, acquired},
};

use super::{Acquiring, Call, descriptor};
use crate::{
    config::has,
    count::lost,
    emit,
    entries::Entries,
    maps::YOUNG,
    memory::user,
    site::{self, Taken},
    site_count, young,
};

/// `CLONE_PIDFD`, include/uapi/linux/sched.h.
const CLONE_PIDFD: u64 = 0x1000;

/// A thread or child between the fork tracepoint and the end of the call.
#[repr(C)]
#[derive(Clone, Copy)]
struct Cloned {
    key: YoungKey,
    /// When it was recorded.
    time: u64,
}

/// What the thread in the key has made, until its clone call returns.
#[map]
static CLONING: LruHashMap<u64, Cloned> = LruHashMap::with_max_entries(INFLIGHT_ENTRIES, 0);

/// The fork tracepoint: `owner` now has a thread or child.
#[inline(always)]
pub(crate) fn forked(owner: ProcessId, kind: Kind, task: ProcessId) {
    if !young::wants(kind) {
        return;
    }
    let handle = Handle::task(kind.class(), task);
    // The site is not known yet: `returned` sets it.
    let time = young::acquire(handle, Young::new(owner, 0, kind as u32, 0, 0));
    let cloned = Cloned {
        key: young::key(owner, handle),
        time,
    };
    if CLONING
        .insert(bpf_get_current_pid_tgid(), cloned, 0)
        .is_err()
    {
        lost(Counter::InflightFull, owner);
    }
}

/// clone, fork, vfork: arguments in registers.
#[inline(always)]
pub(crate) fn clone(call: Call, is_clone: bool) -> Option<Acquiring> {
    // fork and vfork have no arguments; whatever is in their registers is noise.
    let pidfd_at = (is_clone && call.registers.argument(0) & CLONE_PIDFD != 0)
        .then(|| call.registers.argument(2));
    made(call, pidfd_at)
}

/// clone3: arguments in memory, flags first, then where the pidfd goes.
#[inline(always)]
pub(crate) fn clone3(call: Call) -> Option<Acquiring> {
    let arguments = call.registers.argument(0);
    let Ok([flags, pidfd_at]) = user::<[u64; 2]>(arguments) else {
        lost(Counter::Unreadable, call.process);
        return made(call, None);
    };
    made(call, (flags & CLONE_PIDFD != 0).then_some(pidfd_at))
}

#[inline(always)]
fn made(call: Call, pidfd_at: Option<u64>) -> Option<Acquiring> {
    // The child returns from the same call, with 0: it acquired nothing.
    if call.result == 0 {
        return None;
    }
    let mut acquiring = Acquiring::none();
    if let Some(address) = pidfd_at {
        match user::<u32>(address) {
            Ok(descriptor) => {
                let handle = descriptor::handle(u64::from(descriptor));
                let kind = Kind::Pidfd as u32;
                acquiring = Acquiring::one(handle, kind, 0, acquired::CLOSE_ON_EXEC);
            }
            Err(_) => lost(Counter::Unreadable, call.process),
        }
    }
    Some(Acquiring {
        cloned: 1,
        ..acquiring
    })
}

/// Gives the entry of the fork tracepoint its site. A thread may have ended by now,
/// and its entry with it; the entry of a child may have been promoted, since vfork
/// returns when the child lets go of the memory.
#[inline(always)]
pub(crate) fn returned(call: Call, taken: Taken) {
    let caller = bpf_get_current_pid_tgid();
    let Some(Cloned { key, time }) = CLONING.copy(caller) else {
        return;
    };
    let _ = CLONING.remove(caller);
    let is_process = key.owner == ProcessId::NONE;
    let kind = if is_process {
        Kind::Process
    } else {
        Kind::Thread
    } as u32;
    let site = site::visit(taken, call.process, kind, 1).site;
    if let Some(young) = YOUNG.get_ptr_mut(key) {
        // SAFETY: an entry of the map, whose site nobody else writes; user space reads the word
        // whole.
        unsafe { (*young).site = site };
        if has(flags::ALL_EVENTS) {
            young::promote(key);
        }
    } else if is_process && !young::is_silent(time) {
        let young = Young {
            time,
            ..Young::new(call.process, site, kind, 0, 0)
        };
        emit::acquired(key.handle, &young);
    } else {
        // Its release did not know the site yet.
        site_count::released(site);
    }
}
