//! Descriptors opened and closed by io_uring requests, which make no system call
//! of their own. Classic tracepoints, whose fields move between kernels: user
//! space reads their offsets from the `format` files.
//!
//! Stacks are taken when a request is submitted; what it did is known when it is complete. So a
//! close counts when it has succeeded: one that a chain of requests cancels has closed nothing. It
//! counts as of its submission, since another thread may own the number by now.

use aya_ebpf::{
    bindings::task_struct,
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    macros::{map, tracepoint},
    maps::LruHashMap,
    programs::TracePointContext,
};
use leak_common::{
    Counter, Kind, ProcessId,
    config::{ABSENT, flags},
    limits::INFLIGHT_ENTRIES,
    wire::{Young, YoungKey, acquired, uncovered},
};

use crate::{
    clock::now,
    config::{config, has},
    count::{count, current, lost},
    emit,
    entries::Entries,
    filter,
    memory::{Plain, kernel, user},
    operations::{descriptor, failure, message},
    registers::Registers,
    site, site_count,
    stack::{ByLock, ByTree, Slot, Walks},
    task::Task,
    verifier::global,
    young::{self, Found},
};

/// include/uapi/linux/io_uring.h, enum io_uring_op.
const RECVMSG: u8 = 10;
const ACCEPT: u8 = 13;
const OPENAT: u8 = 18;
const CLOSE: u8 = 19;
const OPENAT2: u8 = 28;
const SOCKET: u8 = 45;
const FIXED_FD_INSTALL: u8 = 54;
const PIPE: u8 = 62;

/// `IORING_CQE_F_MORE`: the request will complete again (multishot accept).
const MORE: u32 = 2;
/// `IOSQE_CQE_SKIP_SUCCESS`: its completion is told only if it failed.
const SKIPS_SUCCESS: u32 = 1 << 6;
/// `IORING_ACCEPT_MULTISHOT`.
const ACCEPT_MULTISHOT: u32 = 1;
/// `IORING_RECV_MULTISHOT`.
const RECV_MULTISHOT: u16 = 2;
/// `O_CLOEXEC` and `SOCK_CLOEXEC`.
const CLOEXEC: u32 = 0x80000;

/// An io_uring request between its submission and its completion.
#[repr(C)]
#[derive(Clone, Copy)]
struct UringRequest {
    process: ProcessId,
    /// Owner of the descriptor's key in the young table.
    owner: ProcessId,
    site: u64,
    /// When it was submitted.
    time: u64,
    /// Where it writes what it acquires: the header of a message, or two descriptors. Of a close
    /// the descriptor.
    at: u64,
    kind: u32,
    /// `wire::acquired` bits.
    flags: u32,
    /// What was asked for.
    opcode: u32,
    reserved: u32,
}

/// Requests of io_uring that are not complete: by the request's address, or by a mix of its
/// ring and user data where the kernel does not tell the address. That is so for all requests of
/// older kernels, and for the completions of a multishot request but the last.
#[map]
static URING: LruHashMap<u64, UringRequest> = LruHashMap::with_max_entries(INFLIGHT_ENTRIES, 0);

/// A request is submitted.
#[tracepoint]
#[inline(always)]
pub(crate) fn uring_submit(ctx: TracePointContext) -> u32 {
    submit::<ByLock>(&ctx);
    0
}

/// The same for kernels before 6.1.
#[tracepoint]
#[inline(always)]
pub(crate) fn uring_submit_by_tree(ctx: TracePointContext) -> u32 {
    submit::<ByTree>(&ctx);
    0
}

