//! A private copy of what of an ELF file names its code: symbols and DWARF.
//!
//! Symbolizers map files. One that its owner truncates afterwards (a careless
//! upgrade, or malice) would end this process with SIGBUS, so they get a copy in
//! memory. The copy has only the sections on a list, under their names: links to
//! further files, which would be opened with this process's rights, are not among
//! them. It is bounded, also in what compressed sections expand to.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::PathBuf,
};

use super::{
    elf::{Elf, Section, u32_at, u64_at},
    memory_file::memory_file,
};

/// Sections that hold symbols.
const SYMBOLS: &[&str] = &[".symtab", ".strtab", ".dynsym", ".dynstr"];

/// Sections that hold functions, their source lines and what was inlined.
const DWARF: &[&str] = &[
    ".debug_abbrev",
    ".debug_addr",
    ".debug_aranges",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
    ".debug_types",
];

const SHT_NOBITS: u32 = 8;
const SHT_STRTAB: u32 = 3;
const SHF_COMPRESSED: u64 = 0x800;
/// Size of the header of a compressed section.
const COMPRESSION_HEADER: u64 = 24;
const ALIGNMENT: u64 = 16;

/// The copy, in a file without a name.
#[derive(Debug)]
pub(super) struct SymbolCopy {
    file: File,
    /// Bytes of memory it takes.
    pub(super) bytes: u64,
    pub(super) has_dwarf: bool,
}

impl SymbolCopy {
    /// Copies the symbols of `file`, and its DWARF if all that fits `limit` bytes.
    ///
    /// # Errors
    /// Where the file cannot be read, ends early or has too many symbols.
    pub(super) fn copy(file: &File, elf: &Elf, limit: u64) -> io::Result<SymbolCopy> {
        let mut copy = Draft::new(limit)?;
        for section in present(elf, SYMBOLS) {
            copy.add(file, section)?;
        }
        let before = (copy.end, copy.headers.len());
        let dwarf = elf.section(".debug_info").is_some()
            && present(elf, DWARF).all(|section| copy.add(file, section).is_ok());
        if !dwarf {
            // Half of it would only mislead.
            copy.end = before.0;
            copy.headers.truncate(before.1);
        }
        copy.finish(elf, dwarf)
    }

    /// The path to open it by, in this process only.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

fn present<'a>(elf: &'a Elf, names: &'a [&str]) -> impl Iterator<Item = &'a Section> {
    let sections = names.iter().filter_map(|name| elf.section(name));
    sections.filter(|section| section.kind != SHT_NOBITS)
}

/// A copy in the making.
struct Draft {
    file: File,
    limit: u64,
    end: u64,
    headers: Vec<Section>,
}

impl Draft {
    fn new(limit: u64) -> io::Result<Draft> {
        Ok(Draft {
            file: memory_file(c"leaktrace-symbols")?,
            limit,
            end: 64,
            headers: Vec::new(),
        })
    }

    fn add(&mut self, from: &File, section: &Section) -> io::Result<()> {
        let offset = self.end.next_multiple_of(ALIGNMENT);
        let size = match section.flags & SHF_COMPRESSED {
            0 => {
                self.fits(offset, section.size)?;
                let mut source = FileRange::new(from, section.offset, section.size);
                self.write(&mut source, offset, section.size)?
            }
            _ => self.expand(from, section, offset)?,
        };
        self.end = offset + size;
        self.headers.push(Section {
            flags: 0,
            offset,
            size,
            ..section.clone()
        });
        Ok(())
    }

    /// Copies a compressed section uncompressed: `type u32, reserved u32, size u64,
    /// alignment u64`, data.
    fn expand(&mut self, from: &File, section: &Section, offset: u64) -> io::Result<u64> {
        let mut header = [0; COMPRESSION_HEADER as usize];
        from.read_exact_at(&mut header, section.offset)?;
        let kind = u32_at(&header, 0).unwrap_or(0);
        let size = u64_at(&header, 8).unwrap_or(u64::MAX);
        self.fits(offset, size)?;
        let start = section.offset.saturating_add(COMPRESSION_HEADER);
        let packed = section.size.saturating_sub(COMPRESSION_HEADER);
        let packed = io::BufReader::with_capacity(1 << 16, FileRange::new(from, start, packed));
        match kind {
            1 => self.write(&mut flate2::bufread::ZlibDecoder::new(packed), offset, size),
            2 => self.write(&mut zstd::Decoder::with_buffer(packed)?, offset, size),
            _ => Err(io::Error::other("unknown compression of a section")),
        }
    }

    fn fits(&self, offset: u64, size: u64) -> io::Result<()> {
        match offset.checked_add(size) {
            Some(end) if end <= self.limit => Ok(()),
            _ => Err(io::Error::other("too large to be copied")),
        }
    }

