//! CodeObject objects and the strings they refer to, in a process's memory.

use super::{LineTable, NameLayout, line_table};
use crate::{proc::Memory, stacks::runtimes::Name};

/// `PyObject`: its type.
const OBJECT_TYPE: u64 = 8;
/// `PyVarObject`, and strings: number of items.
const LENGTH: u64 = 16;
/// `PyTypeObject`: address of its name.
const TYPE_NAME: u64 = 24;
/// `PyBytesObject`: its contents.
const BYTES: u64 = 32;
/// `PyASCIIObject`: its state. Bits 2 to 4 are the bytes of a character, bit 5 says
/// that the characters follow the header, bit 6 that all are ASCII.
const STRING_STATE: u64 = 32;

/// Longest name of a function or a file that is kept, in characters.
const MAX_CHARACTERS: usize = 1024;
/// Nothing that claims more is a string or a table.
const MAX_LENGTH: u64 = 1 << 24;
/// Longest line table that is read, in bytes.
const MAX_LINE_TABLE: u64 = 1 << 18;
/// No code object has an instruction beyond, in bytes.
const MAX_CODE: i64 = 1 << 24;

/// What tells whether there is still the same code object at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    file: u64,
    function: u64,
    lines: u64,
    first_line: u32,
}

/// A code object's names.
#[derive(Debug)]
pub(super) struct CodeObject {
    pub(super) head: Head,
    function: String,
    file: String,
    /// `None` if it could not be read; the table of a single line may be empty.
    lines: Option<Vec<u8>>,
}

impl Head {
    /// `None` if there is no code object at the address.
    pub(super) fn read(memory: &impl Memory, layout: &NameLayout, address: u64) -> Option<Head> {
        let last = layout
            .code_file
            .max(layout.code_function)
            .max(layout.code_lines)
            .max(layout.code_first_line);
        let object = memory.bytes(address, last as usize + 8)?;
        let head = Head {
            file: word(&object, layout.code_file)?,
            function: word(&object, layout.code_function)?,
            lines: word(&object, layout.code_lines)?,
            first_line: word(&object, layout.code_first_line)? as u32,
        };
        is_code(memory, word(&object, OBJECT_TYPE as u32)?).then_some(head)
    }
}

impl CodeObject {
    /// Reads what `head` refers to.
    pub(super) fn read(
        memory: &impl Memory,
        layout: &NameLayout,
        head: Head,
    ) -> Option<CodeObject> {
        Some(CodeObject {
            head,
            function: string(memory, layout, head.function)?,
            file: string(memory, layout, head.file)?,
            lines: read_lines(memory, head.lines),
        })
    }

    /// Names a place in this code, whose object is at `address`.
    pub(super) fn name(&self, layout: &NameLayout, address: u64, place: u64) -> Name {
        let first = self.head.first_line;
        let line = self.lines.as_ref().and_then(|table| {
            let offset = offset(layout, address, place)?;
            line_table::line(layout.lines, table, first, offset)
        });
        Name {
            function: self.function.clone(),
            file: self.file.clone(),
            line,
        }
    }

    /// Bytes that this takes.
    pub(super) fn size(&self) -> usize {
        size_of::<CodeObject>()
            + self.function.len()
            + self.file.len()
            + self.lines.as_ref().map_or(0, Vec::len)
    }
}

/// Bytes from the first instruction to the place, negative if none was run yet.
fn offset(layout: &NameLayout, address: u64, place: u64) -> Option<i64> {
    let offset = match layout.lines {
        LineTable::Increments => i64::from(place as u32 as i32),
        LineTable::Ranges => i64::from(place as u32 as i32) * 2,
        LineTable::Locations => {
            let first = address.wrapping_add(layout.code_instructions.into());
            place.wrapping_sub(first).cast_signed()
        }
    };
    (-2..MAX_CODE).contains(&offset).then_some(offset)
}

fn is_code(memory: &impl Memory, kind: u64) -> bool {
    let mut name = [0; 5];
    memory
        .word(kind.wrapping_add(TYPE_NAME))
        .is_some_and(|address| memory.read(address, &mut name) && &name == b"code\0")
}

fn read_lines(memory: &impl Memory, address: u64) -> Option<Vec<u8>> {
    let length = memory.word(address.wrapping_add(LENGTH))?;
    if length > MAX_LINE_TABLE {
        return None;
    }
    memory.bytes(address.wrapping_add(BYTES), length as usize)
}

/// A string; a long one is cut, with an ellipsis at its end.
fn string(memory: &impl Memory, layout: &NameLayout, address: u64) -> Option<String> {
    let header = memory.bytes(address, STRING_STATE as usize + 8)?;
    let length = word(&header, LENGTH as u32).filter(|length| *length <= MAX_LENGTH)? as usize;
    let state = word(&header, STRING_STATE as u32)?;
    let (width, compact, ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
    if !compact || (ascii && width != 1) {
        return None;
    }
    let start = if ascii {
        layout.ascii_characters
    } else {
        layout.other_characters
    };
    let kept = length.min(MAX_CHARACTERS);
    let bytes = memory.bytes(address.wrapping_add(start.into()), kept * width as usize)?;
    let mut text = match width {
        1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        2 => decode(bytes.as_chunks().0, |pair| u16::from_le_bytes(pair).into()),
        4 => decode(bytes.as_chunks().0, u32::from_le_bytes),
        _ => return None,
    };
    if kept < length {
        text.push('…');
    }
    Some(text)
}

/// Python's strings may have surrogates in them, which Rust's have not.
fn decode<const WIDTH: usize>(units: &[[u8; WIDTH]], number: fn([u8; WIDTH]) -> u32) -> String {
    units
        .iter()
        .map(|unit| char::from_u32(number(*unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn word(bytes: &[u8], at: u32) -> Option<u64> {
    let bytes = bytes.get(at as usize..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
