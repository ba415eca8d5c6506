//! Where an ELF file has its code and its call frame information.
//!
//! Headers are read field by field: they need not be aligned, and each offset is
//! checked on its own.

use std::borrow::Cow;
use std::io::Read;

use gimli::{BaseAddresses, EhFrameHdr, LittleEndian};
use object::elf;

use super::code_segments::{CodeSegments, Segment, Span};
use super::error::TableError;
use super::machine::Machine;
use super::signal_return;

/// Most bytes of call frame information, uncompressed; what is beyond is not read.
const MAX_FRAME_BYTES: usize = 1 << 27;

/// The bytes of an ELF file.
pub(super) struct ElfBytes<'a> {
    bytes: &'a [u8],
    machine: Machine,
    segments: Vec<Segment>,
}

struct Section<'a> {
    kind: u32,
    flags: u64,
    address: u64,
    bytes: &'a [u8],
}

/// The bytes of `.eh_frame`, and its address.
pub(super) struct Frames<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) address: u64,
}

impl<'a> ElfBytes<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<ElfBytes<'a>, TableError> {
        if bytes.get(..4) != Some(&elf::ELFMAG[..]) {
            return Err(TableError::NotElf);
        }
        let machine = u16_at(bytes, 18).ok_or(TableError::NotElf)?;
        let layout = (bytes.get(4).copied(), bytes.get(5).copied());
        let machine = match (layout, machine) {
            ((Some(2), Some(1)), elf::EM_X86_64) => Machine::X86_64,
            ((Some(2), Some(1)), elf::EM_AARCH64) => Machine::Aarch64,
            _ => return Err(TableError::Machine(machine)),
        };
        let segments = segments(bytes).ok_or(TableError::NotElf)?;
        Ok(ElfBytes {
            bytes,
            machine,
            segments,
        })
    }

    pub(super) fn machine(&self) -> Machine {
        self.machine
    }

    /// The executable segments.
    pub(super) fn code_segments(&self) -> Result<CodeSegments, TableError> {
        let mut segments = Vec::new();
        for segment in &self.segments {
            let available = (self.bytes.len() as u64).saturating_sub(segment.offset);
            let size = segment.size.min(available);
            if segment.kind == elf::PT_LOAD && segment.flags & elf::PF_X != 0 && size > 0 {
                segments.push(Segment { size, ..*segment });
            }
        }
        CodeSegments::new(segments)
    }

    /// Code that returns from signals, in bytes from the first page.
    pub(super) fn signal_returns(&self, code: &CodeSegments) -> Vec<Span> {
        let mut places = Vec::new();
        for segment in code.segments() {
            let bytes = self.file_bytes(segment.offset, segment.size);
            let skip = code.skip(segment);
            for (start, end) in signal_return::find(self.machine, bytes.unwrap_or_default()) {
                places.push(Span {
                    start: skip + start as u32,
                    end: skip + end as u32,
                });
            }
        }
        places
    }

    /// The address of a section.
    pub(super) fn section_address(&self, name: &[u8]) -> Option<u64> {
        Some(self.section(name)?.address)
    }

    /// `.eh_frame`, by its section, or, if there are no sections, by the segment
    /// that the program itself finds it by.
    pub(super) fn eh_frame(&self) -> Option<Frames<'a>> {
        match self.section(b".eh_frame") {
            Some(section) if !section.bytes.is_empty() => Some(Frames {
                bytes: bounded(section.bytes),
                address: section.address,
            }),
            _ => self.eh_frame_by_header(),
        }
    }

    fn eh_frame_by_header(&self) -> Option<Frames<'a>> {
        let header = self
            .segments
            .iter()
            .find(|segment| segment.kind == elf::PT_GNU_EH_FRAME)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(header.address);
        let parsed = EhFrameHdr::new(self.file_bytes(header.offset, header.size)?, LittleEndian)
            .parse(&bases, 8)
            .ok()?;
        let address = parsed.eh_frame_ptr().direct().ok()?;
        let bytes = self.loaded_from(address)?;
        // The size is said nowhere: it ends with the last function that the header
        // lists.
        let mut last = address;
        for entry in parsed.table()?.iter(&bases) {
            last = last.max(entry.ok()?.1.direct().ok()?);
        }
        let last = last - address;
        let end = last.checked_add(entry_size(bytes, last)?)?;
        let bytes = bytes.get(..usize::try_from(end).ok()?)?;
        Some(Frames {
            bytes: bounded(bytes),
            address,
        })
    }

    /// `.debug_frame`, uncompressed.
    pub(super) fn debug_frame(&self) -> Option<Cow<'a, [u8]>> {
        let bytes = match self.section(b".debug_frame") {
            Some(section) if section.flags & u64::from(elf::SHF_COMPRESSED) != 0 => {
                let packed = section.bytes.get(24..)?;
                let size = u64_at(section.bytes, 8)?;
                Cow::Owned(match u32_at(section.bytes, 0)? {
                    elf::ELFCOMPRESS_ZLIB => inflate(packed, size)?,
                    elf::ELFCOMPRESS_ZSTD => {
                        zstd::bulk::decompress(packed, bounded_size(size)?).ok()?
                    }
                    _ => return None,
                })
            }
            Some(section) => Cow::Borrowed(bounded(section.bytes)),
            None => {
                // The older form of compression: "ZLIB", size, data.
                let section = self.section(b".zdebug_frame")?;
                let rest = section.bytes.strip_prefix(b"ZLIB")?;
                let (size, packed) = rest.split_first_chunk()?;
                Cow::Owned(inflate(packed, u64::from_be_bytes(*size))?)
            }
        };
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The bytes from an address to the end of its segment.
    fn loaded_from(&self, address: u64) -> Option<&'a [u8]> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == elf::PT_LOAD)
            .find_map(|segment| {
                let skip = address.checked_sub(segment.address)?;
                let size = segment.size.checked_sub(skip).filter(|&size| size > 0)?;
                self.file_bytes(segment.offset.checked_add(skip)?, size)
            })
    }

    fn file_bytes(&self, offset: u64, size: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        self.bytes.get(start..end)
    }

    fn section(&self, name: &[u8]) -> Option<Section<'a>> {
        let names = self.section_header(u16_at(self.bytes, 62)?)?;
        let names = self.section_bytes(names)?;
        let count = u16_at(self.bytes, 60)?;
        let header = (0..count).find_map(|index| {
            let header = self.section_header(index)?;
            let found = names.get(u32_at(header, 0)? as usize..)?;
            let rest = found.strip_prefix(name)?;
            (rest.first() == Some(&0)).then_some(header)
        })?;
        let section = Section {
            kind: u32_at(header, 4)?,
            flags: u64_at(header, 8)?,
            address: u64_at(header, 16)?,
            bytes: self.section_bytes(header).unwrap_or_default(),
        };
        (section.kind != elf::SHT_NOBITS).then_some(section)
    }

    fn section_header(&self, index: u16) -> Option<&'a [u8]> {
        let size = u64::from(u16_at(self.bytes, 58)?);
        let start = u64_at(self.bytes, 40)?.checked_add(u64::from(index) * size)?;
        self.file_bytes(start, 64).filter(|_| size >= 64)
    }

    fn section_bytes(&self, header: &[u8]) -> Option<&'a [u8]> {
        self.file_bytes(u64_at(header, 24)?, u64_at(header, 32)?)
    }
}

fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let table = u64_at(bytes, 32)?;
    let size = u64::from(u16_at(bytes, 54)?);
    let count = u16_at(bytes, 56)?;
    (0..u64::from(count))
        .map(|index| {
            let header = table.checked_add(index * size)?;
            let header = bytes.get(usize::try_from(header).ok()?..)?;
            Some(Segment {
                kind: u32_at(header, 0)?,
                flags: u32_at(header, 4)?,
                offset: u64_at(header, 8)?,
                address: u64_at(header, 16)?,
                size: u64_at(header, 32)?,
            })
        })
        .collect()
}

/// Size of the entry of call frame information at an offset, with its length field.
pub(super) fn entry_size(bytes: &[u8], offset: u64) -> Option<u64> {
    let bytes = bytes.get(usize::try_from(offset).ok()?..)?;
    match u32_at(bytes, 0)? {
        0xffff_ffff => u64_at(bytes, 4)?.checked_add(12),
        length => Some(u64::from(length) + 4),
    }
}

fn bounded(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(MAX_FRAME_BYTES)]
}

fn bounded_size(size: u64) -> Option<usize> {
    usize::try_from(size)
        .ok()
        .filter(|&size| size <= MAX_FRAME_BYTES)
}

fn inflate(packed: &[u8], size: u64) -> Option<Vec<u8>> {
    let size = bounded_size(size)? as u64;
    let mut bytes = Vec::new();
    flate2::bufread::ZlibDecoder::new(packed)
        .take(size)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}
