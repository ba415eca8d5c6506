//! The end of every system call: acquisitions, and those that failed.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use leak_common::{
    Counter,
    syscalls::{Action, Operation},
    wire::uncovered,
};

use crate::{
    config::action,
    count::{count, current},
    emit, filter,
    maps::SCRATCH,
    operations::{Acquiring, Call, clone, descriptor, failed, failure, mapping, message, segment},
    registers::{Registers, is_x32},
    site::{self, Slot},
    stack::{ByLock, ByTree, Mappings},
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
fn body<M: Mappings>(ctx: &BtfTracePointContext) -> Option<()> {
    let registers = Registers::new(ctx.arg(0));
    let number = registers.number();
    let Some(action) = action(number) else {
        if is_x32(number) {
            compat();
        }
        return None;
    };
    let result: u64 = ctx.arg(1);
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
        failure::fails(call, action)?
    } else {
        dispatch(call, action)?
    };
    let scratch = SCRATCH.get_ptr_mut(Slot::Syscall as u32)?;
    // SAFETY: this CPU's slot, which only this program uses, and never nested.
    let acquiring = unsafe {
        core::ptr::write_volatile(&raw mut (*scratch).acquiring, acquiring);
        core::ptr::read_volatile(&raw const (*scratch).acquiring)
    };
    acquiring.record(
        call,
        site::take::<M>(Slot::Syscall, Some(registers), process)?,
    );
    Some(())
}

#[inline(always)]
fn dispatch(call: Call, action: Action) -> Option<Acquiring> {
    const RETURNS: u8 = Operation::Returns as u8;
    const RETURNS_BY_FILE: u8 = Operation::ReturnsByFile as u8;
    const OPENS: u8 = Operation::Opens as u8;
    const WRITES_TWO: u8 = Operation::WritesTwo as u8;
    const REPLACES: u8 = Operation::Replaces as u8;
    const FCNTL: u8 = Operation::Fcntl as u8;
    const SIGNALFD: u8 = Operation::Signalfd as u8;
    const CLONE: u8 = Operation::Clone as u8;
    const CLONE3: u8 = Operation::Clone3 as u8;
    const BPF: u8 = Operation::Bpf as u8;
    const SECCOMP: u8 = Operation::Seccomp as u8;
    const LANDLOCK: u8 = Operation::Landlock as u8;
    const RECEIVES: u8 = Operation::Receives as u8;
    const RECEIVES_MANY: u8 = Operation::ReceivesMany as u8;
    const MAPS: u8 = Operation::Maps as u8;
    const REMAPS: u8 = Operation::Remaps as u8;
    const ATTACHES: u8 = Operation::Attaches as u8;
    const CREATES: u8 = Operation::Creates as u8;
    const REMOVES: u8 = Operation::Removes as u8;
    match action.operation {
        RETURNS => descriptor::returns(call, action),
        RETURNS_BY_FILE => descriptor::returns_by_file(call, action),
        OPENS => descriptor::opens(call, action),
        WRITES_TWO => descriptor::writes_two(call, action),
        REPLACES => descriptor::replaces(call, action),
        FCNTL => descriptor::fcntl(call, action),
        SIGNALFD => descriptor::signalfd(call, action),
        BPF => descriptor::bpf(call, action),
        SECCOMP => descriptor::seccomp(call, action),
        LANDLOCK => descriptor::landlock(call, action),
        CLONE => clone::clone(call, action.argument == 1),
        CLONE3 => clone::clone3(call),
        RECEIVES => message::receives(call),
        RECEIVES_MANY => message::receives_many(call),
        MAPS => mapping::maps(call),
        REMAPS => mapping::remaps(call),
        ATTACHES => mapping::attaches(call),
        CREATES => segment::creates(call),
        REMOVES => {
            segment::removes(call);
            None
        }
        _ => None,
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
