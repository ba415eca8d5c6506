//! Whole stacks that a processor remembers.
//!
//! Where a walk leads depends on the registers it begins with, the words of the stack that it reads,
//! and the code that the process maps. Where all of these are unchanged, the walk has the same
//! result, and is not done again. Comparing costs a fraction of walking: no step waits for the one
//! before.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    ProcessId,
    identity::mix,
    limits::{MAX_FRAMES, REMEMBERED_STACKS},
    wire::StackEnd,
};

use super::{SLOTS, Scratch, StackScratch, code, walk::Walk, window::Window};
use crate::{
    registers::strip,
    verifier::{global, opaque},
};

/// Words that a walk may go by, a power of two; longer walks are not remembered.
const WORDS: usize = 128;

/// A walk that came to the outermost frame.
#[repr(C)]
pub(super) struct Recalled {
    /// Whose walk it was, 0 where nothing is remembered.
    process: u64,
    /// How often the process had mapped code then.
    changes: u64,
    /// The registers it set out from.
    instruction: u64,
    stack: u64,
    frame: u64,
    link: u64,
    /// All ones where it went by `frame`, else zero.
    frame_used: u64,
    /// All ones where it went by `link`, else zero.
    link_used: u64,
    /// What it came to.
    frames: u64,
    hash: u64,
    python_runtime: u64,
    python_layout: u64,
    /// How many words of the stack it went by.
    count: u64,
    /// How many bytes from the stack pointer on these words lie in, about.
    bytes: u64,
    /// The words, in the walk's order.
    words: [Word; WORDS],
}

/// Whole stacks that a processor remembers.
#[map]
static STACKS: PerCpuArray<Recalled> =
    PerCpuArray::with_max_entries(REMEMBERED_STACKS + SLOTS - 1, 0);

/// A word of the stack.
#[repr(C)]
#[derive(Clone, Copy)]
struct Word {
    /// Its bytes from the stack pointer on, a multiple of 8; [`RETURN`] or 0.
    place: u64,
    value: u64,
}

/// It is the return address of a frame.
pub(super) const RETURN: u64 = 1;

/// Where a processor remembers a walk that begins like this one. Those of the slots of the
/// scratch behind the first, which are rare, share one place each: their programs may interrupt
/// the others.
#[inline(always)]
fn place(walk: &Walk, slot: u64, process: u64) -> u32 {
    if slot != 0 {
        return REMEMBERED_STACKS + slot as u32 - 1;
    }
    const SHIFT: u32 = 64 - REMEMBERED_STACKS.ilog2();
    let hash = mix(process ^ walk.instruction, walk.stack);
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as u32
}

global! {
    fn recall_stack(slot, process) = recall;
    fn write_frames(slot) = write;
}

/// Whether the walk whose registers are in a slot of the scratch would be the one that
/// is remembered: then the stack is taken.
#[inline(always)]
fn recall(slot: u64, process: u64) -> u64 {
    let Some(scratch) = Scratch::of(slot) else {
        return 0;
    };
    let StackScratch { walk, window, .. } = &mut scratch.walk;
    window.clear();
    walk.changes = code::changes(ProcessId(process));
    let place = place(walk, slot, process);
    let Some(recalled) = STACKS.get(place) else {
        return 0;
    };
    if !recalled.is_again(walk, window, process) {
        return 0;
    }
    walk.python_runtime = recalled.python_runtime;
    walk.python_layout = recalled.python_layout;
    scratch.stack.frames = recalled.frames;
    scratch.stack.hash = recalled.hash;
    scratch.stack.end = StackEnd::Complete as u64;
    scratch.stack.recalled = u64::from(place) + 1;
    1
}

