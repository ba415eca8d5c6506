//! The table by which Go's run time names its code (`pclntab`): functions, files
//! and lines. `strip` leaves it, so it names what nothing else does. Understood
//! are the layouts of Go 1.2, 1.16, 1.18 and 1.20, the last still current.
//!
//! The table is untrusted: every read is bounded, and damage gives no or wrong
//! names.

use super::elf::{u32_at, u64_at};

/// Most steps through the table of one function, and the longest text.
const MAX_STEPS: usize = 1 << 18;
const MAX_TEXT: usize = 4096;

/// Index of the table that says which inlined function an instruction is of.
const PCDATA_INLINE: u32 = 2;
/// Index of the reference to a function's tree of inlined functions.
const FUNCDATA_INLINE: u32 = 3;

/// Which version of the table, by its first Go release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Go1_2,
    Go1_16,
    Go1_18,
    Go1_20,
}

/// The table's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    version: Version,
    /// Size of the unit that instruction lengths are multiples of.
    quantum: u8,
    functions: u64,
    /// What addresses count from; 0 where the table does not say.
    pub(super) text: u64,
    /// Where in the table its parts begin.
    names: usize,
    units: usize,
    files: usize,
    values: usize,
    index: usize,
}

/// Bytes that are needed to read the header.
pub(super) const HEADER: usize = 72;

impl Header {
    /// Reads the header of a 64-bit program's table.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        let version = match u32_at(bytes, 0)? {
            0xffff_fffb => Version::Go1_2,
            0xffff_fffa => Version::Go1_16,
            0xffff_fff0 => Version::Go1_18,
            0xffff_fff1 => Version::Go1_20,
            _ => return None,
        };
        let [0, 0, quantum @ (1 | 2 | 4), 8] = *bytes.get(4..8)? else {
            return None;
        };
        let functions = u64_at(bytes, 8)?;
        let part = |at| usize::try_from(u64_at(bytes, at)?).ok();
        let header = match version {
            Version::Go1_2 => Header {
                version,
                quantum,
                functions,
                text: 0,
                names: 0,
                units: 0,
                // Behind the index; see `Pclntab::new`.
                files: 0,
                values: 0,
                index: 16,
            },
            Version::Go1_16 | Version::Go1_18 | Version::Go1_20 => {
                let with_text = version >= Version::Go1_18;
                let first = if with_text { 32 } else { 24 };
                Header {
                    version,
                    quantum,
                    functions,
                    text: if with_text { u64_at(bytes, 24)? } else { 0 },
                    names: part(first)?,
                    units: part(first + 8)?,
                    files: part(first + 16)?,
                    values: part(first + 24)?,
                    index: part(first + 32)?,
                }
            }
        };
        Some(header)
    }

    /// Entries of the index of functions, with the one that ends it.
    pub(super) fn index_entries(&self) -> u64 {
        self.functions.saturating_add(1)
    }

    /// Whether its addresses count from the start of the code.
    pub(super) fn is_relative(&self) -> bool {
        self.version >= Version::Go1_18
    }
}

/// A function of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where its description is.
    at: usize,
}

/// A function that was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inlined<'a> {
    pub(super) name: &'a str,
    /// Address of an instruction of the call that it stands for.
    pub(super) call: u64,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Pclntab {
    header: Header,
    bytes: Vec<u8>,
}

impl Pclntab {
    /// Takes the bytes of a table; `text` is the address of the code where the
    /// header does not say. `None` where they are none or its index is not whole.
    pub(super) fn new(bytes: Vec<u8>, text: u64) -> Option<Pclntab> {
        let mut header = Header::read(&bytes)?;
        if header.text == 0 {
            header.text = text;
        }
        let entry = if header.is_relative() { 8 } else { 16 };
        let size = usize::try_from(header.functions).ok()?.checked_mul(entry)?;
        let end = header.index.checked_add(size)?;
        // Ends in the address behind the last function.
        bytes.get(header.index..end.checked_add(entry / 2)?)?;
        if header.version == Version::Go1_2 {
            header.files = u32_at(&bytes, end + 8)? as usize;
        }
        Some(Pclntab { header, bytes })
    }

