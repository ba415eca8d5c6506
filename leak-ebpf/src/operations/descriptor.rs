//! Descriptors: acquired at the end of a call, released at the beginning of one.
//!
//! One function per operation of the table says what its call acquires. Descriptors that come with
//! messages are in `message`, those of io_uring in `probes::uring`.

use leak_common::{
    Class, Counter, Handle, Kind, ProcessId,
    syscalls::{CloseOnExec, Effect},
    wire::{RangeReleased, RecordType, acquired, range},
};

use super::{Acquiring, Call};
use crate::{
    count::lost,
    emit::{self, emit, head},
    memory::user,
    registers::Registers,
    task::Task,
    young::{self, Found},
};

/// `O_CLOEXEC`, and the flags of other calls that equal it.
const CLOEXEC: u64 = 0x80000;
/// `PERF_FLAG_FD_CLOEXEC` (include/uapi/linux/perf_event.h).
const PERF_CLOEXEC: u64 = 1 << 3;
/// `O_DIRECTORY`: differs between the architectures.
#[cfg(bpf_target_arch = "x86_64")]
const DIRECTORY: u64 = 0o200_000;
#[cfg(bpf_target_arch = "aarch64")]
const DIRECTORY: u64 = 0o40_000;
/// `__O_TMPFILE` is set together with `O_DIRECTORY`.
const TMPFILE: u64 = 0o20_000_000;

const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// Commands of bpf(2) that return a descriptor, as bits: MAP_CREATE, PROG_LOAD,
/// OBJ_GET, PROG_, MAP_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD,
/// BTF_GET_FD_BY_ID, LINK_CREATE, LINK_GET_FD_BY_ID, ENABLE_STATS, ITER_CREATE,
/// TOKEN_CREATE (include/uapi/linux/bpf.h).
const BPF_COMMANDS: u64 = 1
    | 1 << 5
    | 1 << 7
    | 1 << 13
    | 1 << 14
    | 1 << 17
    | 1 << 18
    | 1 << 19
    | 1 << 28
    | 1 << 30
    | 1 << 32
    | 1 << 33
    | 1 << 36;

/// A descriptor.
#[inline(always)]
pub(crate) fn handle(number: u64) -> Handle {
    Handle::new(Class::Descriptor, number & 0xffff_ffff)
}

/// A call that returns a descriptor of a known kind.
#[inline(always)]
pub(crate) fn returns(call: Call, effect: Effect) -> Option<Acquiring> {
    Some(Acquiring::one(
        handle(call.result),
        u32::from(effect.kind),
        0,
        flags(call, effect),
    ))
}

/// A call that returns a descriptor of whatever its file is.
#[inline(always)]
pub(crate) fn returns_by_file(call: Call, effect: Effect) -> Option<Acquiring> {
    let kind = Task::current().descriptor_kind(call.result);
    let flags = flags(call, effect) | acquired::KIND_GUESSED;
    Some(Acquiring::one(handle(call.result), kind, 0, flags))
}

/// open and its like: the flags tell directories that were asked for.
#[inline(always)]
pub(crate) fn opens(call: Call, effect: Effect) -> Option<Acquiring> {
    let flags = flags(call, effect) | acquired::KIND_GUESSED;
    Some(Acquiring::one(
        handle(call.result),
        opened(call, effect),
        0,
        flags,
    ))
}

/// The kind that open and its like were asked for.
#[inline(always)]
pub(crate) fn opened(call: Call, effect: Effect) -> u32 {
    let asked = argument(call.registers, effect.argument);
    let directory = asked & DIRECTORY != 0 && asked & TMPFILE == 0;
    if directory {
        Kind::Directory as u32
    } else {
        Kind::File as u32
    }
}

/// pipe and socketpair: two descriptors in the caller's memory.
#[inline(always)]
pub(crate) fn writes_two(call: Call, effect: Effect) -> Option<Acquiring> {
    let address = argument(call.registers, effect.argument);
    let Ok([first, second]) = user::<[u32; 2]>(address) else {
        lost(Counter::Unreadable, call.process);
        return None;
    };
    Some(Acquiring {
        second: handle(u64::from(second)),
        first: handle(u64::from(first)),
        ..returns(call, effect)?
    })
}

/// dup2 and dup3: what was at the second number is closed by the same call.
#[inline(always)]
pub(crate) fn replaces(call: Call, effect: Effect) -> Option<Acquiring> {
    // dup2 of a number to itself does nothing.
    if call.registers.argument(0) & 0xffff_ffff == call.result {
        return None;
    }
    // Nobody here knows whether an old number was in use; user space does.
    young::release(call.process, handle(call.result));
    returns_by_file(call, effect)
}

/// fcntl(2) duplicates for two of its commands.
#[inline(always)]
pub(crate) fn fcntl(call: Call, effect: Effect) -> Option<Acquiring> {
    match call.registers.argument(1) & 0xffff_ffff {
        F_DUPFD => returns_by_file(call, effect),
        F_DUPFD_CLOEXEC => returns_by_file(
            call,
            Effect {
                close_on_exec: CloseOnExec::Always,
                ..effect
            },
        ),
        _ => None,
    }
}

