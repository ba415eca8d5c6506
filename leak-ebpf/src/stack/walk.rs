//! From frame to frame: applies the rule of each address, and notes what the walk went by, so that
//! `recall` can tell next time whether it would be the same. Which rule holds is for `rules`.

use leak_common::{
    ProcessId,
    identity::{stack_of, with_frame},
    limits::MAX_FRAMES,
    unwind::{cfa, frame_pointer, return_address},
    wire::StackEnd,
};

use super::{
    Scratch, StackScratch,
    code::{self, CodeSpace},
    mapping::{ByLock, ByTree},
    recall::{RETURN, Recalled},
    rules::{self, LooksUp, Remembered, Words},
    window::Window,
};
use crate::{
    memory::user,
    registers::{Registers, signal_frame, strip},
    verifier::{fresh, global, mask_less},
};

/// Where a walk is. It is kept in a map, so that the verifier does not follow the
/// values from frame to frame: it would never come to an end.
#[repr(C)]
pub(crate) struct Walk {
    pub(crate) instruction: u64,
    pub(crate) stack: u64,
    pub(crate) frame: u64,
    /// The register of `return_address::IN_REGISTER`.
    pub(crate) link: u64,
    /// 1 where `link` still holds what it held when this frame's function was entered,
    /// else 0.
    pub(crate) has_link: u64,
    /// All ones as long as `frame` is what the register held, then 0.
    pub(super) frame_untouched: u64,
    /// Address that `frame` was read from, 0 as long as it is the register's.
    pub(super) frame_from: u64,
    /// Not 0: the walk went by something that is not noted, so that it cannot be
    /// remembered.
    unnoted: u64,
    /// 1 where `instruction` follows a call: the call is what the rule is for.
    pub(crate) after_call: u64,
    /// How many of the last frames are in no code that is mapped: they are frames if
    /// their callers turn out to be.
    doubtful: u64,
    /// The hash before the doubtful frames.
    sure_hash: u64,
    /// The hash before this frame.
    hash_before: u64,
    /// What holds at `instruction`.
    pub(super) rule: Words,
    /// The canonical frame address.
    cfa: u64,
    end: u64,
    hash: u64,
    /// How often the process had mapped code when the walk set out.
    pub(super) changes: u64,
    /// Number of the process's space.
    pub(super) space: u64,
    pub(super) python_runtime: u64,
    pub(super) python_layout: u64,
    /// A space while it is made, with no interpreter in it.
    pub(super) fresh: CodeSpace,
}

/// A frame further away than this is not a frame.
const MAX_FRAME_BYTES: u64 = 1 << 20;

impl Walk {
    /// Sets out from the registers of a system call.
    #[inline(always)]
    pub(super) fn start(&mut self, registers: Registers, process: ProcessId) {
        self.instruction = registers.instruction();
        self.stack = registers.stack();
        self.frame = registers.frame();
        self.link = registers.link();
        self.has_link = 1;
        self.frame_untouched = u64::MAX;
        self.frame_from = 0;
        self.unnoted = 0;
        self.doubtful = 0;
        // The address follows the system call's instruction.
        self.after_call = 1;
        self.hash = stack_of(process);
        self.end = StackEnd::NotTaken as u64;
    }

    #[inline(always)]
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Takes the caller's frame pointer, which was read at an address.
    #[inline(always)]
    fn set_frame(&mut self, frame: u64, from: u64) {
        self.frame = frame;
        self.frame_from = from;
        self.frame_untouched = 0;
    }
}

/// A way to walk that the verifier walks by itself.
pub(crate) trait Walks: LooksUp {
    /// Walks the stack whose registers are in a slot of the scratch, and returns 0.
    fn walk(slot: u64, process: u64) -> u64;
}

global! {
    fn walk_by_lock(slot, process) = walk::<ByLock>;
    fn walk_by_tree(slot, process) = walk::<ByTree>;
}

impl Walks for ByLock {
    #[inline(always)]
    fn walk(slot: u64, process: u64) -> u64 {
        walk_by_lock(slot, process)
    }
}

impl Walks for ByTree {
    #[inline(always)]
    fn walk(slot: u64, process: u64) -> u64 {
        walk_by_tree(slot, process)
    }
}

/// Below lies nothing that can be executed (vm.mmap_min_addr).
const LOWEST_CODE: u64 = 4096;

