//! Descriptors that arrive in messages (`SCM_RIGHTS`, `SCM_PIDFD`) and events. One record carries
//! them all to user space: a loop over up to 253 descriptors, each with its own way
//! through the young table, is more than the verifier walks.
//!
//! Requests of io_uring receive them too (`of_request`).

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    Counter, Kind, ProcessId,
    limits::MAX_RECEIVED,
    wire::{Received, RecordType, acquired},
};

use super::{Acquiring, Call};
use crate::{
    count::{count, lost},
    emit::{Followed, emit_followed, head},
    memory::{copy_from_user, user},
    site::{self, Taken},
    site_count,
    task::Task,
    verifier::{fresh, global, opaque, put},
};

const SOL_SOCKET: u64 = 1;
const SCM_RIGHTS: u64 = 1;
/// Linux 6.5: the sender, for a socket that asked for it (`SO_PASSPIDFD`).
const SCM_PIDFD: u64 = 4;
/// `MSG_CMSG_CLOEXEC`.
pub(crate) const CLOEXEC: u64 = 0x4000_0000;

/// Where `struct user_msghdr` keeps its control data and their length.
pub(crate) const CONTROL: u64 = 32;
/// `struct mmsghdr`: the header and a length, padded.
const MESSAGE_BYTES: u64 = 64;
/// `struct cmsghdr`: length (8), level (4), type (4).
pub(crate) const HEADER_BYTES: u64 = 16;
/// Messages of one call that are looked at.
const MESSAGES: u64 = 16;
/// Headers of one message that are looked at: there are credentials, timestamps
/// and security labels beside the descriptors at most.
const HEADERS: u32 = 6;

/// What a processor finds in a message.
#[repr(C)]
struct Rights {
    /// Where the descriptors are, and how many; where the descriptor of the sender is.
    found: [u64; 3],
    /// The descriptors themselves, as they are sent.
    received: Followed<Received, u32, PLACES>,
}

/// More than [`MAX_RECEIVED`], a power of two.
const PLACES: usize = 256;
const _: () = assert!(MAX_RECEIVED < PLACES);

#[map]
static RIGHTS: PerCpuArray<Rights> = PerCpuArray::with_max_entries(2, 0);

/// Who looks, and so which entry is its own: the end of a system call, or of a request of io_uring.
const CALL: u64 = 0;
const REQUEST: u64 = 1;

impl Rights {
    /// This processor's.
    #[inline(always)]
    fn of_processor(who: u64) -> Option<&'static mut Rights> {
        let rights = RIGHTS.get_ptr_mut(who as u32)?;
        // SAFETY: this processor's entry, of plain numbers. One program alone uses it, and the
        // kernel does not run a program that runs on the processor already.
        Some(unsafe { &mut *rights })
    }
}

/// recvmsg: one message.
#[inline(always)]
pub(crate) fn receives(call: Call) -> Option<Acquiring> {
    acquiring(call, 1, call.registers.argument(2))
}

/// recvmmsg: as many messages as it returned.
#[inline(always)]
pub(crate) fn receives_many(call: Call) -> Option<Acquiring> {
    acquiring(call, call.result, call.registers.argument(3))
}

/// Most messages bring no descriptors at all: that is found out before a stack is
/// taken.
#[inline(always)]
fn acquiring(call: Call, messages: u64, flags: u64) -> Option<Acquiring> {
    let mut index = 0;
    while index < MESSAGES {
        if index >= messages {
            return None;
        }
        if rights(call, index).is_some() {
            let close_on_exec = if flags & CLOEXEC != 0 {
                acquired::CLOSE_ON_EXEC
            } else {
                0
            };
            return Some(Acquiring {
                rest: super::MESSAGES | messages & 0xffff,
                flags: close_on_exec,
                ..Acquiring::none()
            });
        }
        index += 1;
    }
    None
}

/// Address and number of the descriptors in a message, and the address of its sender's.
#[inline(always)]
fn rights(call: Call, index: u64) -> Option<[u64; 3]> {
    rights_in(CALL, call.registers.argument(1), index, call.process)
}

