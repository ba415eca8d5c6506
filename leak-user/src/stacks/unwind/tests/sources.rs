//! Where the information comes from, how functions share the code, and what is no
//! such file.

use std::process::Command;

use object::{Object, ObjectSymbol};

use super::made::{CODE, Elf, Frames, Storage};
use super::{by_stack, rules_at, sound};
use crate::stacks::unwind::{TableError, build};

const DEF_CFA_OFFSET: u8 = 0x0e;

/// A function at each of `places` (start and end), told apart by its CFA's offset.
fn functions(mut frames: Frames, places: &[(u64, u64, u8)]) -> Frames {
    let common = frames.common();
    for &(start, end, offset) in places {
        let instructions = [DEF_CFA_OFFSET, offset];
        frames.function(common, start, end - start, &instructions);
    }
    frames
}

#[test]
fn files_without_section_headers_are_read_by_their_segments() {
    let elf = Elf::with(functions(Frames::eh(), &[(0, 16, 8), (32, 40, 24)]));
    let stripped = Elf {
        section_headers: false,
        ..Elf::with(elf.eh_frame.clone().unwrap())
    };
    let mut table = sound(&stripped.bytes());
    assert_eq!(table.rule_at(CODE + 39), Some(by_stack(24)));
    table.statistics = sound(&elf.bytes()).statistics;
    assert_eq!(table, sound(&elf.bytes()));
}

#[test]
fn images_need_no_alignment() {
    let elf = Elf::with(functions(Frames::eh(), &[(0, 16, 8)])).bytes();
    let shifted = [&[0], &elf[..]].concat();
    assert_eq!(sound(&shifted[1..]), sound(&elf));
}

#[test]
fn debug_frame_fills_what_eh_frame_leaves() {
    let eh = &[(0, 16, 8), (32, 48, 16)];
    // Covered, in the gap and beyond it, behind all.
    let debug = &[(0, 16, 32), (20, 40, 40), (48, 64, 48)];
    for storage in [
        Storage::Plain,
        Storage::Zlib,
        Storage::Zstd,
        Storage::GnuZlib,
    ] {
        let elf = Elf {
            debug_frame: Some((functions(Frames::debug(), debug), storage)),
            ..Elf::with(functions(Frames::eh(), eh))
        };
        let table = sound(&elf.bytes());
        let places = [0, 15, 16, 20, 31, 32, 47, 48, 64].map(|skip| CODE + skip);
        assert_eq!(
            rules_at(&table, places).map(|rule| rule.map(|rule| rule.cfa_offset)),
            [
                Some(8),
                Some(8),
                None,
                Some(40),
                Some(40),
                Some(16),
                Some(16),
                Some(48),
                None
            ],
            "{storage:?}"
        );
    }
}

#[test]
fn functions_within_functions_win() {
    let places = [
        (0, 64, 8),
        (16, 32, 16),
        (16, 24, 24),
        (40, 40, 32),
        (60, 70, 40),
    ];
    let table = sound(&Elf::with(functions(Frames::eh(), &places)).bytes());
    let found = [0, 16, 24, 31, 32, 40, 60, 69, 70].map(|skip| {
        let rule = table.rule_at(CODE + skip);
        rule.map_or(0, |rule| rule.cfa_offset)
    });
    assert_eq!(found, [8, 24, 16, 16, 8, 8, 40, 40, 0]);
    assert_eq!(table.statistics.functions, 4);
}

#[test]
fn functions_end_with_their_segment() {
    let size = Elf::default().code.len() as u64;
    let before = u64::MAX - 0x40_0000;
    let places = [(size - 8, size + 100, 16), (size + 8, size + 16, 24)];
    let mut frames = functions(Frames::eh(), &places);
    let common = frames.common();
    frames.function(common, 16, u64::MAX, &[]);
    frames.function(common, before, 32, &[]);
    let table = sound(&Elf::with(frames).bytes());
    assert_eq!(table.rule_at(CODE + size - 1), Some(by_stack(16)));
    assert_eq!(table.rule_at(CODE + size), None);
    assert_eq!(table.rule_at(CODE + 16), Some(by_stack(8)));
    assert_eq!(table.statistics.functions, 2);
}

