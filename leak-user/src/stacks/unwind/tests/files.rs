//! Tables of this machine's files say what gimli says of each place.

use std::path::Path;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian,
    Reader, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow,
};
use leak_common::unwind::{Rule, cfa, frame_pointer, return_address};
use object::{Object, ObjectSection, ObjectSegment};

use super::{by_stack, sound};

/// Places compared in a file: all of most, some of the largest.
const MAX_PLACES: usize = 110_000;

type Section<'a> = EhFrame<EndianSlice<'a, LittleEndian>>;

/// Where an address of an executable segment is in the file.
pub(super) fn file_offset(file: &object::File<'_>, address: u64) -> Option<u64> {
    file.segments().find_map(|segment| {
        let object::SegmentFlags::Elf { p_flags, .. } = segment.flags() else {
            return None;
        };
        let (offset, size) = segment.file_range();
        let skip = address.checked_sub(segment.address())?;
        (p_flags & 1 != 0 && skip < size).then_some(offset + skip)
    })
}

/// What gimli knows of a file.
struct Reference<'a> {
    file: object::File<'a>,
    section: Section<'a>,
    bases: BaseAddresses,
    /// By address. Functions without length are left out: gimli's own search finds
    /// them in place of the function that they stand before.
    functions: Vec<FrameDescriptionEntry<EndianSlice<'a, LittleEndian>>>,
}

