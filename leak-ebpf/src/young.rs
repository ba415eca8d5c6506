//! The young table: resources wait here, and most of their releases find them.
//!
//! A pair that ends here costs no record. What lives longer, user space takes out of the table
//! (`probes::expire`); what others may release is sent at once.

use aya_ebpf::bindings::BPF_NOEXIST;
use leak_common::{
    Class, Counter, Handle, Kind, ProcessId,
    config::flags,
    wire::{Young, YoungKey, acquired},
};

use crate::{
    clock::now,
    config::{config, has},
    count::count,
    emit,
    entries::{Entries, Word, Words},
    maps::{EMIT_BEFORE, YOUNG},
    site_count,
    task::Task,
    verifier::global,
};

/// Key of a resource of the current process. Descriptors belong to a descriptor
/// table, by its address, since processes may share one; those that are released
/// by others than their owner are looked up without one.
#[inline(always)]
pub(crate) fn key(process: ProcessId, handle: Handle) -> YoungKey {
    let owner = if handle.is(Class::Descriptor) {
        ProcessId(Task::current().files().unwrap_or(0))
    } else if handle.is(Class::Process) || handle.is(Class::Shm) {
        ProcessId::NONE
    } else {
        process
    };
    YoungKey { owner, handle }
}

/// Records that the current process acquires a resource now; returns the time.
#[inline(always)]
pub(crate) fn acquire(handle: Handle, young: Young) -> u64 {
    let Young {
        process,
        site,
        size,
        kind,
        flags,
        time: _,
        claims: _,
    } = young;
    let what = u64::from(kind) << 32 | u64::from(flags);
    acquire_now(process.0, handle.0, site, size, what)
}

global! {
    fn acquire_now(process, handle, site, size, what) = acquire_what;
}

/// The body of `acquire_now`: `what` has the kind in its upper half and the flags in its
/// lower, since a global function has five arguments at most.
#[inline(always)]
fn acquire_what(process: u64, handle: u64, site: u64, size: u64, what: u64) -> u64 {
    let (process, handle) = (ProcessId(process), Handle(handle));
    acquire_as(
        key(process, handle),
        Young::new(process, site, (what >> 32) as u32, size, what as u32),
    )
}

/// Records that a resource is acquired now, under a key that was made before: io_uring may
/// complete a request in another task than the one that asked. Returns the time.
#[inline(always)]
pub(crate) fn acquire_as(key: YoungKey, young: Young) -> u64 {
    count(Counter::Acquired);
    let time = now();
    let young = Young { time, ..young };
    // A thread or child waits here for its clone call to return even then: only that
    // knows the stack.
    if !has(flags::ALL_EVENTS) || is_task(key.handle) {
        if young.flags & acquired::BUSY != 0 && move_in(key, &young) {
            return time;
        }
        if YOUNG.insert(key, young, u64::from(BPF_NOEXIST)).is_ok() {
            return time;
        }
        // What is there is of a process that is gone, whose descriptor table's memory
        // was used again, or its release was not seen. It is not forgotten.
        promote(key);
        if YOUNG.insert(key, young, 0).is_ok() {
            return time;
        }
        // No room: it is sent at once, and nothing is lost.
        count(Counter::YoungFull);
    }
    emit::acquired(key.handle, &young);
    time
}

/// Takes a vacant entry of the same key over, where there is one: for numbers that are
/// used again and again this spares an insertion and a removal, which are half of what
/// a resource costs that dies young.
///
/// At most one acquisition gets it: each adds one to the entry's claims, and only the one that
/// sees 1 there fills the entry.
#[inline(always)]
fn move_in(key: YoungKey, young: &Young) -> bool {
    let Some(entry) = YOUNG.get_ptr_mut(key) else {
        return false;
    };
    let (time, claims) = words(entry);
    if time.get() != 0 {
        return false;
    }
    claims.add(1);
    if claims.get() != 1 {
        return false;
    }
    // SAFETY: an entry of the map, of plain numbers. This acquisition alone fills it; others
    // that look meanwhile see that its time is not set.
    unsafe {
        (*entry).site = young.site;
        (*entry).process = young.process;
        (*entry).size = young.size;
        (*entry).kind = young.kind;
        (*entry).flags = young.flags;
    }
    time.set(young.time);
    true
}

