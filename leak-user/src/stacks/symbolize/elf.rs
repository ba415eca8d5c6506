//! The headers of an ELF file, read with bounds. What they say is never trusted:
//! the file belongs to the user who runs it, and may change while it is read.

use std::{fs::File, os::unix::fs::FileExt};

/// Most of each kind of header, and most bytes of the section names and notes.
const MAX_SEGMENTS: usize = 1024;
const MAX_SECTIONS: u64 = 65_536;
const MAX_NAMES: u64 = 4 << 20;
const MAX_NOTES: u64 = 64 * 1024;

/// Sizes in a 64-bit file.
const HEADER: usize = 64;
const SEGMENT: usize = 56;
const SECTION: usize = 64;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PF_W: u32 = 2;
const NT_GNU_BUILD_ID: u32 = 3;

/// The headers of a program or library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// The file's first bytes as they are.
    pub(super) header: [u8; HEADER],
    pub(super) sections: Vec<Section>,
    /// In hexadecimal.
    pub(super) build_id: Option<String>,
    pub(super) loads: Vec<Load>,
    /// What the dynamic loader reads.
    pub(super) dynamic: Option<Load>,
}

/// A loaded segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) offset: u64,
    pub(super) address: u64,
    /// In the file, bytes.
    pub(super) size: u64,
    pub(super) writable: bool,
}

/// A section, its bytes elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) info: u32,
    pub(super) entry_size: u64,
}

impl Elf {
    /// Reads the headers. `None` unless it is a 64-bit program or library of this
    /// host's byte order. Broken section headers are as good as none.
    pub(super) fn read(file: &File) -> Option<Elf> {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let order = if cfg!(target_endian = "little") { 1 } else { 2 };
        let is_ours = header.starts_with(&[0x7f, b'E', b'L', b'F', 2, order]);
        if !is_ours || !matches!(u16_at(&header, 16)?, ET_EXEC | ET_DYN) {
            return None;
        }
        let mut elf = Elf {
            header,
            sections: Vec::new(),
            build_id: None,
            loads: Vec::new(),
            dynamic: None,
        };
        elf.read_segments(file)?;
        elf.sections = read_sections(file, &header).unwrap_or_default();
        Some(elf)
    }

    /// The address in the file's own address space of a byte of the file.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let within = offset.checked_sub(load.offset)?;
            (within < load.size).then(|| load.address.wrapping_add(within))
        })
    }

    /// Where in the file lies what is loaded to an address, and how many bytes
    /// of its segment follow.
    pub(super) fn offset_of(&self, address: u64) -> Option<(u64, u64)> {
        self.loads.iter().find_map(|load| {
            let within = address.checked_sub(load.address)?;
            let left = load.size.checked_sub(within).filter(|left| *left > 0)?;
            Some((load.offset.checked_add(within)?, left))
        })
    }

    /// The section with this name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    fn read_segments(&mut self, file: &File) -> Option<()> {
        let offset = u64_at(&self.header, 32)?;
        let count = usize::from(u16_at(&self.header, 56)?);
        if usize::from(u16_at(&self.header, 54)?) != SEGMENT || count > MAX_SEGMENTS {
            return None;
        }
        let mut bytes = vec![0; count * SEGMENT];
        file.read_exact_at(&mut bytes, offset).ok()?;
        for segment in bytes.chunks_exact(SEGMENT) {
            let load = Load {
                offset: u64_at(segment, 8)?,
                address: u64_at(segment, 16)?,
                size: u64_at(segment, 32)?,
                writable: u32_at(segment, 4)? & PF_W != 0,
            };
            match u32_at(segment, 0)? {
                PT_LOAD => self.loads.push(load),
                PT_DYNAMIC => self.dynamic = Some(load),
                PT_NOTE if self.build_id.is_none() => {
                    self.build_id = build_id(file, load.offset, load.size);
                }
                _ => {}
            }
        }
        Some(())
    }
}

