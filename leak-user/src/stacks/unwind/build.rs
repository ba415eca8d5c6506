//! How the table of a file is built: which parts of the file are read, and in which order.

use gimli::{BaseAddresses, DebugFrame, EhFrame, LittleEndian, Vendor};

use super::{
    cover, elf::ElfBytes, error::TableError, functions::Functions, machine::Machine, pages,
    table::Table,
};

/// Builds the table of an ELF file (or of the image of a vDSO) from its bytes.
///
/// A file with code but without unwind information has a table without pages.
///
/// # Errors
///
/// The bytes are no ELF file for x86-64 or aarch64, or have no code.
pub fn build(elf: &[u8]) -> Result<Table, TableError> {
    let file = ElfBytes::parse(elf)?;
    let code = file.code_segments()?;
    let mut functions = Functions::new(file.machine(), &code);
    let mut bases = BaseAddresses::default();
    if let Some(text) = file.section_address(b".text") {
        bases = bases.set_text(text);
    }
    if let Some(got) = file.section_address(b".got") {
        bases = bases.set_got(got);
    }
    let vendor = match file.machine() {
        Machine::X86_64 => Vendor::Default,
        Machine::Aarch64 => Vendor::AArch64,
    };
    if let Some(frames) = file.eh_frame() {
        let mut section = EhFrame::new(frames.bytes, LittleEndian);
        section.set_address_size(8);
        section.set_vendor(vendor);
        let bases = bases.clone().set_eh_frame(frames.address);
        functions.collect(&section, frames.bytes, &bases, &[]);
    }
    if let Some(bytes) = file.debug_frame() {
        let mut section = DebugFrame::new(&bytes, LittleEndian);
        section.set_address_size(8);
        section.set_vendor(vendor);
        let covered = cover::runs(functions.spans());
        functions.collect(&section, &bytes, &bases, &covered);
    }
    for span in file.signal_returns(&code) {
        functions.add_signal_return(span);
    }
    let runs = cover::runs(functions.spans());
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