#[inline(always)]
fn submit<M: Walks>(ctx: &TracePointContext) -> Option<()> {
    let opcode: u8 = field(ctx, config!(offsets.uring_submit_opcode))?;
    let absent = ABSENT;
    let (kind, slot, flags_at, at) = match opcode {
        OPENAT | OPENAT2 => (
            Kind::File,
            config!(offsets.uring_open_slot),
            config!(offsets.uring_open_flags),
            absent,
        ),
        ACCEPT => (
            Kind::Socket,
            config!(offsets.uring_accept_slot),
            config!(offsets.uring_accept_flags),
            absent,
        ),
        SOCKET => (
            Kind::Socket,
            config!(offsets.uring_socket_slot),
            config!(offsets.uring_socket_flags),
            absent,
        ),
        FIXED_FD_INSTALL => (
            Kind::Anon,
            absent,
            config!(offsets.uring_install_flags),
            absent,
        ),
        PIPE => (
            Kind::Pipe,
            config!(offsets.uring_pipe_slot),
            config!(offsets.uring_pipe_flags),
            config!(offsets.uring_pipe_address),
        ),
        RECVMSG => (
            Kind::Anon,
            absent,
            config!(offsets.uring_message_flags),
            config!(offsets.uring_message_address),
        ),
        CLOSE => (Kind::Anon, absent, absent, absent),
        _ => return None,
    };
    if Task::current().is_kernel_thread() {
        // Whose it is, is not known.
        return unseen(0);
    }
    let (tgid, _) = current();
    if !filter::traced(tgid) {
        return None;
    }
    // 0 where this kernel does not tell: the payload of an empty Option is a register
    // that nothing was written to, which the verifier refuses to see saved.
    let request: u64 = field(ctx, config!(offsets.uring_submit_req)).unwrap_or(0);
    let skips = field::<u32>(ctx, config!(offsets.uring_submit_flags))
        .is_some_and(|flags| flags & SKIPS_SUCCESS != 0);
    if opcode == CLOSE {
        return submit_close(tgid, request, skips);
    }
    // A direct descriptor goes into the ring's own table, not into the process's.
    if request != 0 && slot != ABSENT && read::<u32>(request, slot).is_some_and(|slot| slot != 0) {
        return None;
    }
    let mut address = 0;
    if opcode == PIPE || opcode == RECVMSG {
        if request == 0 || at == ABSENT {
            // A message may bring descriptors; which do is not known without its header.
            return unseen(tgid);
        }
        address = read::<u64>(request, at)?;
        if opcode == RECVMSG && !has_room_for_descriptors(address) {
            return None;
        }
        if skips || opcode == RECVMSG && is_multishot_receive(request) {
            return unseen(tgid);
        }
    }
    let close_on_exec = if opcode == RECVMSG {
        message::CLOEXEC as u32
    } else {
        CLOEXEC
    };
    let closes = request != 0
        && flags_at != ABSENT
        && read::<u32>(request, flags_at).is_some_and(|flags| flags & close_on_exec != 0);
    let process = Task::current().process()?;
    let owner = young::key(process, descriptor::handle(0)).owner;
    let kind = kind as u32;
    // It is counted when it has acquired something.
    let site = site::visit(
        site::take::<M>(Slot::Uring, registers(), process)?,
        process,
        kind,
        0,
    )
    .site;
    let entry = UringRequest {
        process,
        owner,
        site,
        time: now(),
        at: address,
        kind,
        flags: acquired::KIND_GUESSED | if closes { acquired::CLOSE_ON_EXEC } else { 0 },
        opcode: u32::from(opcode),
        reserved: 0,
    };
    let mix = identity(
        ctx,
        config!(offsets.uring_submit_ctx),
        config!(offsets.uring_submit_user_data),
    );
    // An LRU table makes room by itself.
    if request != 0 {
        let _ = URING.insert(request, entry, 0);
    }
    if request == 0 || opcode == ACCEPT && is_multishot_accept(request) {
        let _ = URING.insert(mix?, entry, 0);
    }
    Some(())
}

/// Tells that descriptors of a process are not seen. (Of a kernel thread where it is 0.)
#[inline(always)]
fn unseen(tgid: u32) -> Option<()> {
    emit::uncovered(uncovered::URING_UNSEEN, tgid, || Task::current().process());
    None
}

/// Whether a message's control data have room for a descriptor.
#[inline(always)]
fn has_room_for_descriptors(header: u64) -> bool {
    user::<[u64; 2]>(header.wrapping_add(message::CONTROL))
        .is_ok_and(|[_, length]| length > message::HEADER_BYTES)
}

#[inline(always)]
fn is_multishot_receive(request: u64) -> bool {
    let at = config!(offsets.uring_message_multishot);
    at != ABSENT && read::<u16>(request, at).is_some_and(|flags| flags & RECV_MULTISHOT != 0)
}

/// Where the kernel does not keep what was asked for (before 6.10), any accept may be one.
#[inline(always)]
fn is_multishot_accept(request: u64) -> bool {
    let at = config!(offsets.uring_accept_multishot);
    at == ABSENT || read::<u32>(request, at).is_none_or(|flags| flags & ACCEPT_MULTISHOT != 0)
}

#[inline(always)]
fn submit_close(tgid: u32, request: u64, skips: bool) -> Option<()> {
    let at = config!(offsets.uring_close_fd);
    let descriptor = if request != 0 && at != ABSENT {
        read::<u32>(request, at)
    } else {
        None
    };
    let Some(descriptor) = descriptor else {
        count(Counter::UringCloseUnseen);
        emit::uncovered(uncovered::URING_CLOSE, tgid, || Task::current().process());
        return None;
    };
    // `file_slot` follows `fd` in struct io_close (io_uring/openclose.c).
    if read::<u32>(request, at + 4).is_some_and(|slot| slot != 0) {
        return None;
    }
    let process = Task::current().process()?;
    if skips {
        // Nobody will hear of it again unless it fails.
        descriptor::close(process, u64::from(descriptor));
    }
    let handle = descriptor::handle(u64::from(descriptor));
    let entry = UringRequest {
        process,
        owner: young::key(process, handle).owner,
        site: 0,
        time: now(),
        at: u64::from(descriptor),
        kind: 0,
        flags: u32::from(skips),
        opcode: u32::from(CLOSE),
        reserved: 0,
    };
    let _ = URING.insert(request, entry, 0);
    Some(())
}

/// A request is complete.
#[tracepoint]
#[inline(always)]
pub(crate) fn uring_complete(ctx: TracePointContext) -> u32 {
    complete(&ctx);
    0
}

