//! The machines whose code is understood, and the numbers DWARF gives their registers.

use gimli::Register;

/// Machines whose code is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// DWARF's number of the stack pointer.
    pub(super) fn stack_pointer(self) -> Register {
        match self {
            Machine::X86_64 => Register(7),
            Machine::Aarch64 => Register(31),
        }
    }

    /// DWARF's number of the frame pointer.
    pub(super) fn frame_pointer(self) -> Register {
        match self {
            Machine::X86_64 => Register(6),
            Machine::Aarch64 => Register(29),
        }
    }

    /// DWARF's number of the column for the return address.
    pub(super) fn return_address(self) -> Register {
        match self {
            Machine::X86_64 => Register(16),
            Machine::Aarch64 => Register(30),
        }
    }
}
