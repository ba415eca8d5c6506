//! Where the code of the function is that runs Python code.
//!
//! Compilers put what is rarely run into a part of its own. Files with all symbols name
//! it; in others it is the code with an unwind entry of its own, and no name, that the
//! function jumps to under a condition, which no function does to another.

use std::collections::HashSet;

use gimli::{BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, UnwindSection};
use object::elf::EM_X86_64;

use crate::{
    model::address::AddressRange,
    stacks::runtimes::elf::{Elf, Stands, Table},
};

/// What the function is called.
pub(super) const NAME: &str = "_PyEval_EvalFrameDefault";
/// Most parts that are believed.
const MAX_PARTS: usize = 8;
/// No part is larger, in bytes: the function has about 50 KiB.
const MAX_PART: u64 = 1 << 20;

/// Addresses of the parts, the main one first. Empty if it has no symbol.
pub(super) fn find(elf: &Elf<'_>) -> Vec<AddressRange> {
    let mut parts = named_parts(elf, Table::Full);
    if parts.is_empty() {
        parts = named_parts(elf, Table::Dynamic);
    }
    if let [main] = &parts[..] {
        let more = unnamed_parts(elf, *main);
        parts.extend(more);
    }
    parts
}

/// The parts that symbols tell, the main one first.
fn named_parts(elf: &Elf<'_>, table: Table) -> Vec<AddressRange> {
    let mut parts = Vec::new();
    for symbol in elf.symbols(table, Stands::Code) {
        let Some(suffix) = symbol.name.strip_prefix(NAME.as_bytes()) else {
            continue;
        };
        if !(suffix.is_empty() || suffix.starts_with(b".")) || symbol.size > MAX_PART {
            continue;
        }
        let Some(end) = symbol.address.checked_add(symbol.size) else {
            continue;
        };
        if parts.len() < MAX_PARTS {
            parts.push((suffix.len(), (symbol.address..end).into()));
        }
    }
    parts.sort_by_key(|(suffix, _)| *suffix);
    if parts.first().is_none_or(|(suffix, _)| *suffix != 0) {
        return Vec::new();
    }
    parts.into_iter().map(|(_, range)| range).collect()
}

/// The parts that conditional jumps of the main one lead to.
fn unnamed_parts(elf: &Elf<'_>, main: AddressRange) -> Vec<AddressRange> {
    let mut parts: Vec<AddressRange> = Vec::new();
    if elf.machine != EM_X86_64 {
        return parts;
    }
    let Some(entries) = UnwindEntries::parse(elf) else {
        return parts;
    };
    let Some(code) = elf.bytes_at(main.start) else {
        return parts;
    };
    let named: HashSet<u64> = elf
        .symbols(Table::Dynamic, Stands::Code)
        .map(|symbol| symbol.address)
        .collect();
    let code = &code[..code.len().min(main.length() as usize)];
    for target in conditional_jumps(code, main.start) {
        if main.contains(target) || parts.iter().any(|part| part.contains(target)) {
            continue;
        }
        // The bytes of other instructions look like a jump at times: few of these lead
        // to any code, and what has a name is a function of its own.
        let Some(part) = entries.around(target) else {
            continue;
        };
        if part.length() <= MAX_PART && !named.contains(&part.start) {
            parts.push(part);
        }
        if parts.len() == MAX_PARTS {
            break;
        }
    }
    parts
}

/// Where the bytes that look like conditional jumps with 32 bits of distance lead.
fn conditional_jumps(code: &[u8], address: u64) -> impl Iterator<Item = u64> {
    code.windows(6).enumerate().filter_map(move |(at, bytes)| {
        let [0x0f, condition, distance @ ..] = bytes else {
            return None;
        };
        if condition & 0xf0 != 0x80 {
            return None;
        }
        let distance = i32::from_le_bytes(distance.try_into().ok()?);
        address
            .checked_add(at as u64 + 6)?
            .checked_add_signed(i64::from(distance))
    })
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The unwind entries of a file, by address.
struct UnwindEntries<'a> {
    header: gimli::ParsedEhFrameHdr<Bytes<'a>>,
    entries: EhFrame<Bytes<'a>>,
    bases: BaseAddresses,
}

impl<'a> UnwindEntries<'a> {
    fn parse(elf: &Elf<'a>) -> Option<UnwindEntries<'a>> {
        let (header_address, header) = elf.section(".eh_frame_hdr")?;
        let (entries_address, entries) = elf.section(".eh_frame")?;
        let bases = BaseAddresses::default()
            .set_eh_frame_hdr(header_address)
            .set_eh_frame(entries_address);
        Some(UnwindEntries {
            header: EhFrameHdr::new(header, LittleEndian)
                .parse(&bases, 8)
                .ok()?,
            entries: EhFrame::new(entries, LittleEndian),
            bases,
        })
    }

    /// The code that one entry with this address in it stands for.
    fn around(&self, address: u64) -> Option<AddressRange> {
        let entry = self
            .header
            .table()?
            .fde_for_address(
                &self.entries,
                &self.bases,
                address,
                EhFrame::cie_from_offset,
            )
            .ok()?;
        let start = entry.initial_address();
        Some((start..start.checked_add(entry.len())?).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditional_jumps_lead_forward_and_back() {
        let code = [
            0x90, 0x0f, 0x84, 0x10, 0, 0, 0, 0x0f, 0x8d, 0xf0, 0xff, 0xff, 0xff,
        ];
        let targets: Vec<u64> = conditional_jumps(&code, 0x1000).collect();
        assert_eq!(targets, [0x1017, 0xffd]);
    }
}
