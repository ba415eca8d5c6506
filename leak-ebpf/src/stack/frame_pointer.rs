//! Walks the chain of frame pointers. Right for programs compiled with them;
//! for others it stops where the chain stops being one.

use aya_ebpf::helpers::bpf_probe_read_user;
use leak_common::{limits::MAX_FRAMES, wire::StackEnd};

use super::{Stack, mix};
use crate::registers::Registers;

/// A frame further away than this is not a frame.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// Below lies nothing that can be executed (vm.mmap_min_addr).
const LOWEST_CODE: u64 = 4096;

#[inline(always)]
pub(super) fn walk(registers: Registers, frames: &mut [u64; MAX_FRAMES + 1], seed: u64) -> Stack {
    let instruction = registers.instruction();
    let mut hash = mix(seed, instruction);
    let mut low = registers.stack();
    let mut frame = registers.frame();
    let mut end = StackEnd::TooDeep;
    frames[0] = instruction;
    let mut taken = 1;
    while taken < MAX_FRAMES {
        if frame == 0 {
            end = StackEnd::Complete;
            break;
        }
        if frame < low || frame & 7 != 0 || frame - low > MAX_FRAME_BYTES {
            end = StackEnd::Broken;
            break;
        }
        // The caller's frame pointer, and above it the address to return to: the
        // same on both architectures.
        let Ok([caller, address]) = (unsafe { bpf_probe_read_user(frame as *const [u64; 2]) })
        else {
            end = StackEnd::Unreadable;
            break;
        };
        if address < LOWEST_CODE {
            end = if address == 0 {
                StackEnd::Complete
            } else {
                StackEnd::Broken
            };
            break;
        }
        frames[taken] = address;
        hash = mix(hash, address);
        taken += 1;
        low = frame + 16;
        frame = caller;
    }
    Stack {
        frames: taken as u64,
        end: end as u64,
        hash,
    }
}