impl Recalled {
    /// Where this processor remembers a walk that begins like this one.
    #[inline(always)]
    pub(super) fn of(walk: &Walk, slot: u64, process: u64) -> Option<&'static mut Recalled> {
        let recalled = STACKS.get_ptr_mut(place(walk, slot, process))?;
        // SAFETY: this processor's entry, of plain numbers. One loaded program uses the slot,
        // and the kernel does not run a program that runs on the processor already.
        Some(unsafe { &mut *recalled })
    }

    /// Whether the walk would be this one again.
    #[inline(always)]
    fn is_again(&self, walk: &Walk, window: &mut Window, process: u64) -> bool {
        let mut differs = (self.process ^ process)
            | (self.changes ^ walk.changes)
            | (self.instruction ^ walk.instruction)
            | (self.stack ^ walk.stack)
            | (self.frame ^ walk.frame) & self.frame_used
            | (self.link ^ walk.link) & self.link_used;
        if differs != 0 {
            return false;
        }
        let base = walk.stack & !7;
        let mut index = 0;
        if window.open(base, self.bytes) {
            while index < WORDS {
                if index as u64 >= self.count {
                    break;
                }
                let Word { place, value } = self.words[index];
                differs |= window.at(place) ^ value;
                index += 1;
            }
            return differs == 0;
        }
        while index < WORDS {
            if index as u64 >= self.count {
                break;
            }
            let Word { place, value } = self.words[index];
            let address = base.wrapping_add(place & !RETURN);
            // In pairs, as the walk itself: it may be the last word of the stack.
            match window.pair(address.wrapping_sub(8)) {
                Ok(pair) if pair[1] == value => {}
                _ => return false,
            }
            index += 1;
        }
        true
    }

    /// Begins to note a walk.
    #[inline(always)]
    pub(super) fn begin(&mut self, walk: &Walk) {
        self.process = 0;
        self.instruction = walk.instruction;
        self.stack = walk.stack;
        self.frame = walk.frame;
        self.link = walk.link;
        self.frame_used = 0;
        self.link_used = 0;
        self.count = 0;
    }

    /// The walk goes by the word at an address, a return address if `which` is
    /// [`RETURN`]; if `used` is 1, and not if it is 0, which spares the caller a branch.
    #[inline(always)]
    pub(super) fn word(&mut self, address: u64, which: u64, value: u64, used: u64) {
        let index = opaque(self.count) & (WORDS as u64 - 1);
        let word = &mut self.words[index as usize];
        word.place = address.wrapping_sub(self.stack & !7) & !7 | which;
        word.value = value;
        self.count += used;
    }

    /// The walk goes by the frame pointer, if `used` is all ones.
    #[inline(always)]
    pub(super) fn frame(&mut self, walk: &Walk, used: u64) {
        self.frame_used |= used & walk.frame_untouched;
        self.word(
            walk.frame_from,
            0,
            walk.frame,
            used & !walk.frame_untouched & 1,
        );
    }

    /// The walk goes by the register that may hold the return address.
    #[inline(always)]
    pub(super) fn link(&mut self) {
        self.link_used = u64::MAX;
    }

    /// The walk has come to the outermost frame.
    #[inline(always)]
    pub(super) fn complete(&mut self, walk: &Walk, process: u64, frames: u64) {
        // One place is left: a word that is not gone by is written behind the last.
        if self.count < WORDS as u64 {
            // The frames lie one above the other.
            let last = opaque(self.count.wrapping_sub(1)) & (WORDS as u64 - 1);
            self.bytes = (self.words[last as usize].place & !RETURN) + 8;
            self.changes = walk.changes;
            self.frames = frames;
            self.hash = walk.hash();
            self.python_runtime = walk.python_runtime;
            self.python_layout = walk.python_layout;
            self.process = process;
        }
    }
}

/// Writes out the frames of the stack in a slot of the scratch, if it was recalled.
#[inline(always)]
fn write(slot: u64) -> u64 {
    let Some(scratch) = Scratch::of(slot) else {
        return 0;
    };
    let Some(recalled) = STACKS.get((scratch.stack.recalled as u32).wrapping_sub(1)) else {
        return 0;
    };
    scratch.stack.recalled = 0;
    let frames = &mut scratch.site.rest;
    frames[0] = recalled.instruction;
    frames[1] = strip(recalled.link);
    let mut frame = 1 + (recalled.link_used & 1);
    let mut index = 0;
    while index < WORDS {
        if index as u64 >= recalled.count {
            break;
        }
        let Word { place, value } = recalled.words[index];
        frames[(opaque(frame) & MAX_FRAMES as u64) as usize] = strip(value);
        frame += place & RETURN;
        index += 1;
    }
    0
}
