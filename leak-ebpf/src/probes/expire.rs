//! Run by user space, not by an event: takes an entry out of the young table when its resource
//! has been promoted. It stays if the same key has been acquired again meanwhile.

use aya_ebpf::{EbpfContext, macros::raw_tracepoint, programs::RawTracePointContext};
use leak_common::{Handle, ProcessId, wire::YoungKey};

use crate::{entries::Entries, maps::YOUNG};

/// Arguments of the run: owner, handle, time of the acquisition; for a vacant entry 0,
/// and the time of the last one.
#[raw_tracepoint(tracepoint = "sys_enter")]
#[inline(always)]
pub(crate) fn expire(ctx: RawTracePointContext) -> i32 {
    let arguments = ctx.as_ptr().cast::<u64>();
    // SAFETY: the context of a test run is the array that user space passed; the
    // verifier bounds it.
    let (owner, handle, time, last) = unsafe {
        (
            *arguments,
            *arguments.add(1),
            *arguments.add(2),
            *arguments.add(3),
        )
    };
    let key = YoungKey {
        owner: ProcessId(owner),
        handle: Handle(handle),
    };
    if let Some(young) = YOUNG.copy(key)
        && young.time == time
        && (time != 0 || young.size == last)
    {
        let _ = YOUNG.remove(key);
    }
    0
}