/// The words of an entry that others look at while it is vacant: its time, and its claims.
#[inline(always)]
fn words(entry: *mut Young) -> (Word, Word) {
    // SAFETY: aligned words of an entry of the map.
    unsafe {
        (
            Word::new(&raw mut (*entry).time),
            Word::new(&raw mut (*entry).claims),
        )
    }
}

/// Leaves an entry vacant: its resource, acquired at `time`, is gone.
#[inline(always)]
fn move_out(entry: *mut Young, time: u64) {
    let (own_time, claims) = words(entry);
    // SAFETY: a word of an entry of the map; two releases at once write the same time.
    unsafe { (*entry).size = time };
    own_time.set(0);
    claims.set(0);
}

#[inline(always)]
fn is_task(handle: Handle) -> bool {
    handle.is(Class::Thread) || handle.is(Class::Process)
}

/// What the young table knew of a released resource.
pub(crate) enum Found {
    /// It was young: nobody needs to hear of it.
    Young,
    /// It was not young any more; user space may know it.
    Old { acquired: u64 },
    /// It was not there: promoted, from before the trace, or inherited.
    Nothing,
}

/// Counts the release of a resource and takes its entry out of the young table.
#[inline(always)]
pub(crate) fn take(process: ProcessId, handle: Handle) -> Found {
    take_from_before(process, key(process, handle), u64::MAX)
}

/// The same for what was acquired before a time: who asked then for the release did not mean what
/// has come to the same handle since.
#[inline(always)]
pub(crate) fn take_from_before(process: ProcessId, key: YoungKey, before: u64) -> Found {
    count(Counter::Released);
    let handle = key.handle;
    if has(flags::ALL_EVENTS) {
        if is_task(handle) {
            promote(key);
        }
        return Found::Nothing;
    }
    let Some(entry) = YOUNG.get_ptr_mut(key) else {
        return Found::Nothing;
    };
    // SAFETY: an entry of the map, of plain numbers.
    let Young {
        time: since,
        process: acquirer,
        site,
        flags,
        ..
    } = unsafe { *entry };
    if since == 0 || since > before {
        return Found::Nothing;
    }
    if handle.is(Class::Descriptor) && acquirer != process {
        // A shared table, or the table of a process that is gone, at the same
        // address: user space knows which, if it knows of the acquisition.
        promote(key);
        return Found::Nothing;
    }
    if flags & acquired::BUSY != 0 {
        move_out(entry, since);
    } else {
        let _ = YOUNG.remove(key);
    }
    if site != 0 {
        site_count::released(site);
    }
    if is_silent(since) {
        count(Counter::DiedYoung);
        Found::Young
    } else {
        Found::Old { acquired: since }
    }
}

/// Whether user space cannot know of an acquisition, so that its release may
/// pass in silence.
#[inline(always)]
pub(crate) fn is_silent(acquired: u64) -> bool {
    // User space moves it meanwhile; either value will do.
    let emit_before = EMIT_BEFORE.word(0).map_or(u64::MAX, Word::get);
    acquired >= emit_before
}

/// Releases a resource that happens to end now.
#[inline(always)]
pub(crate) fn release(process: ProcessId, handle: Handle) {
    match take(process, handle) {
        Found::Young => {}
        Found::Old { acquired } => emit::released(process, handle, acquired),
        Found::Nothing => emit::released(process, handle, 0),
    }
}

/// Sends a young resource on, if it is there: what happens to it next is for user
/// space to follow.
#[inline(always)]
pub(crate) fn promote(key: YoungKey) {
    let Some(young) = YOUNG.copy(key) else {
        return;
    };
    if young.time != 0 {
        emit::acquired(key.handle, &young);
    }
    let _ = YOUNG.remove(key);
}

/// Whether resources of a kind are traced.
#[inline(always)]
pub(crate) fn wants(kind: Kind) -> bool {
    config!(kinds) & kind.bit() != 0
}

/// The same as [`wants`], for the number of a kind that only the event knows.
#[inline(always)]
pub(crate) fn wanted(kind: u32) -> bool {
    config!(kinds) & (1u32 << (kind & 31)) != 0
}
