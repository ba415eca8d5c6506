//! Finishes the walk of a stack that the programs had to stop because a table was missing. The
//! steps are the same, in the memory that the programs sent along. The programs' half is
//! `leak-ebpf/src/stack/walk.rs`.

use leak_common::{
    limits::MAX_FRAMES,
    unwind::{Rule, cfa, frame_pointer, return_address},
    wire::StackEnd,
};

use crate::event::Registers;

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Code, and how its caller is found; [`Rule::CHECKED`] where that is not known.
    Rule(Rule),
    /// Code of a file whose tables are not there.
    NoTable,
    /// No code.
    Nothing,
}

/// A frame further away than this is not a frame.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// Offsets in the frame that a signal handler returns to (x86-64: `struct ucontext`;
/// aarch64: `struct rt_sigframe`): link, frame pointer, stack pointer, instruction.
const SIGNAL_FRAME: [u64; 4] = if cfg!(target_arch = "aarch64") {
    [552, 544, 560, 568]
} else {
    [104, 120, 160, 168]
};

/// The addresses that a frame and its callers return to, innermost first, beginning
/// with the caller of `last`, and why there are no more. `taken` frames are known
/// already. `memory` is the stack from the stack pointer of `last` on.
#[must_use]
pub fn finish(
    last: Registers,
    taken: usize,
    memory: &[u8],
    mut code: impl FnMut(u64) -> Lookup,
) -> (Vec<u64>, StackEnd) {
    let memory = StackMemory {
        start: last.stack,
        bytes: memory,
    };
    let mut frames = Vec::new();
    let mut at = last;
    loop {
        let address = at.instruction.wrapping_sub(u64::from(at.after_call));
        let rule = match code(address) {
            Lookup::Rule(rule) => rule,
            Lookup::NoTable => return (frames, StackEnd::NoTable),
            Lookup::Nothing => {
                // What was taken for a caller is none.
                frames.pop();
                return (frames, StackEnd::Broken);
            }
        };
        match caller(at, rule, &memory) {
            Ok(caller) => at = caller,
            Err(end) => return (frames, end),
        }
        if taken + frames.len() >= MAX_FRAMES {
            return (frames, StackEnd::TooDeep);
        }
        frames.push(at.instruction);
    }
}

struct StackMemory<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl StackMemory<'_> {
    fn word(&self, address: u64) -> Result<u64, StackEnd> {
        address
            .checked_sub(self.start)
            .and_then(|offset| self.bytes.get(usize::try_from(offset).ok()?..))
            .and_then(|bytes| bytes.first_chunk())
            .map(|bytes| u64::from_ne_bytes(*bytes))
            .ok_or(StackEnd::Unreadable)
    }
}

fn caller(at: Registers, rule: Rule, memory: &StackMemory<'_>) -> Result<Registers, StackEnd> {
    let offset = i64::from(rule.cfa_offset).cast_unsigned();
    let loaded = |base: u64| {
        let loaded = memory.word(base.wrapping_add(offset))?;
        Ok(loaded.wrapping_add(u64::from(rule.cfa_addend)))
    };
    let cfa = match rule.cfa {
        cfa::STACK_POINTER => at.stack.wrapping_add(offset),
        cfa::FRAME_POINTER => at.frame.wrapping_add(offset),
        cfa::PLT => at.stack + if at.instruction & 15 >= offset { 16 } else { 8 },
        cfa::LOADED_BY_STACK_POINTER => loaded(at.stack)?,
        cfa::LOADED_BY_FRAME_POINTER => loaded(at.frame)?,
        cfa::END => return Err(StackEnd::Complete),
        cfa::SIGNAL => return interrupted(at, memory),
        cfa::CHECKED => return by_frame_pointer(at, memory),
        _ => return Err(StackEnd::Broken),
    };
    let saved = i64::from(rule.frame_pointer_offset).cast_unsigned();
    let frame = match rule.frame_pointer {
        frame_pointer::AT_CFA => memory.word(cfa.wrapping_add(saved)).unwrap_or(0),
        frame_pointer::AT_FRAME_POINTER => memory.word(at.frame.wrapping_add(saved)).unwrap_or(0),
        _ => at.frame,
    };
    let address = if rule.return_address == return_address::IN_REGISTER {
        at.link.ok_or(StackEnd::Broken)?
    } else {
        let saved = i64::from(rule.return_offset).cast_unsigned();
        memory.word(cfa.wrapping_add(saved))?
    };
    returned(address, cfa, frame)
}

