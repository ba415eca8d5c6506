//! Calls that would have acquired something, but the kernel refused since a limit was reached.
//!
//! Each is counted. The first of a process and error goes to user space, with its stack.

use aya_ebpf::bindings::BPF_NOEXIST;
use leak_common::{
    Counter, Kind, ProcessId,
    syscalls::{Effect, Operation},
    wire::{FAILED_URING, Failed, FailureKey, RecordType},
};

use super::{Acquiring, Call, NO_HANDLE, asked, descriptor, mapping};
use crate::{
    count::{count, current},
    emit::{emit_at_once, head},
    entries::Words,
    maps::FAILURES,
    memory::user,
    site::{self, Taken},
    task::Task,
    verifier::global,
    young,
};

/// include/uapi/asm-generic/errno-base.h.
const EAGAIN: u64 = 11;
const ENOMEM: u64 = 12;
const ENFILE: u64 = 23;
const EMFILE: u64 = 24;
const ENOSPC: u64 = 28;

/// `CLONE_THREAD`, include/uapi/linux/sched.h.
const CLONE_THREAD: u64 = 0x1_0000;
const MREMAP_MAYMOVE: u64 = 1;

/// Whether a result says that something ran out, whatever the call.
#[inline(always)]
pub(crate) fn ran_out(result: u64) -> bool {
    const ERRORS: u64 = 1 << EAGAIN | 1 << ENOMEM | 1 << ENFILE | 1 << EMFILE | 1 << ENOSPC;
    let error = error(result);
    error < 64 && ERRORS >> error & 1 != 0
}

/// The error in the result of a call that failed.
#[inline(always)]
fn error(result: u64) -> u64 {
    result.wrapping_neg()
}

/// Counts a call that failed, and says what the first of them was about.
#[inline(always)]
pub(crate) fn fails(call: Call, effect: Effect) -> Option<Acquiring> {
    let (kind, size) = asked_for(call, effect)?;
    if !young::wanted(kind) || !is_first(call.process, error(call.result)) {
        return None;
    }
    Some(Acquiring::one(NO_HANDLE, kind, size, 0))
}

/// What the call would have acquired: kind, and bytes where it has a size.
#[inline(always)]
fn asked_for(call: Call, effect: Effect) -> Option<(u32, u64)> {
    let operation = effect.operation;
    // Calls that do not block return it too: "try again" then means that there is nothing
    // yet. Only clone says by it that there is no room for one more task.
    let makes_task = matches!(operation, Operation::Clone | Operation::Clone3);
    if error(call.result) == EAGAIN && !makes_task {
        return None;
    }
    // Of others it says that a disk is full.
    let has_quota = matches!(operation, Operation::Watches | Operation::Creates);
    if error(call.result) == ENOSPC && !has_quota {
        return None;
    }
    let registers = call.registers;
    let row = (u32::from(effect.kind), 0);
    match operation {
        Operation::Returns
        | Operation::WritesTwo
        | Operation::Signalfd
        | Operation::Seccomp
        | Operation::Landlock
        | Operation::Getsockopt
        | Operation::Notifies
        | Operation::Watches
        | Operation::Attaches => Some(row),
        Operation::Ioctl => Some((asked::requested(registers)?, 0)),
        // Of other files it cannot fail so.
        Operation::Reads => matches!(error(call.result), EMFILE | ENFILE).then_some(row),
        Operation::ReturnsByFile if effect.kind != 0 => Some(row),
        Operation::ReturnsByFile | Operation::Replaces => Some((like_first(call), 0)),
        Operation::Fcntl => descriptor::duplicates(call).then(|| (like_first(call), 0)),
        Operation::Bpf => descriptor::makes_object(call).then_some(row),
        Operation::Opens => Some((descriptor::opened(call, effect), 0)),
        Operation::Clone => Some((task(effect.argument == 1, registers.argument(0)), 0)),
        Operation::Clone3 => {
            // One that cannot be read makes nothing, and has another error.
            let flags = user(registers.argument(0)).ok()?;
            Some((task(true, flags), 0))
        }
        Operation::Maps => Some((row.0, mapping::round(registers.argument(1)))),
        // Without leave to move, it says that the mapping cannot grow where it is.
        Operation::Remaps => (registers.argument(3) & MREMAP_MAYMOVE != 0)
            .then(|| (row.0, mapping::round(registers.argument(2)))),
        Operation::Creates => Some((row.0, registers.argument(1))),
        // They acquire nothing, or what was sent to them is there before they fail.
        Operation::None
        | Operation::Receives
        | Operation::ReceivesMany
        | Operation::Removes
        | Operation::Closes
        | Operation::ClosesRange
        | Operation::Unmaps
        | Operation::Detaches => None,
    }
}

