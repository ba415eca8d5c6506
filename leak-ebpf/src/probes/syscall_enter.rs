//! The beginning of the calls that release: at their end another thread may own
//! the same handle already. The same body twice: once per releasing call's own
//! tracepoint, and once for all calls where tracefs cannot be had.

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use leak_common::syscalls::{Action, Effect, Operation};

use crate::{
    config::action,
    count::current,
    filter,
    operations::{descriptor, mapping},
    registers::Registers,
    task::Task,
};

/// What a classic `sys_enter_*` tracepoint hands over
/// (kernel/trace/trace_syscalls.c, perf_call_bpf_enter).
#[repr(C)]
struct Enter {
    entry: u64,
    /// What follows it up to the next field is not set by the kernel.
    number: u32,
    padding: u32,
    first: u64,
}

/// `syscalls:sys_enter_close` and its like. These skip 32-bit callers by themselves.
#[tracepoint]
#[inline(always)]
pub(crate) fn syscall_enter(ctx: TracePointContext) -> u32 {
    let enter = ctx.as_ptr().cast::<Enter>();
    // SAFETY: the context of this type of program; the verifier checks the fields.
    let (number, first) = unsafe { ((*enter).number, (*enter).first) };
    let Some(action) = action(u64::from(number)) else {
        return 0;
    };
    // The kernel refuses a program with plain loads beyond the arguments of the
    // call it is attached to; close has one.
    release(action, first, |index| {
        // SAFETY: the read is checked, and any bytes are a number.
        unsafe { ctx.read_at(size_of::<Enter>() + (index - 1) * 8) }.unwrap_or(0)
    });
    0
}

/// `TP_PROTO(struct pt_regs *regs, long id)`: every call of the host.
#[btf_tracepoint(function = "sys_enter")]
#[inline(always)]
pub(crate) fn syscall_enter_all(ctx: BtfTracePointContext) -> i32 {
    let registers = Registers::new(ctx.arg(0));
    let number: u64 = ctx.arg(1);
    let Some(action) = action(number) else {
        return 0;
    };
    if registers.is_compat() || cfg!(bpf_target_arch = "x86_64") && Task::current().in_compat_call()
    {
        return 0;
    }
    // On aarch64 the saved first argument is set before this tracepoint too.
    release(action, registers.argument(0), |index| {
        registers.argument(index)
    });
    0
}

#[inline(always)]
fn release(action: Action, first: u64, argument: impl Fn(usize) -> u64) -> Option<()> {
    // A row that makes no sense is counted at the end of the same call.
    let Effect { operation, .. } = action.effect()?;
    if !operation.at_enter() {
        return None;
    }
    let (tgid, _) = current();
    if !filter::traced(tgid) {
        return None;
    }
    let process = Task::current().process()?;
    match operation {
        Operation::Closes => descriptor::close(process, first),
        Operation::ClosesRange => {
            descriptor::close_range(process, first, argument(1), argument(2));
        }
        Operation::Unmaps => mapping::unmaps(process, first, argument(1)),
        Operation::Detaches => mapping::detaches(process, first),
        // At the end of the call.
        Operation::None
        | Operation::Returns
        | Operation::ReturnsByFile
        | Operation::Opens
        | Operation::WritesTwo
        | Operation::Replaces
        | Operation::Fcntl
        | Operation::Signalfd
        | Operation::Clone
        | Operation::Clone3
        | Operation::Bpf
        | Operation::Seccomp
        | Operation::Landlock
        | Operation::Receives
        | Operation::ReceivesMany
        | Operation::Maps
        | Operation::Remaps
        | Operation::Attaches
        | Operation::Creates
        | Operation::Removes
        | Operation::Ioctl
        | Operation::Getsockopt
        | Operation::Notifies
        | Operation::Reads
        | Operation::Watches => {}
    }
    Some(())
}
