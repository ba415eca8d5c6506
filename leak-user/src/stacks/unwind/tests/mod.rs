//! Tables of files made here, of files of this machine, and of damaged ones.

#![allow(clippy::unwrap_used, reason = "tests")]

mod files;
mod frames;
mod hostile;
mod made;
mod sources;

use leak_common::unwind::{MAX_PAGE_ROWS, PAGE_BYTES, Row, Rule, cfa};

use super::{Table, build};

pub(super) const X86_64: u16 = 62;
pub(super) const AARCH64: u16 = 183;

/// What every table keeps to, whatever the file was.
pub(super) fn assert_sound(table: &Table) {
    assert_eq!(table.first_page % 8, 0);
    assert_eq!(table.pages.len() % 8, 0);
    let mut next = 0;
    for page in &table.pages {
        assert_eq!(page.first, next);
        assert!((1..=MAX_PAGE_ROWS).contains(&usize::from(page.count)));
        next += u32::from(page.count);
        let rows = &table.rows[page.first as usize..next as usize];
        assert_eq!(rows[0].offset(), 0);
        assert!(u64::from(rows[rows.len() - 1].offset()) < PAGE_BYTES);
        for pair in rows.windows(2) {
            assert!(pair[0].offset() < pair[1].offset());
            assert_ne!(pair[0].rule(), pair[1].rule());
        }
    }
    assert_eq!(table.rows.len(), next as usize);
    for row in &table.rows {
        assert!(row.rule() == Row::UNKNOWN || usize::from(row.rule()) < table.rules.len());
    }
    let distinct: std::collections::HashSet<_> = table.rules.iter().collect();
    assert_eq!(distinct.len(), table.rules.len());
}

/// The rules of `places`, each a byte of the file.
pub(super) fn rules_at<const N: usize>(table: &Table, places: [u64; N]) -> [Option<Rule>; N] {
    places.map(|place| table.rule_at(place))
}

/// On x86-64: stack pointer plus `offset`, frame pointer unchanged.
pub(super) fn by_stack(offset: i32) -> Rule {
    Rule {
        cfa: cfa::STACK_POINTER,
        frame_pointer: 0,
        return_address: 0,
        cfa_addend: 0,
        cfa_offset: offset,
        frame_pointer_offset: 0,
        return_offset: -8,
    }
}

pub(super) fn sound(bytes: &[u8]) -> Table {
    let table = build(bytes).unwrap();
    assert_sound(&table);
    table
}
