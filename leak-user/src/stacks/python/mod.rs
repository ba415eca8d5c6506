//! CPython: where an interpreter keeps its frames, and what its code is called.
//!
//! [`detect()`] tells from a file's bytes whether there is an interpreter in it and
//! where its structures are; the programs walk the frames with that at the moment of
//! an acquisition. [`Names`] reads later, from the process's memory, what the code is
//! called, and [`merge()`] puts native frames and the interpreter's into one stack.

mod code;
mod detect;
mod elf;
mod eval;
mod layout;
mod lines;
mod memory;
mod merge;
mod names;

#[cfg(test)]
mod live_tests;

use std::ops::Range;

pub use code::PythonName;
pub use detect::detect;
use leak_common::unwind::PythonLayout;
pub use memory::{Memory, ProcessMemory};
pub use merge::{Merged, entries, merge};
pub use names::Names;

/// An interpreter found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Major and minor number.
    pub version: (u8, u8),
    /// Where `_PyRuntime` is, in bytes from where the file's beginning would be mapped
    /// by the segment with the interpreter's code (a mapping's start minus its file
    /// offset).
    pub runtime_offset: u64,
    /// What the programs need to walk its frames.
    pub layout: PythonLayout,
    /// What user space needs to name them.
    pub names: NameLayout,
    /// File offsets of the code of the function that runs Python code; it may be in
    /// parts. Empty if it is not known.
    pub eval_ranges: Vec<Range<u64>>,
}

impl Interpreter {
    /// Is the code at this file offset the function that runs Python code?
    #[must_use]
    pub fn is_eval(&self, file_offset: u64) -> bool {
        self.eval_ranges
            .iter()
            .any(|range| range.contains(&file_offset))
    }
}

/// Byte offsets in code objects, strings and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameLayout {
    /// How places in the code are turned into lines.
    pub lines: LineTable,
    /// `PyCodeObject`: the file's name, the function's, the line table, the first line,
    /// and the instructions (absent where a place is an index).
    pub code_file: u32,
    pub code_function: u32,
    pub code_lines: u32,
    pub code_first_line: u32,
    pub code_instructions: u32,
    /// Where the characters of a string begin if all are ASCII, and if not.
    pub ascii_characters: u32,
    pub other_characters: u32,
}

/// The forms of a code object's line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineTable {
    /// `co_lnotab`; a place is a number of bytes (to 3.9).
    Increments,
    /// `co_linetable` of PEP 626; a place is a number of instructions (3.10).
    Ranges,
    /// `co_linetable` of PEP 657; a place is the address of the last instruction
    /// (3.11 on).
    Locations,
}