#[inline(always)]
fn rights_in(who: u64, messages: u64, index: u64, process: ProcessId) -> Option<[u64; 3]> {
    if find_rights(messages, index, process.0, who) == 0 {
        return None;
    }
    Some(fresh(&Rights::of_processor(who)?.found))
}

global! {
    fn find_rights(messages, index, process, who) = look_for_rights;
}

/// Looks for the descriptors in one of the messages; where there are some, notes their
/// addresses and number and returns 1.
#[inline(always)]
fn look_for_rights(messages: u64, index: u64, process: u64, who: u64) -> u64 {
    let Some(rights) = Rights::of_processor(who) else {
        return 0;
    };
    put(&mut rights.found, [0; 3]);
    let _ = in_message(messages, index, ProcessId(process), &mut rights.found);
    let [address, _, sender] = fresh(&rights.found);
    u64::from(address | sender != 0)
}

/// Notes what it finds at once: the verifier does not follow what is in memory.
#[inline(always)]
fn in_message(messages: u64, index: u64, process: ProcessId, found: &mut [u64; 3]) -> Option<()> {
    let at = messages.wrapping_add(index * MESSAGE_BYTES + CONTROL);
    let Ok([mut header, mut left]) = user::<[u64; 2]>(at) else {
        lost(Counter::Unreadable, process);
        return None;
    };
    let mut step = 0;
    while step < HEADERS {
        step += 1;
        if left < HEADER_BYTES {
            return None;
        }
        let Ok([length, level_and_type]) = user::<[u64; 2]>(header) else {
            lost(Counter::Unreadable, process);
            return None;
        };
        if length < HEADER_BYTES || length > left {
            return None;
        }
        let value = header + HEADER_BYTES;
        if level_and_type == SCM_RIGHTS << 32 | SOL_SOCKET {
            put(&mut found[0], value);
            put(&mut found[1], (length - HEADER_BYTES) / 4);
        }
        if level_and_type == SCM_PIDFD << 32 | SOL_SOCKET {
            put(&mut found[2], value);
        }
        let next = (length + 7) & !7;
        if next >= left {
            return None;
        }
        header = header.wrapping_add(next);
        left -= next;
    }
    lost(Counter::TooManyReceived, process);
    None
}

/// Sends what arrived, a record for each message with descriptors.
#[inline(always)]
pub(crate) fn record(call: Call, taken: Taken, messages: u64, flags: u32) {
    if messages > MESSAGES {
        lost(Counter::TooManyReceived, call.process);
    }
    let (mut site, mut site_of_senders) = (0, 0);
    let mut index = 0;
    while index < MESSAGES {
        if index >= messages {
            return;
        }
        if let Some([address, number, sender]) = rights(call, index) {
            if address != 0 {
                site = send(call, taken, site, flags, address, number);
            }
            if sender != 0 {
                site_of_senders = send_sender(call, taken, site_of_senders, sender);
            }
        }
        index += 1;
    }
}

/// Sends the descriptor of a message's sender, which closes on exec (net/core/scm.c).
#[inline(always)]
fn send_sender(call: Call, taken: Taken, site: u64, address: u64) -> u64 {
    note_none();
    // It is an error's number where the sender is gone.
    note(user(address).unwrap_or(u32::MAX));
    if noted() == 0 {
        return site;
    }
    let kind = Kind::Pidfd as u32;
    let site = visit_again(call, taken, site, kind, 1);
    let close_on_exec = acquired::CLOSE_ON_EXEC;
    let _ = send_noted(CALL, call.process, site, kind, close_on_exec, 1);
    site
}

/// No descriptors are noted.
#[inline(always)]
pub(super) fn note_none() {
    if let Some(rights) = Rights::of_processor(CALL) {
        put(&mut rights.found[1], 0);
    }
}

/// Notes a descriptor, unless it is none.
#[inline(always)]
pub(super) fn note(descriptor: u32) {
    let Some(rights) = Rights::of_processor(CALL) else {
        return;
    };
    let number = fresh(&rights.found[1]);
    if descriptor as i32 >= 0 {
        let place = opaque(number) & (PLACES as u64 - 1);
        // SAFETY: the index is in bounds, and the place is one of plain numbers.
        unsafe {
            let first = rights.received.rest.as_mut_ptr();
            core::ptr::write_volatile(first.add(place as usize), descriptor);
        }
        put(&mut rights.found[1], number + 1);
    }
}

