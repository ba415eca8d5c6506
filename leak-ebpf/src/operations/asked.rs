//! Calls that make a descriptor only for some of what they are asked: ioctl and getsockopt.
//!
//! Programs call them often, and nearly always for something else. Their registers tell, before
//! anything is read.

use leak_common::{
    Counter,
    requests::{self, SLOTS, Slot},
    syscalls::{Effect, Operation},
    wire::acquired,
};

use super::{Acquiring, Call, descriptor, notification};
use crate::{count::lost, memory::user, registers::Registers, task::Task, verifier::opaque};

const SOL_SOCKET: u64 = 1;
/// include/uapi/asm-generic/socket.h, Linux 6.5.
const SO_PEERPIDFD: u64 = 77;

/// Requests of ioctl that make a descriptor.
static REQUESTS: [Slot; SLOTS] = requests::TABLE;

/// Whether a call may acquire something: what its registers tell, for calls that most
/// programs make for something else.
#[inline(always)]
pub(crate) fn may_acquire(registers: Registers, effect: Effect) -> bool {
    match effect.operation {
        Operation::Reads => notification::may_be_read(),
        Operation::Ioctl => request(registers).is_some(),
        Operation::Getsockopt => {
            let [level, option] = [1, 2].map(|index| registers.argument(index) & 0xffff_ffff);
            level == SOL_SOCKET && option == SO_PEERPIDFD
        }
        _ => true,
    }
}

/// The request of an ioctl, if it is one that makes a descriptor.
#[inline(always)]
fn request(registers: Registers) -> Option<Slot> {
    let number = registers.argument(1) as u32;
    let place = opaque(requests::place(number) as u64) & (SLOTS as u64 - 1);
    let slots = (&raw const REQUESTS).cast::<u64>();
    // SAFETY: the index is in bounds, and a slot is eight plain bytes.
    let slot = unsafe { core::ptr::read_volatile(slots.add(place as usize)) };
    // SAFETY: as above.
    let slot = unsafe { core::mem::transmute::<u64, Slot>(slot) };
    (slot.number == number && number != 0).then_some(slot)
}

/// The kind of what an ioctl was to make, if it was to make a descriptor.
#[inline(always)]
pub(crate) fn requested(registers: Registers) -> Option<u32> {
    Some(u32::from(request(registers)?.kind))
}

/// ioctl: its request says where the descriptor is.
#[inline(always)]
pub(crate) fn ioctl(call: Call) -> Option<Acquiring> {
    let slot = request(call.registers)?;
    let number = if slot.at == Slot::IN_RESULT {
        call.result & 0xffff_ffff
    } else {
        written(call, call.registers.argument(2) + u64::from(slot.at))?
    };
    made(number, u32::from(slot.kind), acquired::KIND_GUESSED)
}

/// getsockopt of `SO_PEERPIDFD` writes a descriptor to the address in its row's argument.
#[inline(always)]
pub(crate) fn getsockopt(call: Call, effect: Effect) -> Option<Acquiring> {
    let number = written(call, call.registers.argument(3))?;
    made(number, u32::from(effect.kind), 0)
}

/// A descriptor that the kernel wrote to the caller's memory.
#[inline(always)]
fn written(call: Call, address: u64) -> Option<u64> {
    let Ok(number) = user::<u32>(address) else {
        lost(Counter::Unreadable, call.process);
        return None;
    };
    Some(u64::from(number))
}

/// A descriptor, if it is one. Drivers may give a request's number a meaning of their own, and
/// return 0 where all went well: 0 is taken for that, not for a descriptor.
#[inline(always)]
fn made(number: u64, kind: u32, flags: u32) -> Option<Acquiring> {
    let task = Task::current();
    if number == 0 || task.file(number).is_none() {
        return None;
    }
    let close_on_exec = if task.closes_on_exec(number) {
        acquired::CLOSE_ON_EXEC
    } else {
        0
    };
    let handle = descriptor::handle(number);
    Some(Acquiring::one(handle, kind, 0, flags | close_on_exec))
}
