//! The table of a file, and how it is built.

use std::fmt;

use gimli::{BaseAddresses, DebugFrame, EhFrame, LittleEndian, Vendor};
use leak_common::unwind::{PAGE_BYTES, Row, Rule};

use super::cover;
use super::elf::{Image, Machine};
use super::functions::Functions;
use super::pages::{self, PageRows};

/// What is known of a file's code, by place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// First page: file offset over [`PAGE_BYTES`], a multiple of 8.
    pub first_page: u32,
    /// The pages from there on, a multiple of 8. None: the file has no unwind
    /// information, frame pointers are all there is.
    pub pages: Vec<PageRows>,
    /// Rows of all pages, in order. [`Row::rule`] is an index into `rules`, or
    /// [`Row::UNKNOWN`].
    pub rows: Vec<Row>,
    /// The distinct rules, in the order of their first use.
    pub rules: Vec<Rule>,
    /// What the table was built from, and what it lacks.
    pub statistics: Statistics,
}

/// What a table was built from, and what it lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of call frame information, uncompressed.
    pub frame_bytes: u64,
    /// Functions with call frame information.
    pub functions: u32,
    /// Functions whose information can not be read: nothing is known of them.
    pub malformed: u32,
    /// Rows that are beyond what a [`Rule`] can say: nothing is known there.
    pub unsupported: u32,
    /// Functions left out because the file has more than a table may hold.
    pub dropped: u32,
    /// Pages with more rows than the programs search: nothing is known there.
    pub crowded_pages: u32,
}

/// Why there is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The bytes are no ELF file, or its headers are cut off.
    NotElf,
    /// 32 bits, big-endian, or this `e_machine`: neither x86-64 nor aarch64.
    Machine(u16),
    /// No executable segment with bytes in the file.
    NoCode,
    /// The executable segments span more of the file than a table may.
    Spread,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::NotElf => f.write_str("no ELF file, or cut off"),
            TableError::Machine(machine) => write!(
                f,
                "ELF file for another machine than x86-64 and aarch64 (machine {machine})"
            ),
            TableError::NoCode => f.write_str("ELF file without code"),
            TableError::Spread => f.write_str("ELF file whose code is spread too far"),
        }
    }
}

impl std::error::Error for TableError {}

/// Builds the table of an ELF file (or of the image of a vDSO) from its bytes.
///
/// A file with code but without unwind information has a table without pages.
///
/// # Errors
///
/// The bytes are no ELF file for x86-64 or aarch64, or have no code.
pub fn build(elf: &[u8]) -> Result<Table, TableError> {
    let image = Image::parse(elf)?;
    let code = image.code()?;
    let mut functions = Functions::new(image.machine(), &code);
    let mut bases = BaseAddresses::default();
    if let Some(text) = image.section_address(b".text") {
        bases = bases.set_text(text);
    }
    if let Some(got) = image.section_address(b".got") {
        bases = bases.set_got(got);
    }
    let vendor = match image.machine() {
        Machine::X86_64 => Vendor::Default,
        Machine::Aarch64 => Vendor::AArch64,
    };
    if let Some(frames) = image.eh_frame() {
        let mut section = EhFrame::new(frames.bytes, LittleEndian);
        section.set_address_size(8);
        section.set_vendor(vendor);
        let bases = bases.clone().set_eh_frame(frames.address);
        functions.collect(&section, frames.bytes, &bases, &[]);
    }
    if let Some(bytes) = image.debug_frame() {
        let mut section = DebugFrame::new(&bytes, LittleEndian);
        section.set_address_size(8);
        section.set_vendor(vendor);
        let covered = cover::runs(functions.list());
        functions.collect(&section, &bytes, &bases, &covered);
    }
    for (start, end) in image.signal_returns(&code) {
        functions.add_signal_return(start, end);
    }
    let runs = cover::runs(functions.list());
    let mut statistics = functions.statistics;
    if runs.is_empty() {
        return Ok(Table {
            statistics,
            ..Table::default()
        });
    }
    let packed = pages::pack(&runs, &functions, code.pages());
    statistics.crowded_pages = packed.crowded;
    Ok(Table {
        first_page: code.first_page(),
        pages: packed.pages,
        rows: packed.rows,
        rules: functions.into_rules(),
        statistics,
    })
}

impl Table {
    /// The rule for the code at an offset of the file; `None` where nothing is known.
    #[must_use]
    pub fn rule_at(&self, file_offset: u64) -> Option<Rule> {
        let page = (file_offset / PAGE_BYTES).checked_sub(u64::from(self.first_page))?;
        let page = self.pages.get(usize::try_from(page).ok()?)?;
        let first = page.first as usize;
        let rows = self.rows.get(first..first + usize::from(page.count))?;
        let offset = (file_offset % PAGE_BYTES) as u16;
        let after = rows.partition_point(|row| row.offset() <= offset);
        let row = rows.get(after.checked_sub(1)?)?;
        self.rules.get(usize::from(row.rule())).copied()
    }
}