/// How many descriptors are noted.
#[inline(always)]
pub(super) fn noted() -> u64 {
    Rights::of_processor(CALL).map_or(0, |rights| fresh(&rights.found[1]))
}

/// Sends the descriptors that were noted when they were read.
#[inline(always)]
pub(super) fn record_read(call: Call, taken: Taken, number: u64) {
    let Some(Rights { received, .. }) = Rights::of_processor(CALL) else {
        return;
    };
    let number = if number > MAX_RECEIVED as u64 {
        lost(Counter::TooManyReceived, call.process);
        MAX_RECEIVED as u64
    } else {
        number
    };
    let task = Task::current();
    let first = u64::from(received.rest[0]);
    // All events of a descriptor have the same flags.
    let close_on_exec = if task.closes_on_exec(first) {
        acquired::CLOSE_ON_EXEC
    } else {
        0
    };
    let kind = task.descriptor_kind(first);
    let flags = close_on_exec | acquired::KIND_GUESSED;
    let site = site::visit(taken, call.process, kind, number).site;
    let _ = send_noted(CALL, call.process, site, kind, flags, number);
}

/// The site has the kind of the first descriptor; user space asks /proc for the
/// kinds of all.
#[inline(always)]
fn send(call: Call, taken: Taken, site: u64, flags: u32, address: u64, number: u64) -> u64 {
    let visit = |kind, number| visit_again(call, taken, site, kind, number);
    send_found(CALL, call.process, flags, (address, number), visit).unwrap_or(site)
}

/// Counts what a further message of a call brings at the site that an earlier one visited.
#[inline(always)]
fn visit_again(call: Call, taken: Taken, site: u64, kind: u32, number: u64) -> u64 {
    if site == 0 {
        site::visit(taken, call.process, kind, number).site
    } else {
        site_count::add(site, number);
        site
    }
}

/// Sends what a request of io_uring has received, whose message header is at `header` and whose
/// site was visited when it was made.
#[inline(always)]
pub(crate) fn of_request(process: ProcessId, site: u64, header: u64, flags: u32) -> Option<()> {
    let [address, number, _] = rights_in(REQUEST, header, 0, process)?;
    if address == 0 {
        return None;
    }
    send_found(REQUEST, process, flags, (address, number), |_, number| {
        site_count::add(site, number);
        site
    })?;
    Some(())
}

/// Sends the descriptors at an address, and returns the site that `visit` finds for their kind and
/// number.
#[inline(always)]
fn send_found(
    who: u64,
    process: ProcessId,
    flags: u32,
    (address, number): (u64, u64),
    visit: impl FnOnce(u32, u64) -> u64,
) -> Option<u64> {
    let Rights { received, .. } = Rights::of_processor(who)?;
    let number = opaque(number) & 0xff;
    let number = if number > MAX_RECEIVED as u64 {
        MAX_RECEIVED as u64
    } else {
        number
    };
    // SAFETY: less than 1 KiB, which is the size of `rest`.
    let copied = unsafe {
        copy_from_user(
            received.rest.as_mut_ptr(),
            opaque(number * 4) as u32 & 0x3ff,
            address,
        )
    };
    if copied.is_err() {
        lost(Counter::Unreadable, process);
        return None;
    }
    let kind = Task::current().descriptor_kind(u64::from(received.rest[0]));
    let site = visit(kind, number);
    let flags = flags | acquired::KIND_GUESSED;
    send_noted(who, process, site, kind, flags, number)?;
    Some(site)
}

/// Sends the first `number` of the descriptors that are noted.
#[inline(always)]
fn send_noted(
    who: u64,
    process: ProcessId,
    site: u64,
    kind: u32,
    flags: u32,
    number: u64,
) -> Option<()> {
    let Rights { received, .. } = Rights::of_processor(who)?;
    count(Counter::Acquired);
    received.record = Received {
        head: head(RecordType::Received, kind, process),
        site,
        flags,
        number: number as u32,
    };
    emit_followed(received, number, process);
    Some(())
}
