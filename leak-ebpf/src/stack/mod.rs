//! Stacks: taken at the moment of acquisition, whatever the code was built with.
//!
//! `walk` goes from frame to frame; `rules` says how, from the tables that user
//! space keeps in the maps; `code` finds which file's tables an address needs, by
//! `mapping`, without user space having to follow what processes map. Interpreted
//! frames are in `python`.

mod code;
mod mapping;
mod python;
mod rules;
mod walk;
mod window;

use leak_common::{
    ProcessId, config::flags, wire::StackEnd,
};

pub(crate) use self::{
    code::{CodePage, Space, begins, changed, maps},
    mapping::{ByLock, ByTree, Mapping, Mappings},
    rules::Remembered,
};
use self::{walk::Walk, window::Window};
use crate::{config::has, maps::SiteScratch, registers::Registers};

/// Frames taken, and why there are no more.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    pub(crate) frames: u64,
    /// A [`StackEnd`].
    pub(crate) end: u64,
    /// Hash of the frames, from the given seed.
    pub(crate) hash: u64,
    /// Frames of an interpreter, and which layout they have.
    pub(crate) python_frames: u64,
    pub(crate) python_layout: u64,
}

/// What a walk needs; too large for the program's stack.
#[repr(C)]
pub(crate) struct StackScratch {
    walk: Walk,
    window: Window,
    mapping: Mapping,
    python: python::Interpreter,
}

/// Takes the user's stack, innermost frame first, into the scratch with this number.
#[inline(always)]
pub(crate) fn take<M: Mappings>(
    registers: Option<Registers>,
    slot: u32,
    scratch: &mut SiteScratch,
    process: ProcessId,
) {
    scratch.stack = Stack {
        frames: 0,
        end: StackEnd::NotTaken as u64,
        hash: mix(process.0, 0),
        python_frames: 0,
        python_layout: 0,
    };
    if !has(flags::NO_STACKS)
        && let Some(registers) = registers
        && registers.stack() != 0
    {
        scratch.walk.walk.start(registers, process);
        M::walk(u64::from(slot), process.0);
        python::walk_interpreter(u64::from(slot));
    }
}

/// One step of the hash: a multiplication and a fold (Fibonacci hashing).
#[inline(always)]
pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    let hash = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

/// The same number, but the compiler knows nothing about it any more: it must
/// keep the bounds check that follows, which the verifier needs.
#[inline(always)]
pub(crate) fn opaque(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: adds nothing.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// All ones where `a < b`, else zero, without a branch: each would double what the
/// verifier has to walk. Both must be below 2^63.
#[inline(always)]
pub(crate) fn mask_less(a: u64, b: u64) -> u64 {
    let mut mask = a.wrapping_sub(b);
    // SAFETY: an arithmetic shift; written out, since the compiler would turn it
    // back into a branch.
    unsafe { core::arch::asm!("{0} s>>= 63", inout(reg) mask, options(pure, nomem, nostack)) };
    mask
}

/// Through memory: the verifier forgets what it knew of the number.
#[inline(always)]
fn forget(slot: &mut u64, value: u64) -> u64 {
    // SAFETY: a place in the scratch.
    unsafe {
        core::ptr::write_volatile(slot, value);
        core::ptr::read_volatile(slot)
    }
}
