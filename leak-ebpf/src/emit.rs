//! The only writer of the ring. What does not fit is counted, with its process.
//!
//! It knows how a record is written and when user space is woken. What a record says is for the
//! modules that make it.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_ringbuf_output,
    macros::map,
    maps::{LruHashMap, ring_buf::RingBufEntry},
};
use aya_log_ebpf::info;
use leak_common::{
    Counter, Handle, ProcessId,
    config::flags,
    wire::{Acquired, Head, RecordType, Released, Uncovered, Young, acquired},
};

use crate::{
    clock::now,
    config::has,
    count::{count, current, lost},
    maps::RING,
    verifier::opaque,
};

/// Nobody is woken: user space looks every few milliseconds anyway, and a wake-up
/// for each record would cost more than the record. Unless it asked for it.
#[inline(always)]
fn wake() -> u64 {
    if has(flags::PROMPT) {
        0
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// The head of a record that happens now.
#[inline(always)]
pub(crate) fn head(record: RecordType, kind: u32, process: ProcessId) -> Head {
    Head {
        record: record as u32,
        kind,
        time: now(),
        process,
    }
}

/// Writes `size` bytes from `start`; whether they fit.
///
/// # Safety
/// They must be there, in memory that the verifier knows.
#[inline(always)]
unsafe fn write(start: *mut c_void, size: u64, process: ProcessId, wake: u64) -> bool {
    let ring = (&raw const RING).cast_mut().cast();
    // SAFETY: the ring is a map, and the caller vouches for the bytes.
    if unsafe { bpf_ringbuf_output(ring, start, size, wake) } == 0 {
        count(Counter::Emitted);
        true
    } else {
        lost(Counter::RingFull, process);
        false
    }
}

/// Room for a record that is too large to be put together elsewhere. It must be
/// submitted.
#[inline(always)]
pub(crate) fn reserve<T: 'static>(process: ProcessId) -> Option<RingBufEntry<T>> {
    let entry = RING.reserve::<T>(0);
    if entry.is_some() {
        count(Counter::Emitted);
    } else {
        lost(Counter::RingFull, process);
    }
    entry
}

/// Writes a record. Whether it fit.
#[inline(always)]
pub(crate) fn emit<T>(record: &T, process: ProcessId) -> bool {
    let start = core::ptr::from_ref(record).cast_mut().cast();
    // SAFETY: a whole record.
    unsafe { write(start, size_of::<T>() as u64, process, wake()) }
}

/// Writes a record that user space is to act on, and wakes it. Whether it fit.
#[inline(always)]
pub(crate) fn emit_at_once<T>(record: &T, process: ProcessId) -> bool {
    let start = core::ptr::from_ref(record).cast_mut().cast();
    // SAFETY: a whole record.
    unsafe {
        write(
            start,
            size_of::<T>() as u64,
            process,
            u64::from(BPF_RB_FORCE_WAKEUP),
        )
    }
}

/// A record with what follows it in the ring: at most `N` values, a power of two.
#[repr(C)]
pub(crate) struct Followed<R, T, const N: usize> {
    pub(crate) record: R,
    pub(crate) rest: [T; N],
}

/// Writes a record with the first `count` of what follows it, which must be fewer than `N`.
/// Whether it fit.
#[inline(always)]
pub(crate) fn emit_followed<R, T, const N: usize>(
    followed: &mut Followed<R, T, N>,
    count: u64,
    process: ProcessId,
) -> bool {
    const {
        assert!(N.is_power_of_two());
        assert!(core::mem::offset_of!(Followed<R, T, N>, rest) == size_of::<R>());
    }
    let size = size_of::<R>() as u64 + (opaque(count) & (N as u64 - 1)) * size_of::<T>() as u64;
    // SAFETY: the record and fewer than N values, which lie one after the other.
    unsafe { write(core::ptr::from_mut(followed).cast(), size, process, wake()) }
}

/// Sends a resource that does not stay in the young table.
#[inline(always)]
pub(crate) fn acquired(handle: Handle, young: &Young) {
    let record = Acquired {
        head: Head {
            record: RecordType::Acquired as u32,
            kind: young.kind,
            time: young.time,
            process: young.process,
        },
        handle,
        site: young.site,
        size: young.size,
        // Whether its entry would be kept concerns the table alone.
        flags: young.flags & !acquired::BUSY,
        tid: current().1,
    };
    emit(&record, young.process);
}

/// Sends a release that happens now. `acquired` is 0 where the young table did not hold
/// it.
#[inline(always)]
pub(crate) fn released(process: ProcessId, handle: Handle, acquired: u64) {
    released_at(now(), process, handle, acquired);
}

/// The same for a release that was asked for at an earlier time.
#[inline(always)]
pub(crate) fn released_at(time: u64, process: ProcessId, handle: Handle, acquired: u64) {
    let class = (handle.0 >> 56) as u32;
    let record = Released {
        head: Head {
            time,
            ..head(RecordType::Released, class, process)
        },
        handle,
        acquired,
    };
    emit(&record, process);
}

/// Processes known to make calls that are not covered: cause in the upper half.
#[map]
static UNCOVERED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

/// Tells, once per process and cause, that something is not covered.
#[inline(always)]
pub(crate) fn uncovered(cause: u32, tgid: u32, process: impl FnOnce() -> Option<ProcessId>) {
    let key = u64::from(cause) << 32 | u64::from(tgid);
    if UNCOVERED.get_ptr(key).is_some() {
        return;
    }
    if let Some(process) = process() {
        info!(
            (),
            "process {} makes calls that are not covered (cause {})", tgid, cause
        );
        let _ = UNCOVERED.insert(key, 1u32, u64::from(BPF_ANY));
        emit(
            &Uncovered {
                head: head(RecordType::Uncovered, cause, process),
            },
            process,
        );
    }
}
