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

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    ProcessId,
    config::flags,
    identity::stack_of,
    limits::{MAX_FRAMES, MAX_PYTHON_FRAMES},
    unwind::PythonFrame,
    wire::{Interpreted, Site, StackEnd},
};

pub(crate) use self::{
    code::{begins, changed, maps},
    mapping::{ByLock, ByTree},
    recall::write_frames,
    walk::Walks,
};
use self::{mapping::Mapping, walk::Walk, window::Window};
use crate::{
    config::has, emit::Followed, memory::copy_from_user, registers::Registers, verifier::opaque,
};

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

/// Which of the scratch slots a program uses.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    Syscall = 0,
    Uring = 1,
    Sent = 2,
}

/// How many slots there are.
pub(super) const SLOTS: u32 = 3;

/// A stack while it is taken, and the records that carry it to user space; too large for the
/// program's own stack.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) site: Followed<Site, u64, { MAX_FRAMES + 1 }>,
    /// 1 where the stack is to be finished by user space, else 0.
    pub(crate) unfinished: u64,
    pub(crate) stack: Stack,
    pub(crate) walk: StackScratch,
    pub(crate) interpreted: Followed<Interpreted, PythonFrame, { MAX_PYTHON_FRAMES + 1 }>,
}

/// One for each [`Slot`]: a program never interrupts itself on one CPU.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SLOTS, 0);

impl Scratch {
    /// This processor's scratch with a number (a [`Slot`]).
    ///
    /// A function asks for it where it begins, and is done with it where it calls a function
    /// that asks anew.
    #[inline(always)]
    pub(crate) fn of(slot: u64) -> Option<&'static mut Scratch> {
        let scratch = SCRATCH.get_ptr_mut(slot as u32)?;
        // SAFETY: this processor's entry, of plain numbers. One loaded program uses the slot,
        // and the kernel does not run a program that runs on the processor already.
        Some(unsafe { &mut *scratch })
    }
}

/// Copies the stack from an address on into `memory`, page by page: its end is no
/// reason to have nothing of it. Returns how many bytes it has.
///
/// # Safety
/// `memory` may be written.
#[inline(always)]
pub(crate) unsafe fn copy<const BYTES: usize>(memory: *mut [u8; BYTES], from: u64) -> u64 {
    const PAGE: u64 = 4096;
    const { assert!(BYTES as u64 >= 2 * PAGE && BYTES.is_power_of_two()) };
    let memory = memory.cast::<u8>();
    let first = PAGE - opaque(from & (PAGE - 1));
    // SAFETY: less than two pages, and `memory` has as many.
    if unsafe { copy_from_user(memory, first as u32 & 0x1fff, from) }.is_err() {
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
        let page_read =
            unsafe { copy_from_user(memory.add(offset as usize), PAGE as u32, from + offset) };
        if page_read.is_err() {
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
pub(crate) fn take<M: Walks>(
    registers: Option<Registers>,
    slot: u32,
    scratch: &mut Scratch,
    process: ProcessId,
) {
    scratch.stack = Stack {
        frames: 0,
        end: StackEnd::NotTaken as u64,
        hash: stack_of(process),
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