/// The kind of the descriptor in the first argument.
#[inline(always)]
fn like_first(call: Call) -> u32 {
    Task::current().descriptor_kind(call.registers.argument(0) & 0xffff_ffff)
}

/// The kind of task that clone would have made. Without flags (fork, vfork) it is a process.
#[inline(always)]
fn task(has_flags: bool, flags: u64) -> u32 {
    if has_flags && flags & CLONE_THREAD != 0 {
        Kind::Thread as u32
    } else {
        Kind::Process as u32
    }
}

/// Counts a failure of the process; whether it is the first with this error.
#[inline(always)]
fn is_first(process: ProcessId, error: u64) -> bool {
    count_failure(process.0, error) != 0
}

global! {
    fn count_failure(process, error) = count_one;
    fn send_failure(process, site, what, size) = send_what;
}

#[inline(always)]
fn count_one(process: u64, error: u64) -> u64 {
    let key = key(ProcessId(process), error);
    if let Some(total) = FAILURES.word(key) {
        total.add(1);
        return 0;
    }
    if FAILURES.insert(key, 1, u64::from(BPF_NOEXIST)).is_ok() {
        return 1;
    }
    // Another thread was first, or there is no room.
    match FAILURES.word(key) {
        Some(total) => total.add(1),
        None => count(Counter::FailuresFull),
    }
    0
}

#[inline(always)]
fn key(process: ProcessId, error: u64) -> FailureKey {
    FailureKey {
        process,
        error: error as u32,
        reserved: 0,
    }
}

/// Sends the first failure with the stack that was taken.
#[inline(always)]
pub(super) fn record(acquiring: Acquiring, call: Call, taken: Taken) {
    // Nothing was acquired at the site.
    let site = site::visit(taken, call.process, acquiring.kind, 0).site;
    send(
        (call.process, acquiring.kind),
        site,
        call.registers.number(),
        error(call.result),
        acquiring.size,
    );
}

/// Counts a request of io_uring that failed; its stack was taken when it was made.
#[inline(always)]
pub(crate) fn of_request((process, kind): (ProcessId, u32), site: u64, opcode: u32, result: u64) {
    let error = error(result);
    let is_quota = error == EAGAIN || error == ENOSPC;
    if !ran_out(result) || is_quota || !young::wanted(kind) || !is_first(process, error) {
        return;
    }
    let call = u64::from(FAILED_URING | opcode);
    send((process, kind), site, call, error, 0);
}

/// Sends the first failure of a process.
#[inline(always)]
fn send((process, kind): (ProcessId, u32), site: u64, call: u64, error: u64, size: u64) {
    let what = u64::from(kind & 0xff) << 40 | (error & 0xff) << 32 | call & 0xffff_ffff;
    send_failure(process.0, site, what, size);
}

/// The body of `send_failure`: kind, error and call are packed into `what`.
#[inline(always)]
fn send_what(process: u64, site: u64, what: u64, size: u64) -> u64 {
    let (process, error) = (ProcessId(process), what >> 32 & 0xff);
    let call = what as u32;
    let record = Failed {
        head: head(RecordType::Failed, (what >> 40) as u32 & 0xff, process),
        site,
        size,
        call,
        error: error as u32,
        // A request completes wherever it may.
        tid: if call & FAILED_URING == 0 {
            current().1
        } else {
            0
        },
        reserved: 0,
    };
    // Who holds what, and how much of it, is soon different.
    if !emit_at_once(&record, process) {
        // Not known to user space: the next one tries again.
        let _ = FAILURES.remove(key(process, error));
    }
    0
}
