//! Descriptors opened and closed by io_uring requests, which make no system call
//! of their own. Classic tracepoints, whose fields move between kernels: user
//! space reads their offsets from the `format` files.

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
    config::{config, has},
    count::{count, current},
    emit,
    entries::Entries,
    filter,
    memory::{Plain, kernel},
    operations::{descriptor, failure},
    registers::Registers,
    site,
    stack::{ByLock, ByTree, Slot, Walks},
    task::Task,
    young,
};

/// include/uapi/linux/io_uring.h, enum io_uring_op.
const ACCEPT: u8 = 13;
const OPENAT: u8 = 18;
const CLOSE: u8 = 19;
const OPENAT2: u8 = 28;
const SOCKET: u8 = 45;
const FIXED_FD_INSTALL: u8 = 54;

/// `IORING_CQE_F_MORE`: the request will complete again (multishot accept).
const MORE: u32 = 2;

/// An io_uring request between its submission and its completion.
#[repr(C)]
#[derive(Clone, Copy)]
struct UringRequest {
    process: ProcessId,
    /// Owner of the descriptor's key in the young table.
    owner: ProcessId,
    site: u64,
    kind: u32,
    /// What was asked for.
    opcode: u32,
}

/// Requests of io_uring that are not complete: by the request's address, or by a mix of its
/// ring and user data where this kernel does not tell the address.
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
    let (kind, slot) = match opcode {
        OPENAT | OPENAT2 => (Kind::File, config!(offsets.uring_open_slot)),
        ACCEPT => (Kind::Socket, config!(offsets.uring_accept_slot)),
        SOCKET => (Kind::Socket, config!(offsets.uring_socket_slot)),
        FIXED_FD_INSTALL => (Kind::Anon, ABSENT),
        CLOSE => (Kind::Anon, config!(offsets.uring_open_slot)),
        _ => return None,
    };
    let (tgid, _) = current();
    if !filter::traced(tgid) {
        return None;
    }
    // 0 where this kernel does not tell: the payload of an empty Option is a register
    // that nothing was written to, which the verifier refuses to see saved.
    let request: u64 = field(ctx, config!(offsets.uring_submit_req)).unwrap_or(0);
    if opcode == CLOSE {
        return close(tgid, request);
    }
    // A direct descriptor goes into the ring's own table, not into the process's.
    if request != 0 && slot != ABSENT && read::<u32>(request, slot).is_some_and(|slot| slot != 0) {
        return None;
    }
    let process = Task::current().process()?;
    let owner = young::key(process, descriptor::handle(0)).owner;
    let kind = kind as u32;
    let site = site::visit(
        site::take::<M>(Slot::Uring, registers(), process)?,
        process,
        kind,
        1,
    )
    .site;
    let key = if request != 0 {
        request
    } else {
        identity(
            ctx,
            config!(offsets.uring_submit_ctx),
            config!(offsets.uring_submit_user_data),
        )?
    };
    // An LRU table makes room by itself.
    let _ = URING.insert(
        key,
        UringRequest {
            process,
            owner,
            site,
            kind,
            opcode: u32::from(opcode),
        },
        0,
    );
    Some(())
}

/// A close is taken at its submission, like the call.
#[inline(always)]
fn close(tgid: u32, request: u64) -> Option<()> {
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
    descriptor::close(Task::current().process()?, u64::from(descriptor));
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
    let key = if config!(offsets.uring_submit_req) != ABSENT {
        field::<u64>(ctx, config!(offsets.uring_complete_req))
    } else {
        None
    }
    .or_else(|| {
        identity(
            ctx,
            config!(offsets.uring_complete_ctx),
            config!(offsets.uring_complete_user_data),
        )
    })?;
    let request = URING.copy(key)?;
    let result: i32 = field(ctx, config!(offsets.uring_complete_res))?;
    let more = field::<u32>(ctx, config!(offsets.uring_complete_flags))
        .is_some_and(|flags| flags & MORE != 0);
    if !more {
        let _ = URING.remove(key);
    }
    if result < 0 {
        failure::of_request(
            (request.process, request.kind),
            request.site,
            request.opcode,
            i64::from(result) as u64,
        );
        return None;
    }
    let key = YoungKey {
        owner: request.owner,
        handle: descriptor::handle(result as u64),
    };
    young::acquire_as(
        key,
        Young::new(
            request.process,
            request.site,
            request.kind,
            0,
            acquired::KIND_GUESSED,
        ),
    );
    Some(())
}

/// The submitting thread's user registers, where the kernel has the helper.
#[inline(always)]
fn registers() -> Option<Registers> {
    if !has(flags::TASK_REGISTERS) {
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