fn returned(address: u64, stack: u64, frame: u64) -> Result<Registers, StackEnd> {
    // Pointer authentication (aarch64): user addresses have 48 bits.
    let instruction = if cfg!(target_arch = "aarch64") {
        address & 0xffff_ffff_ffff
    } else {
        address
    };
    if instruction == 0 {
        return Err(StackEnd::Complete);
    }
    Ok(Registers {
        instruction,
        stack,
        frame,
        link: None,
        after_call: true,
    })
}

fn by_frame_pointer(at: Registers, memory: &StackMemory<'_>) -> Result<Registers, StackEnd> {
    if at.frame == 0 {
        return Err(StackEnd::Complete);
    }
    let distance = at.frame.checked_sub(at.stack);
    if at.frame & 7 != 0 || distance.is_none_or(|distance| distance > MAX_FRAME_BYTES) {
        return Err(StackEnd::Broken);
    }
    let (frame, address) = (memory.word(at.frame)?, memory.word(at.frame + 8)?);
    returned(address, at.frame + 16, frame)
}

fn interrupted(at: Registers, memory: &StackMemory<'_>) -> Result<Registers, StackEnd> {
    let word = |offset: u64| memory.word(at.stack.wrapping_add(offset));
    let [link, frame, stack, instruction] = SIGNAL_FRAME;
    Ok(Registers {
        instruction: word(instruction)?,
        stack: word(stack)?,
        frame: word(frame)?,
        link: Some(word(link)?),
        after_call: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x7000_0000;

    fn memory(words: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        for (offset, word) in words {
            let at = *offset as usize;
            bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn plain(offset: i32) -> Rule {
        Rule {
            cfa: cfa::STACK_POINTER,
            frame_pointer: frame_pointer::SAME,
            return_address: return_address::AT_CFA,
            cfa_addend: 0,
            cfa_offset: offset,
            frame_pointer_offset: 0,
            return_offset: -8,
        }
    }

    fn last() -> Registers {
        Registers {
            instruction: 0x1001,
            stack: BASE,
            frame: 0,
            link: None,
            after_call: true,
        }
    }

    #[test]
    fn callers_are_found_to_the_outermost() {
        let memory = memory(&[(8, 0x2001), (24, 0x3001)]);
        let found = finish(last(), 1, &memory, |address| match address {
            0x1000 | 0x2000 => Lookup::Rule(plain(16)),
            0x3000 => Lookup::Rule(Rule {
                cfa: cfa::END,
                ..plain(0)
            }),
            _ => Lookup::Nothing,
        });
        assert_eq!(found, (vec![0x2001, 0x3001], StackEnd::Complete));
    }

    #[test]
    fn what_is_no_code_is_no_caller() {
        let memory = memory(&[(8, 0x2001)]);
        let found = finish(last(), 1, &memory, |address| match address {
            0x1000 => Lookup::Rule(plain(16)),
            _ => Lookup::Nothing,
        });
        assert_eq!(found, (vec![], StackEnd::Broken));
    }

    #[test]
    fn a_stack_that_turns_in_a_circle_ends() {
        let found = finish(last(), 1, &memory(&[(8, 0x1001)]), |_| {
            Lookup::Rule(Rule {
                cfa: cfa::LOADED_BY_STACK_POINTER,
                ..plain(0)
            })
        });
        assert_eq!(found.1, StackEnd::Unreadable);
        let found = finish(last(), 1, &memory(&[(8, 0x1001)]), |_| {
            Lookup::Rule(Rule {
                return_offset: 8,
                ..plain(0)
            })
        });
        assert_eq!(found.1, StackEnd::TooDeep);
        assert_eq!(found.0.len(), MAX_FRAMES - 1);
    }
}