/// Walks until the outermost frame, or to where there is no going on.
#[inline(always)]
fn walk<M: LooksUp>(slot: u64, process: u64) -> u64 {
    let (Some(scratch), Some(remembered)) = (Scratch::of(slot), Remembered::of(slot)) else {
        return 0;
    };
    let frames = &mut scratch.site.rest;
    let StackScratch { walk, window, .. } = &mut scratch.walk;
    code::space(ProcessId(process), walk);
    walk.end = StackEnd::TooDeep as u64;
    let Some(recalled) = Recalled::of(walk, slot, process) else {
        return 0;
    };
    // The frames lie above the stack pointer: the first read takes what is there, if
    // it was not read to recall it.
    let _ = window.pair(walk.stack & !7);
    recalled.begin(walk);
    let mut index = 0;
    while index < MAX_FRAMES {
        let instruction = walk.instruction;
        let address = instruction.wrapping_sub(walk.after_call);
        let end = rules::find::<M>(walk, remembered, slot, process, address);
        if end != 0 {
            // Code is code, also without tables.
            if index == 0 || end != StackEnd::Broken as u64 {
                frames[index] = instruction;
                walk.hash = with_frame(walk.hash, instruction);
                index += 1;
            }
            walk.end = end;
            break;
        }
        frames[index] = instruction;
        index += 1;
        walk.hash_before = walk.hash;
        walk.hash = with_frame(walk.hash, instruction);
        if let Err(end) = caller::<M>(
            walk,
            (window, recalled),
            remembered,
            (slot, process),
            index == 1,
        ) {
            if walk.doubtful != 0 {
                walk.hash = walk.sure_hash;
            }
            index -= walk.doubtful as usize;
            walk.end = end as u64;
            break;
        }
    }
    if walk.end == StackEnd::Complete as u64 && walk.unnoted == 0 {
        recalled.complete(walk, process, index as u64);
    }
    scratch.stack.frames = index as u64;
    scratch.stack.end = walk.end;
    scratch.stack.hash = walk.hash;
    0
}

/// Goes to the caller, as a rule says.
#[inline(always)]
fn caller<M: LooksUp>(
    walk: &mut Walk,
    (window, recalled): (&mut Window, &mut Recalled),
    remembered: &mut Remembered,
    (slot, process): (u64, u64),
    innermost: bool,
) -> Result<(), StackEnd> {
    let rule = fresh(&walk.rule);
    let way = rule[0] & 0xff;
    let offset = (rule[0] as i64 >> 32) as u64;
    let has_link = walk.has_link != 0;
    walk.has_link = 0;
    walk.cfa = if way & u64::from(cfa::RARE) == 0 {
        // All of this without a branch.
        let by_frame = (way & 1).wrapping_neg();
        recalled.frame(walk, by_frame);
        let by_plt = (way >> 1 & 1).wrapping_neg();
        let base = walk
            .stack
            .wrapping_add(walk.frame.wrapping_sub(walk.stack) & by_frame);
        let pushed = mask_less(walk.instruction & 15, offset & 31);
        let plt = 8 + (8 & !pushed);
        base.wrapping_add(offset & !by_plt | plt & by_plt)
    } else if way == u64::from(cfa::END) {
        return Err(StackEnd::Complete);
    } else if way == u64::from(cfa::SIGNAL) {
        walk.unnoted = 1;
        return interrupted(walk);
    } else if way == u64::from(cfa::UNMAPPED) {
        // Believed only if a function that keeps the frame pointer called it.
        walk.unnoted = 1;
        if innermost {
            return Err(StackEnd::Broken);
        }
        if walk.doubtful == 0 {
            walk.sure_hash = walk.hash_before;
        }
        walk.doubtful += 1;
        if walk.instruction < LOWEST_CODE {
            return Err(StackEnd::Broken);
        }
        by_frame_pointer(walk, window, recalled)?;
        let address = walk.instruction.wrapping_sub(1);
        if rules::find::<M>(walk, remembered, slot, process, address) != 0 {
            return Err(StackEnd::Broken);
        }
        let way = fresh(&walk.rule[0]) & 0xff;
        if way == u64::from(cfa::CHECKED) || way == u64::from(cfa::FRAME_POINTER) {
            walk.doubtful = 0;
        } else if way != u64::from(cfa::UNMAPPED) {
            return Err(StackEnd::Broken);
        }
        return Ok(());
    } else if way == u64::from(cfa::CHECKED) {
        if innermost {
            // A function that makes a system call and nothing else has no frame,
            // if what would be its return address is code.
            let address = without_frame(walk)?;
            let end = rules::find::<M>(walk, remembered, slot, process, address.wrapping_sub(1));
            let way = fresh(&walk.rule[0]) & 0xff;
            if end != StackEnd::Broken as u64 && way != u64::from(cfa::UNMAPPED) {
                if PUSHED == 0 {
                    recalled.link();
                } else {
                    recalled.word(walk.stack, RETURN, address, 1);
                }
                let stack = walk.stack.wrapping_add(PUSHED);
                return go(walk, address, stack);
            }
            walk.unnoted = 1;
        }
        return by_frame_pointer(walk, window, recalled);
    } else {
        walk.unnoted = 1;
        let base = if way & 1 == 0 { walk.stack } else { walk.frame };
        let Ok(loaded) = user::<u64>(base.wrapping_add(offset)) else {
            return Err(StackEnd::Unreadable);
        };
        loaded.wrapping_add(rule[0] >> 24 & 0xff)
    };
    let cfa = walk.cfa;
    let from = rule[1] as i32 as i64 as u64;
    let saved_frame = rule[0] >> 8 & 0xff;
    if rule[0] >> 16 & 0xff == u64::from(return_address::IN_REGISTER) {
        if !has_link {
            return Err(StackEnd::Broken);
        }
        if saved_frame == u64::from(frame_pointer::AT_CFA) {
            let at = cfa.wrapping_add(from);
            walk.set_frame(window.word(at), at);
        }
        recalled.link();
        return go(walk, walk.link, cfa);
    }
    // The frame pointer is nearly always saved right below the return address.
    let return_offset = (rule[1] as i64 >> 32) as u64;
    let below = return_offset.wrapping_sub(8);
    let Ok(pair) = window.pair(cfa.wrapping_add(below)) else {
        return Err(StackEnd::Unreadable);
    };
    recalled.word(cfa.wrapping_add(return_offset), RETURN, pair[1], 1);
    if saved_frame != u64::from(frame_pointer::SAME) {
        if saved_frame == u64::from(frame_pointer::AT_CFA) && from == below {
            walk.set_frame(pair[0], cfa.wrapping_add(from));
        } else {
            let base = if saved_frame == u64::from(frame_pointer::AT_CFA) {
                cfa
            } else {
                recalled.frame(walk, u64::MAX);
                walk.frame
            };
            let at = base.wrapping_add(from);
            walk.set_frame(window.word(at), at);
        }
    }
    go(walk, pair[1], cfa)
}

