//! The end of every system call: what it acquired, or that the kernel refused it.
//!
//! It decides whether a call is traced at all, as cheaply as can be: this runs at every call of the
//! host. What a call means is in `operations`.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use leak_common::{
    Counter,
    syscalls::{Effect, Operation},
    wire::uncovered,
};

use crate::{
    config::action,
    count::{count, current},
    emit, filter,
    operations::{
        Acquiring, Call, asked, clone, descriptor, failed, failure, mapping, message, notification,
        segment,
    },
    registers::{Registers, is_x32},
    site,
    stack::{ByLock, ByTree, Slot, Walks},
    task::Task,
};

/// `TP_PROTO(struct pt_regs *regs, long ret)`.
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub(crate) fn syscall_exit(ctx: BtfTracePointContext) -> i32 {
    body::<ByLock>(&ctx);
    0
}

/// The same for kernels before 6.1.
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub(crate) fn syscall_exit_by_tree(ctx: BtfTracePointContext) -> i32 {
    body::<ByTree>(&ctx);
    0
}

#[inline(always)]
fn body<M: Walks>(ctx: &BtfTracePointContext) -> Option<()> {
    let registers = Registers::new(ctx.arg(0));
    let number = registers.number();
    let Some(action) = action(number) else {
        if is_x32(number) {
            compat();
        }
        return None;
    };
    let Some(effect) = action.effect() else {
        count(Counter::UnknownRow);
        return None;
    };
    let result: u64 = ctx.arg(1);
    if !asked::may_acquire(registers, effect) {
        return None;
    }
    if failed(result) && !failure::ran_out(result) {
        return None;
    }
    let (tgid, _) = current();
    if !filter::traced(tgid) {
        return None;
    }
    let task = Task::current();
    if registers.is_compat() || cfg!(bpf_target_arch = "x86_64") && task.in_compat_call() {
        compat();
        return None;
    }
    let process = task.process()?;
    let call = Call {
        registers,
        process,
        result,
    };
    let acquiring = if call.failed() {
        failure::fails(call, effect)?
    } else {
        dispatch(call, effect)?
    };
    let acquiring = acquiring.forgotten()?;
    acquiring.record(
        call,
        site::take::<M>(Slot::Syscall, Some(registers), process)?,
    );
    Some(())
}

#[inline(always)]
fn dispatch(call: Call, effect: Effect) -> Option<Acquiring> {
    match effect.operation {
        Operation::Returns => descriptor::returns(call, effect),
        Operation::ReturnsByFile => descriptor::returns_by_file(call, effect),
        Operation::Opens => descriptor::opens(call, effect),
        Operation::WritesTwo => descriptor::writes_two(call, effect),
        Operation::Replaces => descriptor::replaces(call, effect),
        Operation::Fcntl => descriptor::fcntl(call, effect),
        Operation::Signalfd => descriptor::signalfd(call, effect),
        Operation::Bpf => descriptor::bpf(call, effect),
        Operation::Seccomp => descriptor::seccomp(call, effect),
        Operation::Landlock => descriptor::landlock(call, effect),
        Operation::Clone => clone::clone(call, effect.argument == 1),
        Operation::Clone3 => clone::clone3(call),
        Operation::Ioctl => asked::ioctl(call),
        Operation::Getsockopt => asked::getsockopt(call, effect),
        Operation::Notifies => notification::notifies(call, effect),
        Operation::Reads => notification::reads(call),
        Operation::Watches => notification::watches(call, effect),
        Operation::Receives => message::receives(call),
        Operation::ReceivesMany => message::receives_many(call),
        Operation::Maps => mapping::maps(call),
        Operation::Remaps => mapping::remaps(call),
        Operation::Attaches => mapping::attaches(call),
        Operation::Creates => segment::creates(call),
        Operation::Removes => {
            segment::removes(call);
            None
        }
        // Releases were handled at the call's beginning.
        Operation::None
        | Operation::Closes
        | Operation::ClosesRange
        | Operation::Unmaps
        | Operation::Detaches => None,
    }
}

/// Numbers of a 32-bit caller mean other calls: count them, say so once.
#[inline(always)]
fn compat() {
    let (tgid, _) = current();
    if filter::traced(tgid) {
        count(Counter::Compat);
        emit::uncovered(uncovered::COMPAT, tgid, || Task::current().process());
    }
}
