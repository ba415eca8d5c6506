//! Stacks: taken at the moment of acquisition, whatever the code was built with.
//!
//! `walk` goes from frame to frame; `rules` says how, from the tables that user
//! space keeps in the maps; `code` finds which file's tables an address needs, by
//! `mapping`, without user space having to follow what processes map. Interpreted
//! frames are in `python`.

mod code;
mod mapping;
mod python;
mod recall;
mod rules;
mod walk;
mod window;

use aya_ebpf::helpers::generated;
use leak_common::{ProcessId, config::flags, identity::stack_seed, wire::StackEnd};

pub(crate) use self::{
    code::{CodePage, Space, begins, changed, maps},
    mapping::{ByLock, ByTree, Mapping, Mappings},
    recall::{Recalled, write_frames},
    rules::Remembered,
};
use self::{walk::Walk, window::Window};
use crate::{config::has, maps::SiteScratch, registers::Registers};

/// A stack that was taken: how many frames it has, and why there are no more.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    pub(crate) frames: u64,
    /// A [`StackEnd`].
    pub(crate) end: u64,
    /// Hash of the process and the frames.
    pub(crate) hash: u64,
    /// Not 0: the stack is the one that the processor remembers in the place before
    /// this; its frames were not written to the scratch.
    pub(crate) recalled: u64,
    /// How many frames of an interpreter there are.
    pub(crate) python_frames: u64,
    /// Number of their layout, 0 where there are none.
    pub(crate) python_layout: u64,
}

/// Copies the stack from an address on into `memory`, page by page: its end is no
/// reason to have nothing of it. Returns how many bytes it has.
#[inline(always)]
pub(crate) fn copy<const BYTES: usize>(memory: *mut [u8; BYTES], from: u64) -> u64 {
    const PAGE: u64 = 4096;
    let first = PAGE - opaque(from & (PAGE - 1));
    // SAFETY: less than two pages, and the copies have more.
    let result = unsafe {
        generated::bpf_probe_read_user(memory.cast(), first as u32 & 0x1fff, from as *const _)
    };
    if result != 0 {
        return 0;
    }
    let mut length = first;
    let mut page = 1;
    while page < BYTES as u64 / PAGE {
        let offset = opaque(first + (page - 1) * PAGE) & (BYTES as u64 - 1);
        if offset > BYTES as u64 - PAGE {
            break;
        }
        // SAFETY: a page within `memory`, as just checked.
        let result = unsafe {
            let into = memory.cast::<u8>().add(offset as usize);
            generated::bpf_probe_read_user(into.cast(), PAGE as u32, (from + offset) as *const _)
        };
        if result != 0 {
            break;
        }
        length = offset + PAGE;
        page += 1;
    }
    length
}

/// What a walk needs; too large for the program's stack.
#[repr(C)]
pub(crate) struct StackScratch {
    pub(crate) walk: Walk,
    window: Window,
    pub(crate) mapping: Mapping,
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
        hash: stack_seed(process),
        recalled: 0,
        python_frames: 0,
        python_layout: 0,
    };
    if !has(flags::NO_STACKS)
        && let Some(registers) = registers
        && registers.stack() != 0
    {
        scratch.walk.walk.start(registers, process);
        if recall::recall_stack(u64::from(slot), process.0) == 0 {
            M::walk(u64::from(slot), process.0);
        }
        if scratch.walk.walk.python_layout != 0 {
            python::walk_interpreter(u64::from(slot));
        }
    }
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
