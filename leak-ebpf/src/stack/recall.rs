//! Whole stacks that a processor remembers. A walk's way depends on the registers it
//! sets out from, on the words of the stack that it goes by, and on the rules of its
//! space: where all of these are what they were, it comes to the same end. To compare
//! them costs a tenth of the walk, since no step waits for the one before.

use leak_common::{identity::mix, limits::REMEMBERED_STACKS, wire::StackEnd};

use super::{StackScratch, opaque, walk::Walk, window::Window};
use crate::{
    global::global,
    maps::{SCRATCH, STACKS},
    registers::strip,
};

/// Words that a walk may go by, a power of two; longer walks are not remembered.
const WORDS: usize = 128;

/// A walk that came to the outermost frame.
#[repr(C)]
pub(crate) struct Recalled {
    /// The registers it set out from, and its space: 0 where nothing is remembered.
    space: u64,
    instruction: u64,
    stack: u64,
    frame: u64,
    link: u64,
    /// All ones where it went by that register, else zero.
    frame_used: u64,
    link_used: u64,
    /// What it came to.
    frames: u64,
    hash: u64,
    /// How many words it went by, in its order, and about how many bytes from the stack
    /// pointer on they lie in.
    count: u64,
    bytes: u64,
    words: [Word; WORDS],
}

/// A word of the stack.
#[repr(C)]
#[derive(Clone, Copy)]
struct Word {
    /// Where it was read as a part of a pair: bytes from the stack pointer in the upper
    /// 62 bits, [`RETURN`] and [`SECOND`].
    place: u64,
    value: u64,
}

/// It is the return address of a frame.
pub(super) const RETURN: u64 = 2;
/// It is the second word of the pair.
pub(super) const SECOND: u64 = 1;

/// Where a processor would remember a walk that begins like this one. Those of the
/// second slot of the scratch, which are rare, share one place: its program may
/// interrupt the other's.
#[inline(always)]
pub(super) fn place(walk: &Walk, slot: u64) -> u32 {
    if slot != 0 {
        return REMEMBERED_STACKS;
    }
    const SHIFT: u32 = 64 - REMEMBERED_STACKS.ilog2();
    let hash = mix(mix(walk.space, walk.instruction), walk.stack);
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as u32
}

global! {
    fn recall_stack(slot, place) = recall;
    fn write_frames(slot) = write;
}

/// Whether the walk in a slot of the scratch would be the one in this place again:
/// then the stack is taken.
#[inline(always)]
fn recall(slot: u64, place: u64) -> u64 {
    let (Some(scratch), Some(recalled)) = (
        SCRATCH.get_ptr_mut(slot as u32),
        STACKS.get_ptr(place as u32),
    ) else {
        return 0;
    };
    // SAFETY: this CPU's, and one program uses each of them.
    let (scratch, recalled) = unsafe { (&mut *scratch, &*recalled) };
    let StackScratch { walk, window, .. } = &mut scratch.walk;
    if !recalled.is_again(walk, window) {
        return 0;
    }
    scratch.stack.frames = recalled.frames;
    scratch.stack.hash = recalled.hash;
    scratch.stack.end = StackEnd::Complete as u64;
    scratch.stack.recalled = place + 1;
    1
}

impl Recalled {
    /// Whether the walk would be this one again.
    #[inline(always)]
    fn is_again(&self, walk: &mut Walk, window: &mut Window) -> bool {
        let differs = (self.space ^ walk.space)
            | (self.instruction ^ walk.instruction)
            | (self.stack ^ walk.stack)
            | (self.frame ^ walk.frame) & self.frame_used
            | (self.link ^ walk.link) & self.link_used;
        if differs != 0 {
            return false;
        }
        window.open(walk.stack & !7, self.bytes);
        let mut index = 0;
        while index < WORDS {
            if index as u64 >= self.count {
                break;
            }
            let Word { place, value } = self.words[index];
            let offset = (place as i64 >> 2) as u64;
            let Ok(pair) = window.pair(walk.stack.wrapping_add(offset)) else {
                return false;
            };
            let second = (place & SECOND).wrapping_neg();
            if pair[0] ^ (pair[0] ^ pair[1]) & second != value {
                return false;
            }
            index += 1;
        }
        true
    }

    /// Begins to note a walk.
    #[inline(always)]
    pub(super) fn begin(&mut self, walk: &Walk) {
        self.space = 0;
        self.instruction = walk.instruction;
        self.stack = walk.stack;
        self.frame = walk.frame;
        self.link = walk.link;
        self.frame_used = 0;
        self.link_used = 0;
        self.count = 0;
    }

    /// The walk goes by a word of the pair at an address, if `used` is 1; 0 if it does
    /// not, which spares the caller a branch.
    #[inline(always)]
    pub(super) fn word(&mut self, address: u64, which: u64, value: u64, used: u64) {
        let index = opaque(self.count) & (WORDS as u64 - 1);
        let word = &mut self.words[index as usize];
        word.place = address.wrapping_sub(self.stack) << 2 | which;
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
    pub(super) fn complete(&mut self, walk: &Walk, frames: u64) {
        if self.count <= WORDS as u64 {
            // The frames lie one above the other.
            let last = opaque(self.count.wrapping_sub(1)) & (WORDS as u64 - 1);
            self.bytes = (self.words[last as usize].place >> 2) + 24;
            self.space = walk.space;
            self.frames = frames;
            self.hash = walk.hash();
        }
    }
}

/// Writes out the frames of the stack in a slot of the scratch, if it was recalled.
#[inline(always)]
fn write(slot: u64) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot as u32) else {
        return 0;
    };
    // SAFETY: this CPU's, and one program uses it.
    let scratch = unsafe { &mut *scratch };
    let Some(recalled) = STACKS.get_ptr((scratch.stack.recalled as u32).wrapping_sub(1)) else {
        return 0;
    };
    // SAFETY: as above.
    let recalled = unsafe { &*recalled };
    scratch.stack.recalled = 0;
    let frames = &mut scratch.frames;
    const LAST: u64 = leak_common::limits::MAX_FRAMES as u64;
    frames[0] = recalled.instruction;
    frames[1] = strip(recalled.link);
    let mut frame = 1 + (recalled.link_used & 1);
    let mut index = 0;
    while index < WORDS {
        if index as u64 >= recalled.count {
            break;
        }
        let Word { place, value } = recalled.words[index];
        frames[(opaque(frame) & LAST) as usize] = strip(value);
        frame += place / RETURN & 1;
        index += 1;
    }
    0
}