fn read_sections(file: &File, header: &[u8]) -> Option<Vec<Section>> {
    let table = u64_at(header, 40)?;
    if table == 0 || usize::from(u16_at(header, 58)?) != SECTION {
        return None;
    }
    let mut first = [0; SECTION];
    file.read_exact_at(&mut first, table).ok()?;
    // Numbers too large for the header are in the first section's.
    let count = match u16_at(header, 60)? {
        0 => u64_at(&first, 32)?,
        count => u64::from(count),
    };
    let names = match u16_at(header, 62)? {
        0xffff => u32_at(&first, 40)?,
        names => u32::from(names),
    };
    if count > MAX_SECTIONS {
        return None;
    }
    let mut bytes = vec![0; count as usize * SECTION];
    file.read_exact_at(&mut bytes, table).ok()?;
    let headers = || bytes.chunks_exact(SECTION);
    let names = headers().nth(names as usize)?;
    let names = read_range(file, u64_at(names, 24)?, u64_at(names, 32)?, MAX_NAMES)?;
    headers()
        .map(|header| {
            let name = names.get(u32_at(header, 0)? as usize..)?;
            let name = name.split(|byte| *byte == 0).next()?;
            Some(Section {
                // Only names of our own list matter: the rest may as well be empty.
                name: std::str::from_utf8(name).unwrap_or_default().to_owned(),
                kind: u32_at(header, 4)?,
                flags: u64_at(header, 8)?,
                offset: u64_at(header, 24)?,
                size: u64_at(header, 32)?,
                info: u32_at(header, 44)?,
                entry_size: u64_at(header, 56)?,
            })
        })
        .collect()
}

/// Finds the build id in a segment of notes: `name size, size, type, name, bytes`.
fn build_id(file: &File, offset: u64, size: u64) -> Option<String> {
    let notes = read_range(file, offset, size, MAX_NOTES)?;
    let mut rest = notes.as_slice();
    loop {
        let name_size = u32_at(rest, 0)? as usize;
        let size = u32_at(rest, 4)? as usize;
        let kind = u32_at(rest, 8)?;
        let start = 12usize.checked_add(name_size.checked_next_multiple_of(4)?)?;
        let bytes = rest.get(start..start.checked_add(size)?)?;
        if kind == NT_GNU_BUILD_ID && rest.get(12..12 + name_size) == Some(b"GNU\0") {
            // 20 bytes of SHA-1 as a rule; never more than 64.
            let digits = bytes.iter().take(64).map(|byte| format!("{byte:02x}"));
            return Some(digits.collect()).filter(|id: &String| !id.is_empty());
        }
        rest = rest.get(start.checked_add(size.checked_next_multiple_of(4)?)?..)?;
    }
}

/// Bytes of a file, `None` where there are more than `limit` or fewer than said.
pub(super) fn read_range(file: &File, offset: u64, size: u64, limit: u64) -> Option<Vec<u8>> {
    if size > limit {
        return None;
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> Option<Elf> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Elf::read(&file)
    }

    #[test]
    fn the_dynamic_loader_is_read() {
        let elf = Elf::read(&File::open("/proc/self/exe").unwrap()).unwrap();
        let text = elf.section(".text").unwrap();
        assert!(elf.address_of(text.offset).is_some());
        assert_eq!(elf.address_of(u64::MAX), None);
        let address = elf.address_of(text.offset).unwrap();
        let (offset, left) = elf.offset_of(address).unwrap();
        assert!(offset == text.offset && left >= text.size);
        assert_eq!(elf.offset_of(u64::MAX), None);
        assert!(elf.section(".symtab").is_some());
    }

    #[test]
    fn no_truncation_or_damage_panics() {
        let whole = std::fs::read("/bin/true").unwrap();
        let elf = read(&whole).unwrap();
        for length in (0..whole.len()).step_by(97) {
            read(&whole[..length]);
        }
        for at in 0..64 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                read(&damaged);
            }
        }
        // Every header with all bits set.
        for section in [u64_at(&whole, 32), u64_at(&whole, 40)] {
            let mut damaged = whole.clone();
            let start = section.unwrap() as usize;
            damaged[start..].fill(0xff);
            read(&damaged);
        }
        assert_eq!(elf.build_id.unwrap().len(), 40);
        assert_eq!(read(b"#!/bin/sh"), None);
        assert_eq!(read(b""), None);
    }
}
