//! CPython: where an interpreter keeps its frames, and what its code is called.
//!
//! [`detect()`] tells from a file's bytes whether there is an interpreter in it and
//! where its structures are; the programs walk the frames with that at the moment of
//! an acquisition. [`Names`] reads later, from the process's memory, what the code is
//! called.

mod code_object;
mod detect;
mod eval;
mod function_frames;
mod layout;
mod line_table;
mod names;

#[cfg(test)]
mod live_tests;

use std::ops::Range;

use leak_common::unwind::PythonLayout;

pub use detect::detect;
pub use function_frames::function_frames;
pub use layout::{LineTable, NameLayout};
pub use names::Names;

use crate::model::{hex::Hex, report::Frame};

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
    /// Whether a native frame is one of the function that runs Python code: by its symbol, or
    /// by its place in the file where that has no symbols.
    #[must_use]
    pub fn runs_in(&self, native: &Frame) -> bool {
        if native.symbol == eval::NAME {
            return true;
        }
        let file = native.module.rsplit('/').next().unwrap_or_default();
        let offset = native.module_offset.map(|Hex(offset)| offset);
        // The frame's address is the one to return to.
        file.contains("python")
            && offset.is_some_and(|offset| self.is_eval(offset.saturating_sub(1)))
    }

    /// Whether the code at this file offset is the function that runs Python code.
    fn is_eval(&self, file_offset: u64) -> bool {
        self.eval_ranges
            .iter()
            .any(|range| range.contains(&file_offset))
    }

    /// One of a version up to 3.12 whose code is not known.
    #[cfg(test)]
    pub(super) fn of_version(minor: u8) -> Interpreter {
        let (layout, names) = layout::of_version(minor).expect("its layout is known");
        Interpreter {
            version: (3, minor),
            runtime_offset: 0,
            layout,
            names,
            eval_ranges: Vec::new(),
        }
    }
}