    /// Writes exactly `size` bytes of `source` at `offset`.
    fn write(&mut self, source: &mut impl Read, offset: u64, size: u64) -> io::Result<u64> {
        let mut at = offset;
        let mut chunk = vec![0; 1 << 16];
        let mut source = source.take(size);
        loop {
            match source.read(&mut chunk)? {
                0 => break,
                length => {
                    self.file.write_all_at(&chunk[..length], at)?;
                    at += length as u64;
                }
            }
        }
        match at == offset + size {
            true => Ok(size),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Writes section names and headers, and the file's header before all.
    fn finish(mut self, elf: &Elf, has_dwarf: bool) -> io::Result<SymbolCopy> {
        let mut names = vec![0];
        let mut table = vec![0; 64];
        for section in &self.headers {
            table.extend(section_header(section, names.len() as u32));
            names.extend(section.name.as_bytes());
            names.push(0);
        }
        let own = Section {
            name: ".shstrtab".to_owned(),
            kind: SHT_STRTAB,
            flags: 0,
            offset: self.end.next_multiple_of(ALIGNMENT),
            size: names.len() as u64 + 10,
            info: 0,
            entry_size: 0,
        };
        table.extend(section_header(&own, names.len() as u32));
        names.extend(b".shstrtab\0");
        let sections = (table.len() / 64) as u16;
        let table_at = (own.offset + own.size).next_multiple_of(ALIGNMENT);
        let mut header = elf.header;
        // Program headers: none, addresses are translated before they get here.
        header[32..40].fill(0);
        header[56..58].fill(0);
        header[40..48].copy_from_slice(&table_at.to_ne_bytes());
        header[60..62].copy_from_slice(&sections.to_ne_bytes());
        header[62..64].copy_from_slice(&(sections - 1).to_ne_bytes());
        self.end = table_at + table.len() as u64;
        self.file.write_all_at(&header, 0)?;
        self.file.write_all_at(&names, own.offset)?;
        self.file.write_all_at(&table, table_at)?;
        // Whatever was dropped lies behind, or is a hole already.
        self.file.set_len(self.end)?;
        self.file.flush()?;
        Ok(SymbolCopy {
            file: self.file,
            bytes: self.end,
            has_dwarf,
        })
    }
}

fn section_header(section: &Section, name: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(name.to_ne_bytes());
    bytes.extend(section.kind.to_ne_bytes());
    bytes.extend(section.flags.to_ne_bytes());
    bytes.extend(0u64.to_ne_bytes());
    bytes.extend(section.offset.to_ne_bytes());
    bytes.extend(section.size.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(section.info.to_ne_bytes());
    bytes.extend(ALIGNMENT.to_ne_bytes());
    bytes.extend(section.entry_size.to_ne_bytes());
    bytes
}

/// Reads a range of a file without moving its position, which others share.
struct FileRange<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> FileRange<'a> {
    fn new(file: &'a File, start: u64, size: u64) -> FileRange<'a> {
        FileRange {
            file,
            at: start,
            end: start.saturating_add(size),
        }
    }
}

impl Read for FileRange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn own_program() -> (File, Elf) {
        let file = File::open("/proc/self/exe").unwrap();
        let elf = Elf::read(&file).unwrap();
        (file, elf)
    }

    #[test]
    fn a_copy_has_the_listed_sections_byte_for_byte() {
        let (file, elf) = own_program();
        let copy = SymbolCopy::copy(&file, &elf, 1 << 30).unwrap();
        assert!(copy.has_dwarf);
        let copied = Elf::read(&copy.file).unwrap();
        for name in [".symtab", ".strtab", ".debug_info", ".debug_line"] {
            let bytes = |file: &File, section: &Section| {
                let mut bytes = vec![0; section.size as usize];
                file.read_exact_at(&mut bytes, section.offset).unwrap();
                bytes
            };
            let original = bytes(&file, elf.section(name).unwrap());
            assert!(
                original == bytes(&copy.file, copied.section(name).unwrap()),
                "{name}"
            );
        }
        assert_eq!(copied.section(".text"), None);
        assert_eq!(copy.bytes, copy.file.metadata().unwrap().len());
    }

    #[test]
    fn too_much_dwarf_is_left_out_and_too_many_symbols_fail() {
        let (file, elf) = own_program();
        let symbols: u64 = present(&elf, SYMBOLS)
            .map(|section| section.size + 64)
            .sum();
        let copy = SymbolCopy::copy(&file, &elf, symbols + 4096).unwrap();
        assert!(!copy.has_dwarf && copy.bytes <= symbols + 8192);
        assert!(SymbolCopy::copy(&file, &elf, 4096).is_err());
    }

    #[test]
    fn a_section_beyond_the_end_or_that_lies_about_its_size_fails() {
        let (file, mut elf) = own_program();
        let length = file.metadata().unwrap().len();
        for section in &mut elf.sections {
            section.offset = length - 1;
        }
        assert!(SymbolCopy::copy(&file, &elf, 1 << 30).is_err());
        for section in &mut elf.sections {
            section.offset = u64::MAX - 1;
            section.flags |= SHF_COMPRESSED;
        }
        assert!(SymbolCopy::copy(&file, &elf, 1 << 30).is_err());
    }
}
