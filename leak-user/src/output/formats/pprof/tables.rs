//! The tables of a profile: strings, functions, mappings and locations, each entry once.

use std::collections::HashMap;

use super::proto::{Function, Line, Location, Mapping, Profile};
use crate::model::{escape::escape, hex::Hex, report::Frame};

/// Size of the pages that a mapping's edges lie on. Larger ones exist; the edges say no
/// more than that the addresses met lie between them.
const PAGE: u64 = 4096;

/// A profile that is being filled.
pub(super) struct Tables {
    pub(super) profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
    /// By module, build id, and the address that the file's beginning has or would have.
    mappings: HashMap<(i64, i64, u64), u64>,
    locations: HashMap<(u64, u64, Vec<Line>), u64>,
}

impl Tables {
    pub(super) fn new() -> Tables {
        let mut tables = Tables {
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            mappings: HashMap::new(),
            locations: HashMap::new(),
        };
        tables.string("");
        tables
    }

    /// The number of a string. It is escaped: pprof prints names as they are.
    pub(super) fn string(&mut self, text: &str) -> i64 {
        let table = &mut self.profile.string_table;
        let number = table.len() as i64;
        let text = escape(text);
        *self.strings.entry(text).or_insert_with_key(|text| {
            table.push(text.clone());
            number
        })
    }

    /// The locations of a stack. Functions that were inlined share the location of the
    /// one they were inlined into, which follows them.
    pub(super) fn stack(&mut self, stack: &[Frame]) -> Vec<u64> {
        stack
            .chunk_by(|frame, next| frame.inlined && frame.address == next.address)
            .map(|frames| self.location(frames))
            .collect()
    }

    /// A location that has a name and nothing else.
    pub(super) fn named(&mut self, name: &str) -> u64 {
        self.location(&[Frame {
            symbol: name.to_owned(),
            ..Frame::default()
        }])
    }

    fn location(&mut self, frames: &[Frame]) -> u64 {
        let lines: Vec<Line> = frames
            .iter()
            .filter(|frame| !frame.symbol.is_empty())
            .map(|frame| self.line(frame))
            .collect();
        let last = frames.last().expect("a chunk is not empty");
        let Hex(address) = last.address;
        let mapping_id = self.mapping(last, address, !lines.is_empty());
        let table = &mut self.profile.location;
        let id = table.len() as u64 + 1;
        *self
            .locations
            .entry((mapping_id, address, lines))
            .or_insert_with_key(|(_, _, lines)| {
                table.push(Location {
                    id,
                    mapping_id,
                    address,
                    line: lines.clone(),
                });
                id
            })
    }

    fn line(&mut self, frame: &Frame) -> Line {
        let name = self.string(&frame.symbol);
        let filename = self.string(frame.file.as_deref().unwrap_or_default());
        let table = &mut self.profile.function;
        let id = table.len() as u64 + 1;
        let function_id = *self.functions.entry((name, filename)).or_insert_with(|| {
            table.push(Function {
                id,
                name,
                system_name: name,
                filename,
            });
            id
        });
        Line {
            function_id,
            line: i64::from(frame.line.unwrap_or(0)),
        }
    }

    /// The mapping that a frame lies in, made larger if need be; 0 for none.
    fn mapping(&mut self, frame: &Frame, address: u64, named: bool) -> u64 {
        if frame.module.is_empty() {
            return 0;
        }
        let filename = self.string(&frame.module);
        let build_id = self.string(frame.build_id.as_deref().unwrap_or_default());
        let offset = frame.module_offset.map_or(address, |Hex(offset)| offset);
        let base = address.wrapping_sub(offset);
        let table = &mut self.profile.mapping;
        let id = *self
            .mappings
            .entry((filename, build_id, base))
            .or_insert_with(|| {
                let id = table.len() as u64 + 1;
                table.push(Mapping {
                    id,
                    memory_start: u64::MAX,
                    filename,
                    build_id,
                    ..Mapping::default()
                });
                id
            });
        let mapping = &mut table[id as usize - 1];
        mapping.memory_start = mapping.memory_start.min(address / PAGE * PAGE);
        let end = (address / PAGE).saturating_add(1).saturating_mul(PAGE);
        mapping.memory_limit = mapping.memory_limit.max(end);
        mapping.file_offset = mapping.memory_start.wrapping_sub(base);
        // Where we found names, pprof would find no better ones: it does not look.
        if named {
            mapping.has_functions = true;
            mapping.has_filenames = true;
            mapping.has_line_numbers = true;
            mapping.has_inline_frames = true;
        }
        id
    }
}