/// Whether fcntl(2) was asked to duplicate.
#[inline(always)]
pub(crate) fn duplicates(call: Call) -> bool {
    let command = call.registers.argument(1) & 0xffff_ffff;
    command == F_DUPFD || command == F_DUPFD_CLOEXEC
}

/// signalfd changes the descriptor it is given, unless that is -1.
#[inline(always)]
pub(crate) fn signalfd(call: Call, effect: Effect) -> Option<Acquiring> {
    if call.registers.argument(0) as i32 != -1 {
        return None;
    }
    returns(call, effect)
}

#[inline(always)]
pub(crate) fn bpf(call: Call, effect: Effect) -> Option<Acquiring> {
    if !makes_object(call) {
        return None;
    }
    returns(call, effect)
}

/// Whether bpf(2) was asked for something that has a descriptor.
#[inline(always)]
pub(crate) fn makes_object(call: Call) -> bool {
    let command = call.registers.argument(0) & 0xffff_ffff;
    command < 64 && BPF_COMMANDS >> command & 1 != 0
}

/// `SECCOMP_SET_MODE_FILTER` with `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
#[inline(always)]
pub(crate) fn seccomp(call: Call, effect: Effect) -> Option<Acquiring> {
    if call.registers.argument(0) & 0xffff_ffff != 1 || call.registers.argument(1) & 8 == 0 {
        return None;
    }
    returns(call, effect)
}

/// Any flag asks for a version or an erratum, which is not a descriptor.
#[inline(always)]
pub(crate) fn landlock(call: Call, effect: Effect) -> Option<Acquiring> {
    if call.registers.argument(2) & 0xffff_ffff != 0 {
        return None;
    }
    returns(call, effect)
}

/// close, at its beginning. A number that is not open closes nothing.
#[inline(always)]
pub(crate) fn close(process: ProcessId, descriptor: u64) {
    let descriptor = descriptor & 0xffff_ffff;
    let handle = Handle::new(Class::Descriptor, descriptor);
    match young::take(process, handle) {
        Found::Young => {}
        Found::Old { acquired } => emit::released(process, handle, acquired),
        Found::Nothing => {
            if Task::current().file(descriptor).is_some() {
                emit::released(process, handle, 0);
            }
        }
    }
}

/// close_range, at its beginning. Young ones in the range stay in the table;
/// user space knows that they are older than this.
#[inline(always)]
pub(crate) fn close_range(process: ProcessId, first: u64, last: u64, flags: u64) {
    let (first, last) = (first & 0xffff_ffff, last & 0xffff_ffff);
    if first > last {
        return;
    }
    // CLOSE_RANGE_UNSHARE is 2, CLOSE_RANGE_CLOEXEC 4 (include/uapi/linux/close_range.h).
    let unshare = if flags & 2 != 0 { range::UNSHARE } else { 0 };
    let close_on_exec = if flags & 4 != 0 {
        range::CLOSE_ON_EXEC
    } else {
        0
    };
    let record = RangeReleased {
        head: head(RecordType::RangeReleased, Class::Descriptor as u32, process),
        first,
        last,
        flags: unshare | close_on_exec,
        reserved: 0,
    };
    emit(&record, process);
}

/// The row's flags, as `wire::acquired` bits.
#[inline(always)]
fn flags(call: Call, effect: Effect) -> u32 {
    let [first, second, third, fourth] = arguments(call.registers);
    let set = match effect.close_on_exec {
        CloseOnExec::Never => false,
        CloseOnExec::Always => true,
        CloseOnExec::Argument0 => first & CLOEXEC != 0,
        CloseOnExec::Argument1 => second & CLOEXEC != 0,
        CloseOnExec::Argument2 => third & CLOEXEC != 0,
        CloseOnExec::Argument3 => fourth & CLOEXEC != 0,
        CloseOnExec::LowBitArgument1 => second & 1 != 0,
        CloseOnExec::LowBitArgument0 => first & 1 != 0,
        CloseOnExec::LowBitArgument2 => third & 1 != 0,
        CloseOnExec::PerfFlagArgument4 => call.registers.argument(4) & PERF_CLOEXEC != 0,
    };
    if set { acquired::CLOSE_ON_EXEC } else { 0 }
}

/// An argument whose index only the table knows.
#[inline(always)]
fn argument(registers: Registers, index: u8) -> u64 {
    let [first, second, third, fourth] = arguments(registers);
    match index {
        0 => first,
        1 => second,
        2 => third,
        _ => fourth,
    }
}

/// All of them, loaded one by one: the verifier takes no load at an offset that
/// depends on something.
#[inline(always)]
fn arguments(registers: Registers) -> [u64; 4] {
    [
        registers.argument(0),
        registers.argument(1),
        registers.argument(2),
        registers.argument(3),
    ]
}