    /// The function that an address lies in.
    pub(super) fn function(&self, address: u64) -> Option<Function> {
        let (mut low, mut high) = (0, self.header.functions);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.start(middle)? <= address {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let index = low.checked_sub(1)?;
        let function = self.by_index(index)?;
        (address < function.end).then_some(function)
    }

    /// All functions that are described.
    pub(super) fn functions(&self) -> impl Iterator<Item = Function> {
        (0..self.header.functions).filter_map(|index| self.by_index(index))
    }

    fn by_index(&self, index: u64) -> Option<Function> {
        let at = match self.header.is_relative() {
            true => u64::from(self.u32(self.header.index + index as usize * 8 + 4)?),
            false => self.u64(self.header.index + index as usize * 16 + 8)?,
        };
        let base = match self.header.version {
            Version::Go1_2 => 0,
            Version::Go1_16 | Version::Go1_18 | Version::Go1_20 => self.header.index,
        };
        Some(Function {
            start: self.start(index)?,
            end: self.start(index + 1)?,
            at: base.checked_add(usize::try_from(at).ok()?)?,
        })
    }

    /// First address of a function, or behind the last one.
    fn start(&self, index: u64) -> Option<u64> {
        let index = usize::try_from(index).ok()?;
        match self.header.is_relative() {
            true => {
                let offset = self.u32(self.header.index + index * 8)?;
                Some(self.header.text.wrapping_add(u64::from(offset)))
            }
            false => self.u64(self.header.index + index * 16),
        }
    }

    /// The function's name, with its package's import path.
    pub(super) fn name(&self, function: &Function) -> Option<&str> {
        self.name_at(self.field(function, 0)?)
    }

    /// File and line of an instruction.
    pub(super) fn line(&self, function: &Function, address: u64) -> Option<(&str, u32)> {
        let file = self.value(function, self.field(function, 16)?, address)?;
        let line = self.value(function, self.field(function, 20)?, address)?;
        let file = usize::try_from(file).ok()?;
        let entry =
            |table: usize, index: usize| self.u32(table.checked_add(index.checked_mul(4)?)?);
        let at = match self.header.version {
            Version::Go1_2 => entry(self.header.files, file)? as usize,
            Version::Go1_16 | Version::Go1_18 | Version::Go1_20 => {
                let unit = self.field(function, 28)? as usize;
                let offset = entry(self.header.units, unit.checked_add(file)?)?;
                self.header.files.checked_add(offset as usize)?
            }
        };
        let line = u32::try_from(line).ok().filter(|line| *line > 0)?;
        Some((self.text(at)?, line))
    }

    /// Which inlined function an instruction is of, as index into the tree of the
    /// function; `None` where it is of the function itself.
    pub(super) fn inline_index(&self, function: &Function, address: u64) -> Option<u32> {
        if !self.header.is_relative() || self.field(function, 24)? <= PCDATA_INLINE {
            return None;
        }
        let table = self.field(function, self.description() + 4 * PCDATA_INLINE as usize)?;
        u32::try_from(self.value(function, table, address)?).ok()
    }

    /// Where the function's tree of inlined functions lies, from the start of all
    /// such data.
    pub(super) fn inline_tree(&self, function: &Function) -> Option<u32> {
        if !self.header.is_relative() {
            return None;
        }
        let count = self.description() - 1;
        let count = *self.bytes.get(self.place(function, count)?)?;
        let tables = self.field(function, 24)?;
        if tables > 1024 || u32::from(count) <= FUNCDATA_INLINE {
            return None;
        }
        let at = self.description() + 4 * (tables + FUNCDATA_INLINE) as usize;
        self.field(function, at).filter(|tree| *tree != u32::MAX)
    }

    /// Size of an entry of a tree of inlined functions.
    pub(super) fn inlined_size(&self) -> usize {
        if self.header.version == Version::Go1_20 {
            16
        } else {
            20
        }
    }

    /// Reads an entry of a tree of inlined functions of this function. `None` also
    /// where it cannot be one.
    pub(super) fn inlined(&self, function: &Function, entry: &[u8]) -> Option<Inlined<'_>> {
        let (name, call) = match self.header.version {
            Version::Go1_20 => (u32_at(entry, 4)?, u32_at(entry, 8)?),
            Version::Go1_2 | Version::Go1_16 | Version::Go1_18 => {
                (u32_at(entry, 12)?, u32_at(entry, 16)?)
            }
        };
        let at = self.header.names.checked_add(name as usize)?;
        // Texts follow one another: before one lies the end of another.
        let is_start = name == 0 || self.bytes.get(at - 1) == Some(&0);
        let call = function.start.checked_add(u64::from(call))?;
        let name = self
            .name_at(name)
            .filter(|name| is_start && !name.is_empty())?;
        (call < function.end).then_some(Inlined { name, call })
    }

    /// Bytes of memory it takes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Size of a function's description behind its address, before its tables.
    fn description(&self) -> usize {
        if self.header.version == Version::Go1_20 {
            40
        } else {
            36
        }
    }

    /// A place in a function's description behind its address.
    fn place(&self, function: &Function, at: usize) -> Option<usize> {
        let address = if self.header.is_relative() { 4 } else { 8 };
        function.at.checked_add(address + at)
    }

    fn field(&self, function: &Function, at: usize) -> Option<u32> {
        self.u32(self.place(function, at)?)
    }

    /// The value at an address of a table of differences: signed difference of the
    /// value, number of instruction units it is valid for.
    fn value(&self, function: &Function, table: u32, address: u64) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut at = self.header.values.checked_add(table as usize)?;
        let mut pc = function.start;
        let mut value = -1i32;
        for step in 0..MAX_STEPS {
            let difference = self.varint(&mut at)?;
            if difference == 0 && step > 0 {
                return None;
            }
            // The lowest bit is the sign.
            let sign = -((difference & 1) as i32);
            value = value.wrapping_add((difference >> 1) as i32 ^ sign);
            let units = self.varint(&mut at)?;
            pc = pc.checked_add(u64::from(units) * u64::from(self.header.quantum))?;
            if address < pc {
                return Some(value);
            }
        }
        None
    }

    /// Reads a number of 7 bits to the byte, lowest first.
    fn varint(&self, at: &mut usize) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(*at)?;
            *at += 1;
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn name_at(&self, offset: u32) -> Option<&str> {
        self.text(self.header.names.checked_add(offset as usize)?)
    }

    /// A text that ends in a zero byte.
    fn text(&self, at: usize) -> Option<&str> {
        let bytes = self.bytes.get(at..)?;
        let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
        let end = bytes.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&bytes[..end]).ok()
    }

    fn u32(&self, at: usize) -> Option<u32> {
        u32_at(&self.bytes, at)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        u64_at(&self.bytes, at)
    }
}

#[cfg(test)]
#[path = "pclntab_tests.rs"]
pub(super) mod tests;
