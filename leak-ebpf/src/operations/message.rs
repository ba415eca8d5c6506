//! Descriptors that arrive in messages (`SCM_RIGHTS`). One record carries them
//! all to user space: a loop over up to 253 descriptors, each with its own way
//! through the young table, is more than the verifier walks.
//!
//! Requests of io_uring receive them too (`of_request`).

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    Counter, ProcessId,
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
const HEADERS: u32 = 4;

/// What a processor finds in a message.
#[repr(C)]
struct Rights {
    /// Where the descriptors are, and how many.
    found: [u64; 2],
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
                messages,
                flags: close_on_exec,
                ..Acquiring::none()
            });
        }
        index += 1;
    }
    None
}

/// Address and number of the descriptors in a message.
#[inline(always)]
fn rights(call: Call, index: u64) -> Option<(u64, u64)> {
    rights_in(CALL, call.registers.argument(1), index, call.process)
}

#[inline(always)]
fn rights_in(who: u64, messages: u64, index: u64, process: ProcessId) -> Option<(u64, u64)> {
    if find_rights(messages, index, process.0, who) == 0 {
        return None;
    }
    let [address, number] = fresh(&Rights::of_processor(who)?.found);
    Some((address, number))
}

global! {
    fn find_rights(messages, index, process, who) = look_for_rights;
}

/// Looks for the descriptors in one of the messages; where there are some, notes their
/// address and number and returns 1.
#[inline(always)]
fn look_for_rights(messages: u64, index: u64, process: u64, who: u64) -> u64 {
    let Some((address, number)) = in_message(messages, index, ProcessId(process)) else {
        return 0;
    };
    let Some(rights) = Rights::of_processor(who) else {
        return 0;
    };
    put(&mut rights.found, [address, number]);
    1
}

#[inline(always)]
fn in_message(messages: u64, index: u64, process: ProcessId) -> Option<(u64, u64)> {
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
        if level_and_type == SCM_RIGHTS << 32 | SOL_SOCKET {
            return Some((header + HEADER_BYTES, (length - HEADER_BYTES) / 4));
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
    let mut site = 0;
    let mut index = 0;
    while index < MESSAGES {
        if index >= messages {
            return;
        }
        if let Some((address, number)) = rights(call, index) {
            site = send(call, taken, site, flags, address, number);
        }
        index += 1;
    }
}

/// The site has the kind of the first descriptor; user space asks /proc for the
/// kinds of all.
#[inline(always)]
fn send(call: Call, taken: Taken, site: u64, flags: u32, address: u64, number: u64) -> u64 {
    let visit = |kind, number| {
        if site == 0 {
            site::visit(taken, call.process, kind, number).site
        } else {
            site_count::add(site, number);
            site
        }
    };
    send_found(CALL, call.process, flags, (address, number), visit).unwrap_or(site)
}

/// Sends what a request of io_uring has received, whose message header is at `header` and whose
/// site was visited when it was made.
#[inline(always)]
pub(crate) fn of_request(process: ProcessId, site: u64, header: u64, flags: u32) -> Option<()> {
    let found = rights_in(REQUEST, header, 0, process)?;
    send_found(REQUEST, process, flags, found, |_, number| {
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
    count(Counter::Acquired);
    received.record = Received {
        head: head(RecordType::Received, kind, process),
        site,
        flags: flags | acquired::KIND_GUESSED,
        number: number as u32,
    };
    emit_followed(received, number, process);
    Some(site)
}