#[test]
fn page_with_too_many_rows_is_unknown() {
    // The code begins with a page; the second page has a row for each byte.
    let mut instructions = vec![0x03, 0x00, 0x02];
    for byte in 0..512u16 {
        instructions.extend([DEF_CFA_OFFSET, 16 + (byte % 2 * 8) as u8, 0x41]);
    }
    let mut frames = Frames::eh();
    let common = frames.common();
    frames.function(common, 0, 2048, &instructions);
    let table = sound(&Elf::with(frames).bytes());
    let places = [0, 511, 512, 1023, 1024, 2047].map(|skip| CODE + skip);
    let found = rules_at(&table, places).map(|rule| rule.map(|rule| rule.cfa_offset));
    assert_eq!(found, [Some(8), Some(8), None, None, Some(24), Some(24)]);
    assert_eq!(table.statistics.crowded_pages, 1);
}

#[test]
fn file_without_unwind_information_has_no_pages() {
    let table = sound(&Elf::default().bytes());
    assert!(table.pages.is_empty() && table.rows.is_empty() && table.rules.is_empty());
    assert_eq!(table.rule_at(CODE), None);
}

#[test]
fn what_is_no_file_with_code_is_refused() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Elf::with(functions(Frames::eh(), &[(0, 16, 8)])).bytes();
        change(&mut bytes);
        build(&bytes).unwrap_err()
    };
    assert_eq!(refused(&|bytes| bytes.clear()), TableError::NotElf);
    assert_eq!(refused(&|bytes| bytes.truncate(100)), TableError::NotElf);
    assert_eq!(refused(&|bytes| bytes[0] = 0), TableError::NotElf);
    assert_eq!(refused(&|bytes| bytes[4] = 1), TableError::Machine(62));
    assert_eq!(refused(&|bytes| bytes[5] = 2), TableError::Machine(62));
    assert_eq!(refused(&|bytes| bytes[18] = 243), TableError::Machine(243));
    assert_eq!(refused(&|bytes| bytes[68] = 4), TableError::NoCode);
    assert_eq!(
        refused(&|bytes| bytes.truncate(CODE as usize)),
        TableError::NoCode
    );
}

const SOURCE: &str = "
extern long other(long, long);
long outer(long a, long *b) {
    long sum = 0;
    for (long i = 0; i < a; i++) sum += other(i, b[i]) * other(b[i], sum);
    return sum;
}
long frame(long a) { volatile char many[a]; many[0] = 1; return other(many[0], a); }
";

/// Compiles [`SOURCE`]; `None` if there is no compiler.
fn compiled(directory: &std::path::Path, name: &str, options: &[&str]) -> Option<Vec<u8>> {
    let source = directory.join("source.c");
    std::fs::write(&source, SOURCE).unwrap();
    let made = directory.join(name);
    let done = Command::new("gcc")
        .args(["-O2", "-g", "-fPIC", "-shared", "-nostdlib"])
        .args(options)
        .arg("-o")
        .args([&made, &source])
        .output()
        .ok()?;
    done.status.success().then(|| std::fs::read(&made).unwrap())
}

/// The rule of each byte of a function.
fn rules_of(bytes: &[u8], function: &str) -> Vec<Option<super::Rule>> {
    let table = sound(bytes);
    let file = object::File::parse(bytes).unwrap();
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(function));
    let symbol = symbol.unwrap();
    let start = super::files::file_offset(&file, symbol.address()).unwrap();
    let rules = start..start + symbol.size();
    rules.map(|place| table.rule_at(place)).collect()
}

#[test]
fn compilers_say_the_same_in_both_sections() {
    let directory = tempfile::tempdir().unwrap();
    let without = [
        "-fno-asynchronous-unwind-tables",
        "-fno-unwind-tables",
        "-fno-exceptions",
    ];
    let Some(eh) = compiled(directory.path(), "eh", &[]) else {
        return;
    };
    let mut compared = 0;
    for compression in ["none", "zlib", "zlib-gnu", "zstd"] {
        let option = format!("-gz={compression}");
        let options = [&without[..], &[&option]].concat();
        // Older compilers know fewer compressions.
        if let Some(debug) = compiled(directory.path(), compression, &options) {
            for function in ["outer", "frame"] {
                let rules = rules_of(&debug, function);
                assert!(rules.iter().all(Option::is_some));
                assert_eq!(rules, rules_of(&eh, function), "{function}, {compression}");
            }
            compared += 1;
        }
    }
    assert!(compared > 0);
}