impl<'a> Reference<'a> {
    fn new(bytes: &'a [u8]) -> Reference<'a> {
        let file = object::File::parse(bytes).unwrap();
        let frames = file.section_by_name(".eh_frame").unwrap();
        let text = file.section_by_name(".text").unwrap();
        let bases = BaseAddresses::default()
            .set_eh_frame(frames.address())
            .set_text(text.address());
        let section = EhFrame::new(frames.data().unwrap(), LittleEndian);
        let mut functions = Vec::new();
        let mut entries = section.entries(&bases);
        while let Some(entry) = entries.next().unwrap() {
            if let CieOrFde::Fde(partial) = entry {
                functions.push(partial.parse(Section::cie_from_offset).unwrap());
            }
        }
        functions.retain(|function| function.len() > 0);
        functions.sort_by_key(|function| function.initial_address());
        Reference {
            file,
            section,
            bases,
            functions,
        }
    }

    /// The addresses where rows begin and functions end.
    fn boundaries(&self) -> Vec<u64> {
        let mut boundaries = Vec::new();
        let mut context = UnwindContext::new();
        for function in &self.functions {
            let rows = function.rows(&self.section, &self.bases, &mut context);
            let mut rows = rows.unwrap();
            while let Some(row) = rows.next_row().unwrap() {
                boundaries.push(row.start_address());
            }
            boundaries.push(function.end_address());
        }
        boundaries
    }

    fn rule_at(&self, context: &mut UnwindContext<usize>, address: u64) -> Option<Rule> {
        let after = self
            .functions
            .partition_point(|function| function.initial_address() <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        if !function.contains(address) {
            return None;
        }
        if function.is_signal_trampoline() {
            return Some(Rule {
                cfa: cfa::SIGNAL,
                ..by_stack(0)
            });
        }
        let row = function
            .unwind_info_for_address(&self.section, &self.bases, context, address)
            .unwrap();
        self.rule(row)
    }

    /// The rule of a row of x86-64.
    fn rule(&self, row: &UnwindTableRow<usize>) -> Option<Rule> {
        let returns = row.register(Register(16))?;
        if returns == RegisterRule::Undefined {
            return Some(Rule {
                cfa: cfa::END,
                ..by_stack(0)
            });
        }
        let (cfa, cfa_offset, cfa_addend) = self.cfa(row.cfa())?;
        let (frame_pointer, frame_pointer_offset) = match row.register(Register(6)) {
            None => (frame_pointer::SAME, 0),
            Some(RegisterRule::Offset(offset)) => (frame_pointer::AT_CFA, offset as i32),
            Some(RegisterRule::Expression(expression)) => match self.bytes(expression) {
                [0x76, offset @ ..0x80] => {
                    // Seven bits with sign.
                    let offset = i32::from((*offset as i8) << 1) / 2;
                    (frame_pointer::AT_FRAME_POINTER, offset)
                }
                _ => return None,
            },
            Some(_) => return None,
        };
        Some(Rule {
            cfa,
            frame_pointer,
            return_address: match returns {
                RegisterRule::Offset(-8) => return_address::AT_CFA,
                RegisterRule::Register(Register(5)) => return_address::IN_REGISTER,
                _ => return None,
            },
            cfa_addend,
            cfa_offset,
            frame_pointer_offset,
            return_offset: -8,
        })
    }

    fn cfa(&self, rule: &CfaRule<usize>) -> Option<(u8, i32, u8)> {
        let expression = match rule {
            CfaRule::RegisterAndOffset { register, offset } => match register.0 {
                7 => return Some((cfa::STACK_POINTER, *offset as i32, 0)),
                6 => return Some((cfa::FRAME_POINTER, *offset as i32, 0)),
                _ => return None,
            },
            CfaRule::Expression(expression) => self.bytes(*expression),
        };
        if let [0x77, 8, 0x80, 0, 0x3f, 0x1a, from, 0x2a, 0x33, 0x24, 0x22] = *expression {
            return Some((cfa::PLT, i32::from(from) - 0x30, 0));
        }
        let (base, rest) = expression.split_first()?;
        let mut rest = EndianSlice::new(rest, LittleEndian);
        let offset = rest.read_sleb128().ok()? as i32;
        let base = match *base {
            0x76 => cfa::LOADED_BY_FRAME_POINTER,
            0x77 => cfa::LOADED_BY_STACK_POINTER,
            _ => return None,
        };
        match *rest.slice() {
            [0x06] => Some((base, offset, 0)),
            [0x06, 0x23, addend @ ..0x80] => Some((base, offset, addend)),
            _ => None,
        }
    }

    fn bytes(&self, expression: UnwindExpression<usize>) -> &'a [u8] {
        expression.get(&self.section).unwrap().0.slice()
    }
}

fn assert_equal(path: &Path) {
    let Ok(bytes) = std::fs::read(path) else {
        return;
    };
    let table = sound(&bytes);
    let reference = Reference::new(&bytes);
    let boundaries = reference.boundaries();
    let step = boundaries.len().div_ceil(MAX_PLACES / 3);
    let mut context = UnwindContext::new();
    for boundary in boundaries.into_iter().step_by(step) {
        for address in [boundary - 1, boundary, boundary + 1] {
            let Some(place) = file_offset(&reference.file, address) else {
                continue;
            };
            assert_eq!(
                table.rule_at(place),
                reference.rule_at(&mut context, address),
                "{} at {address:#x}",
                path.display()
            );
        }
    }
    let statistics = table.statistics;
    assert_eq!((statistics.malformed, statistics.dropped), (0, 0));
    assert_eq!(statistics.crowded_pages, 0);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "its files are not of x86-64")]
fn tables_of_libraries_say_what_gimli_says() {
    for directory in ["/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"] {
        for name in [
            "libc.so.6",
            "ld-linux-x86-64.so.2",
            "libstdc++.so.6",
            "libcrypto.so.3",
        ] {
            assert_equal(&Path::new(directory).join(name));
        }
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "its files are not of x86-64")]
fn tables_of_programs_say_what_gimli_says() {
    assert_equal(Path::new("/bin/sh"));
    assert_equal(Path::new("/bin/bash"));
    assert_equal(Path::new("/proc/self/exe"));
}

#[test]
fn image_of_the_kernels_code_in_memory_has_a_table() {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let Some(line) = maps.lines().find(|line| line.ends_with("[vdso]")) else {
        return;
    };
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let [start, end] = [start, end].map(|place| u64::from_str_radix(place, 16).unwrap());
    let mut image = vec![0; (end - start) as usize];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    memory.read_exact_at(&mut image, start).unwrap();
    let table = sound(&image);
    assert!(table.statistics.functions > 0);
    assert!(!table.pages.is_empty());
}
