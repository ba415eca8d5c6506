//! Why a file has no table.

use std::fmt;

/// Why there is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The bytes are no ELF file, or its headers are cut off.
    NotElf,
    /// 32 bits, big-endian, or this `e_machine`: neither x86-64 nor aarch64.
    Machine(u16),
    /// No executable segment with bytes in the file.
    NoCode,
    /// The executable segments span more of the file than a table may.
    Spread,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::NotElf => f.write_str("no ELF file, or cut off"),
            TableError::Machine(machine) => write!(
                f,
                "ELF file for another machine than x86-64 and aarch64 (machine {machine})"
            ),
            TableError::NoCode => f.write_str("ELF file without code"),
            TableError::Spread => f.write_str("ELF file whose code is spread too far"),
        }
    }
}

impl std::error::Error for TableError {}
