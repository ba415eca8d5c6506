//! Finds the code that ends signal handlers where no call frame information tells of
//! it: in musl on x86-64, and in the kernel's vDSO on aarch64, which hides it since
//! Linux 5.8 because unwinders stumbled over it.

use super::machine::Machine;

/// Most code that is searched; the C libraries with such code are smaller.
const MAX_SEARCHED: usize = 1 << 21;

/// `mov $15, %rax; syscall`, as assemblers and C libraries write it, but its last byte.
const X86_64: [u8; 8] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f];
/// `mov x8, #139; svc #0`.
const AARCH64: [u8; 8] = [0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];

/// The places in `code` (start and end) that return from signals. They begin a byte
/// early: callers are looked up one byte before the address they return to.
pub(super) fn find(machine: Machine, code: &[u8]) -> Vec<(usize, usize)> {
    if code.len() > MAX_SEARCHED {
        return Vec::new();
    }
    let (pattern, rest): (_, &[u8]) = match machine {
        Machine::X86_64 => (&X86_64, &[0x05]),
        Machine::Aarch64 => (&AARCH64, &[]),
    };
    // Comparing arrays of eight is much faster than comparing slices.
    let found = code.array_windows().enumerate();
    found
        .filter(|(_, window)| *window == pattern)
        .map(|(start, window)| (start, start + window.len()))
        .filter(|&(_, end)| code[end..].starts_with(rest))
        .map(|(start, end)| (start.saturating_sub(1), end + rest.len()))
        .collect()
}
