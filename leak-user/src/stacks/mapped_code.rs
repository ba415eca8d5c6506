//! Where a process has code mapped: what tables and symbols are looked up by.

use leak_common::unwind::FileKey;

use crate::{
    event::{CodeMapped, Unfinished},
    model::address::AddressRange,
};

/// A mapping with code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedCode {
    pub range: AddressRange,
    /// Of the range's start in the file, in bytes.
    pub offset: u64,
    /// `None` for code that the process made itself.
    pub file: Option<FileKey>,
}

impl MappedCode {
    /// Offset in the file of what lies at an address of the range.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> u64 {
        let within = address.wrapping_sub(self.range.start);
        self.offset.wrapping_add(within)
    }
}

impl From<&CodeMapped> for MappedCode {
    fn from(mapped: &CodeMapped) -> MappedCode {
        MappedCode {
            range: (mapped.start..mapped.end).into(),
            offset: mapped.offset,
            file: Some(mapped.file),
        }
    }
}

impl From<&Unfinished> for MappedCode {
    fn from(stack: &Unfinished) -> MappedCode {
        MappedCode {
            range: (stack.start..stack.end).into(),
            offset: stack.offset,
            file: Some(stack.file),
        }
    }
}
