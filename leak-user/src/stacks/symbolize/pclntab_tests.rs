#![allow(clippy::unwrap_used, reason = "tests")]
//! Tables of all layouts, made here: a function of 64 bytes that another one was
//! inlined into, and behind it one of 32 bytes.

use proptest::prelude::*;

use super::*;

pub(in crate::stacks::symbolize) const TEXT: u64 = 0x1000;
pub(in crate::stacks::symbolize) const MAGICS: [u32; 4] =
    [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1];

const OUTER: &str = "main.outer";
const INNER: &str = "main.inner";
const LEAF: &str = "gopkg.in/x%2ev2.(*T).Leaf";

/// Values with the number of bytes of code each is valid for.
fn values(steps: &[(i32, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut number = |mut number: u32| {
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    };
    let mut last = -1i32;
    for (value, length) in steps {
        let difference = value - last;
        number(((difference << 1) ^ (difference >> 31)) as u32);
        number(*length);
        last = *value;
    }
    number(0);
    bytes
}

/// Appends and says where.
fn add(to: &mut Vec<u8>, bytes: &[u8]) -> u32 {
    let at = to.len() as u32;
    to.extend(bytes);
    at
}

/// The bytes of a table; `said` is what its header says of where code begins.
pub(in crate::stacks::symbolize) fn table(magic: u32, said: u64) -> Vec<u8> {
    let version = MAGICS.iter().position(|other| *other == magic).unwrap();
    let mut names = Vec::new();
    let [outer, leaf] =
        [OUTER, LEAF].map(|name| add(&mut names, &[name.as_bytes(), &[0]].concat()));
    add(&mut names, &[INNER.as_bytes(), &[0]].concat());
    let mut files = Vec::new();
    let paths = ["/a.go", "/b.go"].map(|path| add(&mut files, &[path.as_bytes(), &[0]].concat()));
    let mut tables = vec![0];
    // Numbers of files count from 1 in the first layout, whose number 0 is its length.
    let (a, b) = if version == 0 { (1, 2) } else { (0, 1) };
    let outer_files = add(&mut tables, &values(&[(a, 16), (b, 16), (a, 32)]));
    let outer_lines = add(
        &mut tables,
        &values(&[(10, 8), (12, 8), (7, 16), (300, 32)]),
    );
    let outer_inlined = add(&mut tables, &values(&[(-1, 16), (0, 16), (-1, 32)]));
    let leaf_files = add(&mut tables, &values(&[(b, 32)]));
    let leaf_lines = add(&mut tables, &values(&[(99, 32)]));
    let functions = [
        (0, outer, [outer_files, outer_lines, outer_inlined], 0),
        (64, leaf, [leaf_files, leaf_lines, 0], u32::MAX),
    ];

    // Header, names, units, files, values, index with descriptions.
    let mut bytes = Vec::new();
    bytes.extend(magic.to_ne_bytes());
    bytes.extend([0, 0, 1, 8]);
    bytes.extend(2u64.to_ne_bytes());
    if version == 0 {
        return first_layout(bytes, functions, &names, &files, paths, &tables);
    }
    bytes.extend(2u64.to_ne_bytes());
    if version >= 2 {
        bytes.extend(said.to_ne_bytes());
    }
    let units: Vec<u8> = paths.iter().flat_map(|path| path.to_ne_bytes()).collect();
    let header = bytes.len() + 5 * 8;
    let mut parts = Vec::new();
    for part in [&names, &units, &files, &tables] {
        bytes.extend(((header + parts.len()) as u64).to_ne_bytes());
        parts.extend(part);
        parts.resize(parts.len().next_multiple_of(8), 0);
    }
    bytes.extend(((header + parts.len()) as u64).to_ne_bytes());
    bytes.extend(parts);

    let entry = if version >= 2 { 8 } else { 16 };
    let mut described = Vec::new();
    for (start, name, [files, lines, inlined], tree) in functions {
        let at = (3 * entry + described.len()) as u64;
        index_entry(&mut bytes, version, start, at);
        match version {
            1 => described.extend((TEXT + start).to_ne_bytes()),
            _ => described.extend((start as u32).to_ne_bytes()),
        }
        for field in [name, 0, 0, 0, files, lines, 3, 0] {
            described.extend(field.to_ne_bytes());
        }
        if version == 3 {
            described.extend(1u32.to_ne_bytes());
        }
        described.extend([0, 0, 0, 4]);
        for field in [0, 0, inlined, u32::MAX, u32::MAX, u32::MAX, tree] {
            described.extend(field.to_ne_bytes());
        }
        described.resize(described.len().next_multiple_of(8), 0);
    }
    index_entry(&mut bytes, version, 96, 0);
    bytes.extend(described);
    bytes
}

fn index_entry(bytes: &mut Vec<u8>, version: usize, start: u64, at: u64) {
    if version >= 2 {
        bytes.extend((start as u32).to_ne_bytes());
        bytes.extend((at as u32).to_ne_bytes());
    } else {
        bytes.extend((TEXT + start).to_ne_bytes());
        bytes.extend(at.to_ne_bytes());
    }
}

/// All references count from the start: index, then what it refers to.
fn first_layout(
    mut bytes: Vec<u8>,
    functions: [(u64, u32, [u32; 3], u32); 2],
    names: &[u8],
    files: &[u8],
    paths: [u32; 2],
    tables: &[u8],
) -> Vec<u8> {
    const DESCRIPTION: u32 = 8 + 8 * 4;
    let descriptions = 16 + 2 * 16 + 8 + 8;
    let names_at = descriptions + 2 * DESCRIPTION;
    let files_at = names_at + names.len() as u32;
    let tables_at = files_at + files.len() as u32;
    let list_at = tables_at + tables.len() as u32;
    for (index, (start, ..)) in functions.iter().enumerate() {
        let at = descriptions + index as u32 * DESCRIPTION;
        index_entry(&mut bytes, 0, *start, u64::from(at));
    }
    bytes.extend((TEXT + 96).to_ne_bytes());
    bytes.extend(u64::from(list_at).to_ne_bytes());
    for (start, name, [files, lines, _], _) in functions {
        bytes.extend((TEXT + start).to_ne_bytes());
        let (files, lines) = (tables_at + files, tables_at + lines);
        for field in [names_at + name, 0, 0, 0, files, lines, 0, 0] {
            bytes.extend(field.to_ne_bytes());
        }
    }
    bytes.extend([names, files, tables].concat());
    bytes.extend(3u32.to_ne_bytes());
    for path in paths {
        bytes.extend((files_at + path).to_ne_bytes());
    }
    bytes
}

/// The entry of the tree for the function that was inlined.
pub(in crate::stacks::symbolize) fn inlined(magic: u32) -> Vec<u8> {
    let name = (OUTER.len() + LEAF.len() + 2) as u32;
    let fields: &[u32] = match magic {
        0xffff_fff1 => &[0, name, 12, 1],
        _ => &[0, 0, 12, name, 12],
    };
    fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect()
}

#[test]
fn functions_of_all_layouts_have_names_files_and_lines() {
    for magic in MAGICS {
        let table = Pclntab::new(table(magic, TEXT), 0).unwrap();
        for (offset, name, file, line) in [
            (0, OUTER, "/a.go", 10),
            (7, OUTER, "/a.go", 10),
            (8, OUTER, "/a.go", 12),
            (16, OUTER, "/b.go", 7),
            (63, OUTER, "/a.go", 300),
            (64, LEAF, "/b.go", 99),
            (95, LEAF, "/b.go", 99),
        ] {
            let function = table.function(TEXT + offset).unwrap();
            assert_eq!(table.name(&function), Some(name), "{magic:x} {offset}");
            let found = table.line(&function, TEXT + offset);
            assert_eq!(found, Some((file, line)), "{magic:x} {offset}");
        }
        for beyond in [0, TEXT - 1, TEXT + 96, u64::MAX] {
            assert_eq!(table.function(beyond), None, "{magic:x} {beyond:x}");
        }
        assert_eq!(table.functions().count(), 2);
    }
}

#[test]
fn what_was_inlined_is_known_from_go_1_18_on() {
    for magic in MAGICS {
        let table = Pclntab::new(table(magic, TEXT), 0).unwrap();
        let [outer, leaf] = [0, 64].map(|offset| table.function(TEXT + offset).unwrap());
        let known = magic == 0xffff_fff0 || magic == 0xffff_fff1;
        let index = table.inline_index(&outer, TEXT + 20);
        assert_eq!(index, known.then_some(0), "{magic:x}");
        assert_eq!(table.inline_index(&outer, TEXT + 15), None);
        assert_eq!(table.inline_tree(&outer), known.then_some(0), "{magic:x}");
        assert_eq!(table.inline_tree(&leaf), None);
        if known {
            let entry = inlined(magic);
            assert_eq!(entry.len(), table.inlined_size());
            let found = table.inlined(&outer, &entry).unwrap();
            assert_eq!((found.name, found.call), (INNER, TEXT + 12));
            // A call behind the end of the function, half a name, half an entry.
            assert_eq!(table.inlined(&leaf, &[0xff; 20]), None);
            assert_eq!(table.inlined(&outer, &entry[1..]), None);
        }
    }
}

#[test]
fn where_code_begins_may_be_said_elsewhere() {
    let bytes = table(0xffff_fff1, 0);
    let table = Pclntab::new(bytes, 0x5000).unwrap();
    let function = table.function(0x5041).unwrap();
    assert_eq!(table.name(&function), Some(LEAF));
}

fn ask_everything(bytes: Vec<u8>) {
    let Some(table) = Pclntab::new(bytes, TEXT) else {
        return;
    };
    for address in [0, TEXT, TEXT + 20, TEXT + 64, TEXT + 95, u64::MAX - 1] {
        let Some(function) = table.function(address) else {
            continue;
        };
        table.name(&function);
        table.line(&function, address);
        table.inline_index(&function, address);
        table.inline_tree(&function);
        table.inlined(&function, &[0xff; 20]);
    }
    for function in table.functions().take(100) {
        table.line(&function, function.end.wrapping_sub(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_tables_do_no_harm(
        magic in 0..4usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = table(MAGICS[magic], TEXT);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            let length = length.index(bytes.len());
            bytes.truncate(length);
        }
        ask_everything(bytes);
    }

    #[test]
    fn any_bytes_behind_a_header_do_no_harm(
        magic in 0..4usize,
        rest in prop::collection::vec(any::<u8>(), 0..300),
        functions in 0..40u64,
    ) {
        let mut bytes = MAGICS[magic].to_ne_bytes().to_vec();
        bytes.extend([0, 0, 1, 8]);
        bytes.extend(functions.to_ne_bytes());
        bytes.extend(rest);
        ask_everything(bytes);
    }

    #[test]
    fn values_are_those_encoded(
        steps in prop::collection::vec((-1000..100_000i32, 1..300u32), 1..40),
    ) {
        // A repeated value is not written twice.
        let mut distinct: Vec<(i32, u32)> = Vec::new();
        for (value, length) in steps {
            match distinct.last_mut() {
                Some(last) if last.0 == value => last.1 += length,
                _ => distinct.push((value, length)),
            }
        }
        let mut bytes = table(0xffff_fff1, TEXT);
        let header = Header::read(&bytes).unwrap();
        let at = bytes.len() - header.values;
        bytes.extend(values(&distinct));
        let table = Pclntab::new(bytes, 0).unwrap();
        let function = table.function(TEXT).unwrap();
        let mut start = TEXT;
        for (value, length) in distinct {
            let length = u64::from(length);
            for address in [start, start + length - 1] {
                prop_assert_eq!(table.value(&function, at as u32, address), Some(value));
            }
            start += length;
        }
        prop_assert_eq!(table.value(&function, at as u32, start), None);
    }
}
