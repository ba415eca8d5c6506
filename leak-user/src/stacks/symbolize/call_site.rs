//! Which instruction a frame's address stands for. An address that a call returns to lies
//! behind the call, so the instruction is the one before it. Where a function was entered, or
//! a signal came in, the address is that of the instruction itself. The code around the
//! address tells these cases apart.

use std::{fs::File, os::unix::fs::FileExt};

/// What lies around an address, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surroundings {
    /// A system call ends there.
    AfterSystemCall,
    /// The code that returns from a signal handler begins there: the kernel made
    /// the handler's frame, nothing called it.
    SignalReturn,
    Other,
}

/// How a frame came to be, as far as the frames before it tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Where the program was seen: behind a system call, or at the start of a
    /// function.
    Innermost,
    /// Where a call returns to.
    Caller,
    /// Where a signal came in.
    Interrupted,
}

impl Role {
    /// Whether the instruction begins at the address, and does not end there.
    /// `starts_function` says whether a function begins there, and is asked only
    /// where it matters.
    pub(super) fn is_exact(
        self,
        code: Surroundings,
        starts_function: impl FnOnce() -> bool,
    ) -> bool {
        match (self, code) {
            (Role::Interrupted, _) | (_, Surroundings::SignalReturn) => true,
            (Role::Innermost, Surroundings::Other) => starts_function(),
            (Role::Innermost, Surroundings::AfterSystemCall) | (Role::Caller, _) => false,
        }
    }
}

#[cfg(target_arch = "x86_64")]
const SYSTEM_CALLS: &[&[u8]] = &[&[0x0f, 0x05], &[0x0f, 0x34], &[0xcd, 0x80]];
/// `mov $15, %rax; syscall`, and the same with `%eax`.
#[cfg(target_arch = "x86_64")]
const SIGNAL_RETURNS: &[&[u8]] = &[
    &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
    &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05],
];

/// `svc #0`.
#[cfg(not(target_arch = "x86_64"))]
const SYSTEM_CALLS: &[&[u8]] = &[&[0x01, 0, 0, 0xd4]];
/// `mov x8, #139; svc #0`.
#[cfg(not(target_arch = "x86_64"))]
const SIGNAL_RETURNS: &[&[u8]] = &[&[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4]];

impl Surroundings {
    /// Looks at the code at an offset of a file.
    pub(super) fn at(file: &File, offset: u64) -> Surroundings {
        let mut after = [0; 9];
        // Also where the file ends there: the rest stays zero.
        let length = file.read_at(&mut after, offset).unwrap_or(0);
        let after = &after[..length];
        if SIGNAL_RETURNS.iter().any(|code| after.starts_with(code)) {
            return Surroundings::SignalReturn;
        }
        let ends_before = |code: &&[u8]| {
            let mut before = [0; 4];
            let before = &mut before[..code.len()];
            let start = offset.checked_sub(code.len() as u64);
            start.is_some_and(|start| file.read_exact_at(before, start).is_ok()) && before == *code
        };
        match SYSTEM_CALLS.iter().any(ends_before) {
            true => Surroundings::AfterSystemCall,
            false => Surroundings::Other,
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    #[test]
    fn code_around_an_address_is_recognized() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"\x90\x0f\x05\x48\xc7\xc0\x0f\0\0\0\x0f\x05\xc3")
            .unwrap();
        assert_eq!(Surroundings::at(&file, 0), Surroundings::Other);
        assert_eq!(Surroundings::at(&file, 1), Surroundings::Other);
        assert_eq!(Surroundings::at(&file, 3), Surroundings::SignalReturn);
        assert_eq!(Surroundings::at(&file, 12), Surroundings::AfterSystemCall);
        assert_eq!(Surroundings::at(&file, 13), Surroundings::Other);
        assert_eq!(Surroundings::at(&file, u64::MAX), Surroundings::Other);
    }

    #[test]
    fn only_callers_and_system_calls_lie_before_their_address() {
        for (role, code, starts_function, exact) in [
            (Role::Innermost, Surroundings::AfterSystemCall, true, false),
            (Role::Innermost, Surroundings::Other, true, true),
            (Role::Innermost, Surroundings::Other, false, false),
            (Role::Caller, Surroundings::Other, true, false),
            (Role::Caller, Surroundings::AfterSystemCall, true, false),
            (Role::Caller, Surroundings::SignalReturn, false, true),
            (
                Role::Interrupted,
                Surroundings::AfterSystemCall,
                false,
                true,
            ),
            (Role::Interrupted, Surroundings::Other, false, true),
        ] {
            assert_eq!(
                role.is_exact(code, || starts_function),
                exact,
                "{role:?} {code:?}"
            );
        }
    }
}
