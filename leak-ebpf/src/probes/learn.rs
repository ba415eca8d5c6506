//! Run by user space, not by an event: learns from a fanotify descriptor of the tracer's own how
//! those of others are known, where some were there before the trace.

use aya_ebpf::{EbpfContext, macros::raw_tracepoint, programs::RawTracePointContext};

use crate::operations::notification;

/// Argument of the run: the descriptor.
#[raw_tracepoint(tracepoint = "sys_enter")]
#[inline(always)]
pub(crate) fn learn(ctx: RawTracePointContext) -> i32 {
    // SAFETY: the context of a test run is the array that user space passed; the verifier
    // bounds it.
    let descriptor = unsafe { *ctx.as_ptr().cast::<u64>() };
    notification::learn(descriptor);
    0
}
