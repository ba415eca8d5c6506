//! The few questions that are asked of an ELF file: 64 bits, little-endian.

use object::{
    LittleEndian as Le,
    elf::{
        FileHeader64, PF_X, PT_LOAD, ProgramHeader64, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, STT_OBJECT,
    },
    read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym, SymbolTable},
};

/// A file's tables.
pub(super) struct Elf<'a> {
    data: &'a [u8],
    sections: SectionTable<'a, FileHeader64<Le>>,
    segments: &'a [ProgramHeader64<Le>],
    pub(super) machine: u16,
}

/// A symbol that this file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a [u8],
    pub(super) address: u64,
    pub(super) size: u64,
}

/// No longer name is told apart from its beginning: in a hostile file all symbols may
/// share one that is as long as the file.
const MAX_NAME: usize = 64;

/// What a symbol stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Data,
    Code,
}

/// Which of a file's two tables of symbols.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Dynamic,
    Full,
}

impl<'a> Elf<'a> {
    /// `None` if it is not an ELF file of this kind.
    pub(super) fn parse(data: &'a [u8]) -> Option<Elf<'a>> {
        let header = FileHeader64::<Le>::parse(data).ok()?;
        if !header.is_little_endian() {
            return None;
        }
        Some(Elf {
            data,
            sections: header.sections(Le, data).ok()?,
            segments: header.program_headers(Le, data).ok()?,
            machine: header.e_machine(Le),
        })
    }

    /// Address and contents of a section.
    pub(super) fn section(&self, name: &str) -> Option<(u64, &'a [u8])> {
        let (_, section) = self.sections.section_by_name(Le, name.as_bytes())?;
        Some((section.sh_addr(Le), section.data(Le, self.data).ok()?))
    }

    /// The symbols that this file defines.
    pub(super) fn symbols(
        &self,
        table: Table,
        stands: Stands,
    ) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let section = match table {
            Table::Dynamic => SHT_DYNSYM,
            Table::Full => SHT_SYMTAB,
        };
        let kind = match stands {
            Stands::Data => STT_OBJECT,
            Stands::Code => STT_FUNC,
        };
        let table: SymbolTable<'a, FileHeader64<Le>> = self
            .sections
            .symbols(Le, self.data, section)
            .unwrap_or_default();
        let strings = self
            .sections
            .section(table.string_section())
            .and_then(|section| section.data(Le, self.data))
            .unwrap_or_default();
        table
            .symbols()
            .iter()
            .filter(move |symbol| symbol.st_type() == kind && !symbol.is_undefined(Le))
            .filter_map(move |symbol| {
                Some(Symbol {
                    name: name_at(strings, symbol.st_name(Le))?,
                    address: symbol.st_value(Le),
                    size: symbol.st_size(Le),
                })
            })
    }

    /// The bytes of the file that will be at this address, to their segment's end.
    pub(super) fn bytes_at(&self, address: u64) -> Option<&'a [u8]> {
        let segment = self.segment_at(address)?;
        let skip = address - segment.p_vaddr(Le);
        let bytes = segment.data(Le, self.data).ok()?;
        bytes.get(usize::try_from(skip).ok()?..)
    }

    /// A number in the file's data.
    pub(super) fn word_at(&self, address: u64) -> Option<u64> {
        self.bytes_at(address)?
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Where the file's beginning would be, by the segment with the code at `address`,
    /// or else the first segment with code.
    pub(super) fn code_base(&self, address: Option<u64>) -> Option<u64> {
        let segment = address
            .and_then(|address| self.segment_at(address))
            .filter(|segment| segment.p_flags(Le) & PF_X != 0)
            .or_else(|| self.loaded().find(|it| it.p_flags(Le) & PF_X != 0))?;
        Some(segment.p_vaddr(Le).wrapping_sub(segment.p_offset(Le)))
    }

    /// The place in the file of what will be at this address.
    pub(super) fn file_offset(&self, address: u64) -> Option<u64> {
        let segment = self.segment_at(address)?;
        (address - segment.p_vaddr(Le)).checked_add(segment.p_offset(Le))
    }

    fn loaded(&self) -> impl Iterator<Item = &'a ProgramHeader64<Le>> {
        self.segments.iter().filter(|it| it.p_type(Le) == PT_LOAD)
    }

    fn segment_at(&self, address: u64) -> Option<&'a ProgramHeader64<Le>> {
        self.loaded().find(|segment| {
            let start = segment.p_vaddr(Le);
            address >= start && address - start < segment.p_filesz(Le)
        })
    }
}

/// The name at this place, or the beginning of a long one.
fn name_at(strings: &[u8], at: u32) -> Option<&[u8]> {
    let rest = strings.get(at as usize..)?;
    let rest = &rest[..rest.len().min(MAX_NAME)];
    rest.split(|byte| *byte == 0).next()
}
