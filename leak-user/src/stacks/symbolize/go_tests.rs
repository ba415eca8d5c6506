#![allow(clippy::unwrap_used, reason = "tests")]
//! Programs made here: one segment with module data, table and trees, by its own
//! address space at 0x10000.

use std::io::Write;

use super::super::pclntab::tests as made;
use super::*;

const BASE: u64 = 0x1_0000;
const MODULE: u64 = 0x400;
const TABLE: u64 = 0x800;
const TREES: u64 = 0xf00;
const DYNAMIC: u64 = 0x200;
const RELA: u64 = 0x300;
const SIZE: usize = 0x1000;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

/// How a program says where things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linked {
    /// Addresses are in their places.
    There,
    /// The dynamic loader puts them there.
    Relocated,
}

/// A program of which only the segment is described: no section headers.
fn program(magic: u32, linked: Linked, said: u64) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    let mut put = |at: u64, new: &[u8]| bytes[at as usize..][..new.len()].copy_from_slice(new);
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_ne_bytes()).collect() };
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &3u16.to_ne_bytes());
    put(32, &words(&[64]));
    put(54, &[56, 0, 2, 0]);
    for (at, kind, address, offset, size) in [
        (64, PT_LOAD, BASE, 0, SIZE as u64),
        (120, PT_DYNAMIC, BASE + DYNAMIC, DYNAMIC, 48),
    ] {
        put(at, &kind.to_ne_bytes());
        put(at + 4, &6u32.to_ne_bytes());
        put(at + 8, &words(&[offset, address, address, size, size, 8]));
    }
    put(TABLE, &made::table(magic, said));
    put(TREES, &made::inlined(magic));
    put(MODULE + INDEX_LENGTH as u64 * 8, &words(&[3, 3]));
    let addresses = [
        (MODULE, BASE + TABLE),
        (MODULE + TEXT as u64 * 8, made::TEXT),
        (MODULE + 40 * 8, BASE + TREES),
    ];
    for (index, (at, address)) in (0..).zip(addresses) {
        match linked {
            Linked::There => put(at, &words(&[address])),
            Linked::Relocated => put(
                RELA + index * 24,
                &words(&[BASE + at, u64::from(RELATIVE), address]),
            ),
        }
    }
    put(DYNAMIC, &words(&[DT_RELA, BASE + RELA, DT_RELASZ, 72]));
    bytes
}

fn read(bytes: &[u8]) -> (File, Elf, Option<GoTable>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let elf = Elf::read(&file).unwrap();
    let go = GoTable::read(&file, &elf, 1 << 20);
    (file, elf, go)
}

#[test]
fn inlined_functions_are_found_however_the_program_is_linked() {
    for (magic, linked, said) in [
        (0xffff_fff0, Linked::There, made::TEXT),
        (0xffff_fff1, Linked::There, made::TEXT),
        (0xffff_fff1, Linked::There, 0),
        (0xffff_fff0, Linked::Relocated, made::TEXT),
        (0xffff_fff1, Linked::Relocated, 0),
    ] {
        let (file, elf, go) = read(&program(magic, linked, said));
        let go = go.unwrap();
        assert_eq!(go.trees, Some(BASE + TREES), "{magic:x} {linked:?}");
        let found = |name, file, line, start| Found {
            name,
            file: Some(file),
            line: Some(line),
            start,
        };
        let names = go.functions(&file, &elf, made::TEXT + 20);
        let expected = [
            found("main.inner", "/b.go", 7, None),
            found("main.outer", "/a.go", 12, Some(made::TEXT)),
        ];
        assert_eq!(names, expected, "{magic:x} {linked:?} {said}");
        let names = go.functions(&file, &elf, made::TEXT + 8);
        assert_eq!(names, expected[1..], "{magic:x} {linked:?} {said}");
        assert_eq!(go.functions(&file, &elf, made::TEXT + 96), []);
    }
}

#[test]
fn without_module_data_there_are_functions_and_lines() {
    for magic in made::MAGICS {
        let mut bytes = program(magic, Linked::There, made::TEXT);
        bytes[MODULE as usize..TABLE as usize].fill(0);
        let (file, elf, go) = read(&bytes);
        // The first layout is found all the same.
        let go = go.unwrap();
        assert_eq!(go.trees, None);
        let names = go.functions(&file, &elf, made::TEXT + 64);
        assert_eq!(names.len(), 1, "{magic:x}");
        assert_eq!(names[0].name, "gopkg.in/x%2ev2.(*T).Leaf");
        assert_eq!((names[0].file, names[0].line), (Some("/b.go"), Some(99)));
    }
}

#[test]
fn a_program_of_another_language_has_no_table() {
    let file = File::open("/proc/self/exe").unwrap();
    let elf = Elf::read(&file).unwrap();
    assert!(!is_go(&elf) && GoTable::read(&file, &elf, 1 << 30).is_none());
    let (.., go) = read(&program(0xffff_fff1, Linked::There, 0)[..0xa00]);
    assert!(go.is_none());
}

#[test]
fn damaged_programs_do_no_harm() {
    let whole = program(0xffff_fff1, Linked::Relocated, 0);
    for at in (DYNAMIC..SIZE as u64).step_by(4) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at as usize..][..4].fill(value);
            let (file, elf, go) = read(&bytes);
            if let Some(go) = go {
                for offset in [0, 8, 20, 64, 95] {
                    go.functions(&file, &elf, made::TEXT + offset);
                }
            }
        }
    }
}
