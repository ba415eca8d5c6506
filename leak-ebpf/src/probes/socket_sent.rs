//! Who borrowed a connection last: the stack of the last send on a socket that is watched.
//!
//! The program is attached while user space watches a pool of connections, and not before. It
//! runs where data are sent on a socket, by whatever call (the tracepoint `sock_send_length`,
//! Linux 6.3): other writes pay nothing for it, and other sockets one look into a small table.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, task_struct},
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use leak_common::{
    Counter, Kind,
    config::flags,
    identity::mix,
    limits::{BORROW_PAUSE_NS, BORROWER_FRESH_NS},
    wire::{BorrowKey, Borrows, Watched},
};

use crate::{
    clock::now,
    config::has,
    count::current,
    entries::Word,
    maps::{BORROWS, WATCHED},
    registers::Registers,
    site,
    stack::{ByLock, Slot},
    task::Task,
    verifier::global,
};

/// `TP_PROTO(struct sock *sk, int ret, int flags)`, include/trace/events/sock.h.
#[btf_tracepoint(function = "sock_send_length")]
#[inline(always)]
pub(crate) fn socket_sent(ctx: BtfTracePointContext) -> i32 {
    sent(&ctx);
    0
}

#[inline(always)]
fn sent(ctx: &BtfTracePointContext) -> Option<()> {
    let sock: *const u8 = ctx.arg(0);
    let entry = WATCHED.get_ptr_mut(sock as u64)?;
    let result: i32 = ctx.arg(1);
    if result <= 0 {
        return None;
    }
    let watched = Entry::of(entry);
    let now = now();
    let pause = now.wrapping_sub(watched.used.get());
    watched.used.set(now);
    let task = Task::current();
    if !has(flags::TASK_REGISTERS) || task.is_kernel_thread() || task.is_uring_thread() {
        // It was used, and nobody knows by whom.
        watched.borrower.set(0);
        return None;
    }
    // SAFETY: helpers that this kernel has, as the flag says; the second is handed what the
    // first returns.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf().cast::<task_struct>()) };
    let registers = Registers::new(registers as *const u64);
    let place = mix(
        mix(u64::from(current().1), registers.stack()),
        registers.instruction(),
    );
    let is_fresh = now.wrapping_sub(watched.taken.get()) < BORROWER_FRESH_NS;
    if pause < BORROW_PAUSE_NS && is_fresh && place == watched.place.get() {
        return None;
    }
    let process = task.process()?;
    if process.0 != watched.process.get() {
        // A socket that processes share.
        watched.borrower.set(0);
        return None;
    }
    let taken = site::take::<ByLock>(Slot::Sent, Some(registers), process)?;
    // Nothing is acquired there.
    let site = site::visit(taken, process, Kind::Socket as u32, 0).site;
    let before = watched.borrower.get();
    if pause >= BORROW_PAUSE_NS || site != before {
        borrowed(watched.pool.get(), before, site);
    }
    watched.borrower.set(site);
    watched.place.set(place);
    watched.taken.set(now);
    Some(())
}

/// The words of an entry, which user space and other processors read meanwhile.
struct Entry {
    process: Word,
    pool: Word,
    used: Word,
    borrower: Word,
    taken: Word,
    place: Word,
}

impl Entry {
    #[inline(always)]
    fn of(entry: *mut Watched) -> Entry {
        // SAFETY: aligned words of an entry of the map.
        unsafe {
            Entry {
                process: Word::new(&raw mut (*entry).process),
                pool: Word::new(&raw mut (*entry).pool),
                used: Word::new(&raw mut (*entry).used),
                borrower: Word::new(&raw mut (*entry).borrower),
                taken: Word::new(&raw mut (*entry).taken),
                place: Word::new(&raw mut (*entry).place),
            }
        }
    }
}

global! {
    fn count_borrow(pool, before, site) = count_one;
}

/// A stack borrowed a socket that another one, or the same, had borrowed before.
#[inline(always)]
fn borrowed(pool: u64, before: u64, site: u64) {
    count_borrow(pool, before, site);
}

#[inline(always)]
fn count_one(pool: u64, before: u64, site: u64) -> u64 {
    if before != 0
        && let Some((_, followed)) = words(pool, before)
    {
        followed.add(1);
    }
    if site == 0 {
        return 0;
    }
    if let Some((count, _)) = words(pool, site) {
        count.add(1);
        return 0;
    }
    let key = BorrowKey {
        pool,
        borrower: site,
    };
    let first = Borrows {
        count: 1,
        followed: 0,
    };
    if BORROWS.insert(key, first, u64::from(BPF_NOEXIST)).is_ok() {
        return 0;
    }
    // Another thread was first, or there is no room.
    match words(pool, site) {
        Some((count, _)) => count.add(1),
        None => crate::count::count(Counter::BorrowsFull),
    }
    0
}

/// How often a stack borrowed, and how often that was not the last time.
#[inline(always)]
fn words(pool: u64, borrower: u64) -> Option<(Word, Word)> {
    let entry = BORROWS.get_ptr_mut(BorrowKey { pool, borrower })?;
    // SAFETY: aligned words of an entry of the map.
    Some(unsafe {
        (
            Word::new(&raw mut (*entry).count),
            Word::new(&raw mut (*entry).followed),
        )
    })
}