#[inline(always)]
fn complete(ctx: &TracePointContext) -> Option<()> {
    // The same key as at submission: the request where both sides have it.
    let request = if config!(offsets.uring_submit_req) != ABSENT {
        field::<u64>(ctx, config!(offsets.uring_complete_req)).unwrap_or(0)
    } else {
        0
    };
    let key = if request != 0 {
        request
    } else {
        identity(
            ctx,
            config!(offsets.uring_complete_ctx),
            config!(offsets.uring_complete_user_data),
        )?
    };
    URING.get_ptr(key)?;
    let result: i32 = field(ctx, config!(offsets.uring_complete_res))?;
    let more = field::<u32>(ctx, config!(offsets.uring_complete_flags))
        .is_some_and(|flags| flags & MORE != 0);
    // Others may have the same user data: what they complete with is no descriptor.
    let is_sure = request != 0;
    completed(key, i64::from(result) as u64, u64::from(is_sure));
    if !more {
        let _ = URING.remove(key);
    }
    Some(())
}

global! {
    fn completed(key, result, is_sure) = complete_request;
    fn acquire_request(key, number) = acquire_by_request;
}

#[inline(always)]
fn complete_request(key: u64, result: u64, is_sure: u64) -> u64 {
    let Some(request) = URING.copy(key) else {
        return 0;
    };
    let UringRequest {
        process,
        site,
        at,
        kind,
        flags,
        opcode,
        ..
    } = request;
    let failed = (result as i64) < 0;
    if opcode == u32::from(CLOSE) {
        match (failed, flags != 0) {
            (false, false) => closed(&request),
            // It was believed to have closed something.
            (true, true) => lost(Counter::UringCloseUnseen, process),
            _ => {}
        }
    } else if failed {
        if is_sure != 0 {
            failure::of_request((process, kind), site, opcode, result);
        }
    } else if opcode == u32::from(PIPE) || opcode == u32::from(RECVMSG) {
        // What it wrote can be read in its own process.
        if current().0 != process.pid() {
            lost(Counter::Unreadable, process);
        } else if opcode == u32::from(RECVMSG) {
            message::of_request(process, site, at, flags & acquired::CLOSE_ON_EXEC);
        } else if let Ok([first, second]) = user::<[u32; 2]>(at) {
            acquire_request(key, u64::from(first));
            acquire_request(key, u64::from(second));
        } else {
            lost(Counter::Unreadable, process);
        }
    } else if is_sure != 0 || is_of_kind(result, kind) {
        acquire_request(key, result);
    }
    0
}

/// Whether a descriptor of the current process may be of a kind.
#[inline(always)]
fn is_of_kind(number: u64, kind: u32) -> bool {
    let task = Task::current();
    task.file(number).is_some()
        && (kind != Kind::Socket as u32 || task.descriptor_kind(number) == kind)
}

/// A close has succeeded.
#[inline(always)]
fn closed(request: &UringRequest) {
    let UringRequest {
        process,
        owner,
        time,
        at,
        ..
    } = *request;
    let handle = descriptor::handle(at);
    match young::take_from_before(process, YoungKey { owner, handle }, time) {
        Found::Young => {}
        Found::Old { acquired } => emit::released_at(time, process, handle, acquired),
        Found::Nothing => emit::released_at(time, process, handle, 0),
    }
}

/// A request has acquired a descriptor.
#[inline(always)]
fn acquire_by_request(key: u64, number: u64) -> u64 {
    let Some(UringRequest {
        process,
        owner,
        site,
        kind,
        flags,
        ..
    }) = URING.copy(key)
    else {
        return 0;
    };
    site_count::add(site, 1);
    let handle = descriptor::handle(number);
    young::acquire_as(
        YoungKey { owner, handle },
        Young::new(process, site, kind, 0, flags),
    )
}

/// The submitting thread's user registers, where the kernel has the helper.
#[inline(always)]
fn registers() -> Option<Registers> {
    if !has(flags::TASK_REGISTERS) || Task::current().is_uring_thread() {
        return None;
    }
    // SAFETY: helpers that this kernel has, as the flag says; the second is handed what the
    // first returns.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf().cast::<task_struct>()) };
    Some(Registers::new(registers as *const u64))
}

/// Context and user data: what kernels before 5.17 tell at both ends.
#[inline(always)]
fn identity(ctx: &TracePointContext, ring: u32, user_data: u32) -> Option<u64> {
    let ring: u64 = field(ctx, ring)?;
    let user_data: u64 = field(ctx, user_data)?;
    Some(ring ^ user_data.rotate_left(17))
}

/// A field of the tracepoint's record.
#[inline(always)]
fn field<T: Plain>(ctx: &TracePointContext, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the read is checked, and any bytes are a number. (The offset is the format
    // file's.)
    unsafe { ctx.read_at(offset as usize) }.ok()
}

/// A field of the request.
#[inline(always)]
fn read<T: Plain>(request: u64, offset: u32) -> Option<T> {
    kernel(request + u64::from(offset)).ok()
}
