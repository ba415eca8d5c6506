//! Stacks: one function takes them, whatever the method.

mod frame_pointer;

use leak_common::{limits::MAX_FRAMES, wire::StackEnd};

use crate::registers::Registers;

/// Frames taken, and why there are no more.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    pub(crate) frames: u64,
    /// A [`StackEnd`].
    pub(crate) end: u64,
    /// Hash of the frames, from the given seed.
    pub(crate) hash: u64,
}

/// Takes the user's stack, innermost frame first.
#[inline(always)]
pub(crate) fn take(
    registers: Option<Registers>,
    frames: &mut [u64; MAX_FRAMES + 1],
    seed: u64,
) -> Stack {
    match registers {
        Some(registers) if registers.stack() != 0 => frame_pointer::walk(registers, frames, seed),
        _ => Stack {
            frames: 0,
            end: StackEnd::NotTaken as u64,
            hash: mix(seed, 0),
        },
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
