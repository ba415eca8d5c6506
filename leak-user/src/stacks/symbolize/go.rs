//! Names of a Go program's code from its own table (see [`pclntab`](super::pclntab)):
//! finding it in the file, also where there are no section headers, and what its
//! module data adds: where the code begins and what was inlined.

use std::{fs::File, os::unix::fs::FileExt};

use super::{
    elf::{Elf, Load, read_range, u32_at, u64_at},
    pclntab::{Function, HEADER, Header, Inlined, Pclntab},
};

/// Names of the section with the table: of most programs, and of those that can
/// be loaded anywhere.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];

/// Most relocations kept while a table is read, and most bytes searched for a
/// table or for what refers to it.
const MAX_RELOCATIONS: u64 = 4 << 20;
const MAX_SEARCHED: u64 = 1 << 30;
const CHUNK: usize = 1 << 20;

/// Words of the module data that are looked at, and which of them is what, from
/// Go 1.16 on.
const WORDS: usize = 64;
const INDEX_LENGTH: usize = 17;
const TEXT: usize = 22;

/// Deepest inlining, and functions asked to see whether trees are where they
/// seem to be.
const MAX_DEPTH: usize = 64;
const TRIED: usize = 64;

const RELOCATION: usize = 24;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
/// "Base plus addend".
const RELATIVE: u32 = if cfg!(target_arch = "aarch64") {
    1027
} else {
    8
};

/// A function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) name: &'a str,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    /// Address of its first instruction, unless it was inlined.
    pub(super) start: Option<u64>,
}

/// The table of a Go program.
#[derive(Debug)]
pub(super) struct GoTable {
    table: Pclntab,
    /// Address that references to trees of inlined functions count from.
    trees: Option<u64>,
}

/// Sections by which a Go program is known whose linker put the table into one
/// with other things.
const MARKS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];

/// Whether it is a Go program that has its section headers.
pub(super) fn is_go(elf: &Elf) -> bool {
    let mut names = SECTIONS.iter().chain(&MARKS);
    names.any(|name| elf.section(name).is_some())
}

impl GoTable {
    /// Finds and reads the table of a program, of which it takes `limit` bytes.
    pub(super) fn read(file: &File, elf: &Elf, limit: u64) -> Option<GoTable> {
        let place = find(file, elf)?;
        let relocations = Relocations::read(file, elf);
        let mut bytes = read_range(file, place.offset, place.size.min(limit), limit)?;
        relocations.apply(place.address, &mut bytes);
        let module = module_data(
            file,
            elf,
            &relocations,
            place.address,
            &Header::read(&bytes)?,
        );
        let word = |index: usize| module.as_deref()?.get(index).copied();
        let text = word(TEXT).or_else(|| elf.address_of(elf.section(".text")?.offset));
        let table = Pclntab::new(bytes, text.unwrap_or(0))?;
        let mut go = GoTable { table, trees: None };
        // Which word says where the trees are differs between releases: it is the
        // one where trees are.
        let words = module.unwrap_or_default().into_iter().skip(TEXT + 1);
        go.trees = words
            .into_iter()
            .find(|word| go.has_trees_at(file, elf, *word));
        Some(go)
    }

    /// The functions at an address, innermost first.
    pub(super) fn functions(&self, file: &File, elf: &Elf, address: u64) -> Vec<Found<'_>> {
        let Some(function) = self.table.function(address) else {
            return Vec::new();
        };
        let found = |name, address, start| {
            let line = self.table.line(&function, address);
            Found {
                name,
                file: line.map(|(file, _)| file),
                line: line.map(|(_, line)| line),
                start,
            }
        };
        let mut functions = Vec::new();
        let mut address = address;
        while functions.len() < MAX_DEPTH
            && let Some(inlined) = self.inlined(file, elf, self.trees, &function, address)
        {
            functions.push(found(inlined.name, address, None));
            address = inlined.call;
        }
        if let Some(name) = self.table.name(&function) {
            functions.push(found(name, address, Some(function.start)));
        }
        functions
    }

    /// Bytes of memory it takes.
    pub(super) fn size(&self) -> u64 {
        self.table.size() as u64
    }

    /// The inlined function that an instruction is of.
    fn inlined(
        &self,
        file: &File,
        elf: &Elf,
        trees: Option<u64>,
        function: &Function,
        address: u64,
    ) -> Option<Inlined<'_>> {
        let index = self.table.inline_index(function, address)?;
        let tree = trees?.checked_add(u64::from(self.table.inline_tree(function)?))?;
        let size = self.table.inlined_size();
        let entry = tree.checked_add(u64::from(index) * size as u64)?;
        let entry = read_range(file, elf.offset_of(entry)?.0, size as u64, 64)?;
        self.table.inlined(function, &entry)
    }

    /// Whether the trees of some functions are whole if all count from an address.
    fn has_trees_at(&self, file: &File, elf: &Elf, trees: u64) -> bool {
        if elf.offset_of(trees).is_none() {
            return false;
        }
        let functions = self.table.functions();
        let mut with_tree = functions
            .filter(|function| self.table.inline_tree(function).is_some())
            .take(TRIED)
            .peekable();
        let size = self.table.inlined_size();
        with_tree.peek().is_some()
            && with_tree.all(|function| {
                // Every tree has a first entry.
                let tree = self.table.inline_tree(&function).map(u64::from);
                let at = tree.and_then(|tree| elf.offset_of(trees.checked_add(tree)?));
                let entry = at.and_then(|(at, _)| read_range(file, at, size as u64, 64));
                entry.is_some_and(|entry| self.table.inlined(&function, &entry).is_some())
            })
    }
}

