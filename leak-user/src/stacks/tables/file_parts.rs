//! The parts of an ELF file that tables are built from, in memory. Files are read, not mapped:
//! if a mapped file is truncated, the next access ends this process (SIGBUS).

use std::{fs::File, ops::Deref, os::unix::fs::FileExt as _, ptr::NonNull};

use object::{
    LittleEndian,
    elf::{self, FileHeader64},
    read::elf::{FileHeader as _, SectionHeader as _},
};

/// Files up to this size are read as they are.
const WHOLE: u64 = 8 << 20;

/// Larger files are not read at all.
const MAX_FILE: u64 = 4 << 30;

/// Bytes of all the parts of a file.
const MAX_PARTS: u64 = 512 << 20;

/// Sections that tables and interpreters are found in.
const PARTS: [&[u8]; 12] = [
    b".eh_frame",
    b".eh_frame_hdr",
    b".debug_frame",
    b".zdebug_frame",
    b".dynamic",
    b".dynsym",
    b".dynstr",
    b".symtab",
    b".strtab",
    b".PyRuntime",
    b".rodata",
    b".plt",
];

/// A file in memory. What was not read is zero, and takes no room.
#[derive(Debug)]
pub(super) struct FileParts {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to this value alone, whichever thread has it.
unsafe impl Send for FileParts {}
// SAFETY: it is not written after it was made.
unsafe impl Sync for FileParts {}

impl std::panic::RefUnwindSafe for FileParts {}

impl FileParts {
    /// Reads the parts of a file; `None` where it is no ELF file or cannot be read.
    pub(super) fn read(file: &File) -> Option<FileParts> {
        let size = file.metadata().ok()?.len();
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).ok()?;
        if magic != elf::ELFMAG || size > MAX_FILE {
            return None;
        }
        let mut parts = FileParts::new(usize::try_from(size).ok()?)?;
        if size <= WHOLE {
            parts.take(file, 0, size)?;
        } else {
            parts.take_parts(file)?;
        }
        Some(parts)
    }

    fn new(length: usize) -> Option<FileParts> {
        // SAFETY: new memory, which is only committed where it is written.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length.max(1),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        Some(FileParts {
            start: NonNull::new(start.cast())?,
            length,
        })
    }

    fn take(&mut self, file: &File, offset: u64, size: u64) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        if end > self.length {
            return None;
        }
        // SAFETY: in bounds, and nobody else has a reference.
        let into =
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(start), end - start) };
        file.read_exact_at(into, offset).ok()
    }

    fn take_parts(&mut self, file: &File) -> Option<()> {
        const HEADER: u64 = 64;
        self.take(file, 0, HEADER)?;
        let header = *FileHeader64::<LittleEndian>::parse(&**self).ok()?;
        let endian = LittleEndian;
        let programs = u64::from(header.e_phnum.get(endian)) * 56;
        self.take(file, header.e_phoff.get(endian), programs)?;
        let sections_at = header.e_shoff.get(endian);
        let count = u64::from(header.e_shnum.get(endian));
        if sections_at == 0 || count == 0 {
            // Stripped of its sections: the tables are found through the segments.
            return self.take_frame_segment(file);
        }
        self.take(file, sections_at, count * 64)?;
        let names = u64::from(header.e_shstrndx.get(endian));
        let mut left = MAX_PARTS;
        let ranges = {
            let sections = header.section_headers(endian, &**self).ok()?;
            let names = sections.get(usize::try_from(names).ok()?)?;
            (names.sh_offset(endian), names.sh_size(endian))
        };
        self.take(file, ranges.0, ranges.1.min(1 << 20))?;
        let wanted: Vec<(u64, u64)> = {
            let sections = header.sections(endian, &**self).ok()?;
            sections
                .iter()
                .filter(|section| section.sh_type(endian) != elf::SHT_NOBITS)
                .filter(|section| {
                    let name = sections.section_name(endian, *section);
                    name.is_ok_and(|name| PARTS.contains(&name))
                })
                .map(|section| (section.sh_offset(endian), section.sh_size(endian)))
                .collect()
        };
        for (offset, size) in wanted {
            // One that is too large is as good as not there.
            if let Some(rest) = left.checked_sub(size)
                && self.take(file, offset, size).is_some()
            {
                left = rest;
            }
        }
        Some(())
    }

    /// The segment that begins with the index of the call frame information, and
    /// what follows it.
    fn take_frame_segment(&mut self, file: &File) -> Option<()> {
        use object::read::elf::ProgramHeader as _;
        let endian = LittleEndian;
        let header = *FileHeader64::<LittleEndian>::parse(&**self).ok()?;
        let ranges: Vec<(u64, u64)> = header
            .program_headers(endian, &**self)
            .ok()?
            .iter()
            .filter(|segment| {
                segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian) & elf::PF_W == 0
            })
            .map(|segment| (segment.p_offset(endian), segment.p_filesz(endian)))
            .collect();
        let mut left = MAX_PARTS;
        for (offset, size) in ranges {
            left = left.checked_sub(size)?;
            self.take(file, offset, size)?;
        }
        Some(())
    }
}

impl Deref for FileParts {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped in `new` with this length, which is at least the slice's.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for FileParts {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nothing points there any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length.max(1)) };
    }
}