/// On with the frame that `address` returns to.
#[inline(always)]
fn go(walk: &mut Walk, address: u64, stack: u64) -> Result<(), StackEnd> {
    walk.instruction = strip(address);
    walk.stack = stack;
    walk.after_call = 1;
    if walk.instruction == 0 {
        return Err(StackEnd::Complete);
    }
    Ok(())
}

/// Bytes of the return address on the stack.
const PUSHED: u64 = if cfg!(bpf_target_arch = "x86_64") {
    8
} else {
    0
};

/// Where a function that has not touched the stack returns to.
#[inline(always)]
fn without_frame(walk: &Walk) -> Result<u64, StackEnd> {
    if PUSHED == 0 {
        return Ok(strip(walk.link));
    }
    user(walk.stack).map_err(|_| StackEnd::Unreadable)
}

/// A function with a frame pointer: the caller's is stored there, and above it the
/// return address, the same on both architectures.
#[inline(always)]
fn by_frame_pointer(
    walk: &mut Walk,
    window: &mut Window,
    recalled: &mut Recalled,
) -> Result<(), StackEnd> {
    let frame = walk.frame;
    recalled.frame(walk, u64::MAX);
    walk.has_link = 0;
    // The outermost frame by convention (System V ABI, AMD64, 3.4.1; AAPCS64, 6.2.3).
    if frame == 0 {
        return Err(StackEnd::Complete);
    }
    if frame < walk.stack || frame & 7 != 0 || frame - walk.stack > MAX_FRAME_BYTES {
        return Err(StackEnd::Broken);
    }
    let Ok(pair) = window.pair(frame) else {
        return Err(StackEnd::Unreadable);
    };
    recalled.word(frame + 8, RETURN, pair[1], 1);
    walk.set_frame(pair[0], frame);
    go(walk, pair[1], frame + 16)
}

/// The frame that a signal interrupted: every register is in the signal's frame.
#[inline(always)]
fn interrupted(walk: &mut Walk) -> Result<(), StackEnd> {
    let stack = walk.stack;
    let word = |offset: u64| user::<u64>(stack + offset);
    let (Ok(link), Ok(frame), Ok(pointer), Ok(instruction)) = (
        word(signal_frame::LINK),
        word(signal_frame::FP),
        word(signal_frame::SP),
        word(signal_frame::IP),
    ) else {
        return Err(StackEnd::Unreadable);
    };
    walk.link = link;
    walk.has_link = 1;
    walk.frame = frame;
    walk.stack = pointer;
    walk.instruction = instruction;
    walk.after_call = 0;
    Ok(())
}