/// Where the table lies; where no section is it, it is searched for.
fn find(file: &File, elf: &Elf) -> Option<Load> {
    if let Some(section) = SECTIONS.iter().find_map(|name| elf.section(name)) {
        return Some(Load {
            offset: section.offset,
            address: elf.address_of(section.offset)?,
            size: section.size,
            writable: false,
        });
    }
    if !elf.sections.is_empty() && !is_go(elf) {
        return None;
    }
    elf.loads.iter().find_map(|load| {
        search(file, load, |at, bytes| {
            let mut header = [0; HEADER];
            bytes
                .get(4..8)
                .filter(|bytes| bytes.starts_with(&[0, 0]) && bytes[3] == 8)?;
            file.read_exact_at(&mut header, load.offset + at).ok()?;
            let size = load.size - at;
            let functions = Header::read(&header)?.index_entries();
            // Also a constant in code looks like this.
            (functions > 1 && functions.checked_mul(8)? < size).then_some(Load {
                offset: load.offset + at,
                address: load.address.wrapping_add(at),
                size,
                writable: false,
            })
        })
    })
}

/// Asks about the rest of a segment at each aligned place: how far it is from the
/// start, and the next bytes.
fn search<T>(file: &File, load: &Load, ask: impl Fn(u64, &[u8]) -> Option<T>) -> Option<T> {
    let size = load.size.min(MAX_SEARCHED);
    load.offset.checked_add(size)?;
    let mut at = 0;
    let mut chunk = vec![0; CHUNK];
    while at < size {
        let length = CHUNK.min((size - at) as usize);
        file.read_exact_at(&mut chunk[..length], load.offset + at)
            .ok()?;
        let words = chunk[..length].chunks_exact(8).zip((at..).step_by(8));
        if let Some(found) = words.into_iter().find_map(|(word, at)| ask(at, word)) {
            return Some(found);
        }
        at += length as u64;
    }
    None
}

/// The words of the module data: what begins with the address of the table.
fn module_data(
    file: &File,
    elf: &Elf,
    relocations: &Relocations,
    table: u64,
    header: &Header,
) -> Option<Vec<u64>> {
    let read = |address: u64| {
        let mut bytes = read_range(file, elf.offset_of(address)?.0, WORDS as u64 * 8, 1024)?;
        relocations.apply(address, &mut bytes);
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .filter_map(|word| u64_at(word, 0))
            .collect();
        let is_module = words.first() == Some(&table)
            && words.get(INDEX_LENGTH..INDEX_LENGTH + 2) == Some(&[header.index_entries(); 2]);
        is_module.then_some(words)
    };
    relocations.to(table).find_map(read).or_else(|| {
        let writable = elf.loads.iter().filter(|load| load.writable);
        writable.into_iter().find_map(|load| {
            search(file, load, |at, word| {
                (u64_at(word, 0) == Some(table)).then(|| read(load.address.wrapping_add(at)))?
            })
        })
    })
}

/// The addresses that the dynamic loader writes into a program: place and value,
/// by place. Some linkers leave the places empty.
#[derive(Debug, Default)]
struct Relocations(Vec<(u64, u64)>);

impl Relocations {
    fn read(file: &File, elf: &Elf) -> Relocations {
        Relocations::try_read(file, elf).unwrap_or_default()
    }

    fn try_read(file: &File, elf: &Elf) -> Option<Relocations> {
        let dynamic = elf.dynamic?;
        let entries = read_range(file, dynamic.offset, dynamic.size, 1 << 16)?;
        let value = |tag| {
            let mut entries = entries.chunks_exact(16);
            entries.find_map(|entry| (u64_at(entry, 0) == Some(tag)).then(|| u64_at(entry, 8))?)
        };
        let size = value(DT_RELASZ)?;
        let limit = MAX_RELOCATIONS * RELOCATION as u64;
        let bytes = read_range(file, elf.offset_of(value(DT_RELA)?)?.0, size, limit)?;
        let relative = bytes.chunks_exact(RELOCATION).filter_map(|entry| {
            let is_relative = u32_at(entry, 8)? == RELATIVE;
            is_relative.then_some((u64_at(entry, 0)?, u64_at(entry, 16)?))
        });
        let mut relocations: Vec<_> = relative.collect();
        relocations.sort_unstable();
        Some(Relocations(relocations))
    }

    /// Writes the values into the bytes that are loaded to an address.
    fn apply(&self, address: u64, bytes: &mut [u8]) {
        let first = self.0.partition_point(|(place, _)| *place < address);
        for (place, value) in &self.0[first..] {
            let at = (place - address) as usize;
            let Some(word) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
                return;
            };
            *word = value.to_ne_bytes();
        }
    }

    /// The places that get a value.
    fn to(&self, value: u64) -> impl Iterator<Item = u64> {
        let with_value = self.0.iter().filter(move |(_, other)| *other == value);
        with_value.map(|(place, _)| *place)
    }
}

#[cfg(test)]
#[path = "go_tests.rs"]
mod tests;
