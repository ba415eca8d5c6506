//! Processes and threads: made, running a new program, ended, freed. They are resources of the
//! process that made them, and they change which process holds what.

use aya_ebpf::{bindings::task_struct, macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use leak_common::{
    Class, Handle, Kind, ProcessId,
    wire::{Executed, Exited, Forked, RecordType, forked},
};

use crate::{
    count::current,
    emit::{emit, head},
    filter,
    operations::clone,
    stack,
    task::Task,
    young,
};

/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)`.
#[btf_tracepoint(function = "sched_process_fork")]
#[inline(always)]
pub(crate) fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let parent = Task::new(ctx.arg::<*const task_struct>(0));
    let child = Task::new(ctx.arg::<*const task_struct>(1));
    fork(parent, child);
    0
}

#[inline(always)]
fn fork(parent: Task, child: Task) -> Option<()> {
    let (parent_tgid, child_tgid) = (parent.tgid()?, child.tgid()?);
    let task = child.identity()?;
    let is_thread = parent_tgid == child_tgid;
    if !is_thread {
        filter::forked(parent_tgid, task);
    }
    if parent.is_kernel_thread() {
        return None;
    }
    // The tracer's own command: its parent is not traced, but it is.
    let traced = filter::traced(parent_tgid);
    if !traced && (is_thread || !filter::is_target(child_tgid)) {
        return None;
    }
    let owner = parent.process()?;
    if traced {
        let kind = if is_thread {
            Kind::Thread
        } else {
            Kind::Process
        };
        clone::forked(owner, kind, task);
    }
    if is_thread {
        return None;
    }
    let shares_files = parent.files()? == child.files()?;
    let shares_memory = parent.memory()? == child.memory()?;
    let record = Forked {
        head: head(RecordType::Forked, 0, owner),
        child: task,
        flags: if shares_files {
            forked::SHARES_FILES
        } else {
            0
        } | if shares_memory {
            forked::SHARES_MEMORY
        } else {
            0
        },
        reserved: 0,
        comm: child.comm(),
    };
    emit(&record, owner);
    Some(())
}

/// `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`.
#[btf_tracepoint(function = "sched_process_exec")]
#[inline(always)]
pub(crate) fn process_exec(ctx: BtfTracePointContext) -> i32 {
    exec(Task::new(ctx.arg::<*const task_struct>(0)));
    0
}

#[inline(always)]
fn exec(task: Task) -> Option<()> {
    let process = task.process()?;
    filter::executed(process);
    if !filter::traced(process.pid()) {
        return None;
    }
    debug!((), "process {} runs a new program", process.pid());
    stack::changed(process);
    let record = Executed {
        head: head(RecordType::Executed, 0, process),
        comm: task.comm(),
    };
    emit(&record, process);
    stack::begins(task, process);
    Some(())
}

/// `TP_PROTO(struct task_struct *p)`, and since 6.16 whether the group is dead.
#[btf_tracepoint(function = "sched_process_exit")]
#[inline(always)]
pub(crate) fn process_exit(ctx: BtfTracePointContext) -> i32 {
    exit(Task::new(ctx.arg::<*const task_struct>(0)));
    0
}

#[inline(always)]
fn exit(task: Task) -> Option<()> {
    let (tgid, tid) = current();
    if task.is_kernel_thread() || !filter::traced(tgid) {
        return None;
    }
    let process = task.process()?;
    if tid != tgid && young::wants(Kind::Thread) {
        young::release(process, Handle::task(Class::Thread, task.identity()?));
    }
    if task.group_is_dead() {
        stack::changed(process);
        emit(
            &Exited {
                head: head(RecordType::Exited, 0, process),
            },
            process,
        );
    }
    Some(())
}

/// `TP_PROTO(struct task_struct *p)`: the last reference is gone, so somebody
/// waited for it (or nobody ever had to). Runs in whatever context that was.
#[btf_tracepoint(function = "sched_process_free")]
#[inline(always)]
pub(crate) fn process_free(ctx: BtfTracePointContext) -> i32 {
    free(Task::new(ctx.arg::<*const task_struct>(0)));
    0
}

#[inline(always)]
fn free(task: Task) -> Option<()> {
    let (tgid, pid) = (task.tgid()?, task.pid()?);
    if tgid != pid || task.is_kernel_thread() {
        return None;
    }
    let process = task.identity()?;
    filter::freed(process);
    if !young::wants(Kind::Process) {
        return None;
    }
    young::release(ProcessId::NONE, Handle::task(Class::Process, process));
    Some(())
}
