//! Packs rows into pages, so that a lookup never leaves its page.

use leak_common::unwind::{MAX_PAGE_ROWS, PAGE_BITS, PAGE_BYTES, Row};

use super::cover::Run;
use super::functions::Functions;
use super::table::PageRows;

/// The packed rows.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) pages: Vec<PageRows>,
    pub(super) rows: Vec<Row>,
    /// Pages that had too many rows.
    pub(super) crowded: u32,
}

/// Packs the rows of all runs into `pages` pages; between runs nothing is known.
pub(super) fn pack(runs: &[Run], functions: &Functions<'_>, pages: usize) -> Packed {
    let mut packer = Packer::new();
    let mut end = 0;
    for run in runs {
        if run.start > end {
            packer.push(end, Row::UNKNOWN);
        }
        functions.for_each_row(run, |start, rule| packer.push(start, rule));
        end = run.end;
    }
    packer.push(end, Row::UNKNOWN);
    packer.finish(pages)
}

/// Takes rows in the order of the code.
struct Packer {
    packed: Packed,
    /// The rule in force.
    rule: u16,
}

impl Packer {
    fn new() -> Packer {
        Packer {
            packed: Packed::default(),
            rule: Row::UNKNOWN,
        }
    }

    /// From `start` on, `rule` holds. `start` is in bytes from the first page and
    /// greater than the one before it.
    fn push(&mut self, start: u32, rule: u16) {
        if rule == self.rule {
            return;
        }
        let offset = (start % PAGE_BYTES as u32) as u16;
        self.open((start >> PAGE_BITS) as usize + 1);
        let row = Row::new(offset, rule);
        match self.packed.rows.last_mut() {
            Some(last) if offset == 0 => *last = row,
            _ => self.packed.rows.push(row),
        }
        self.rule = rule;
    }

    /// Begins pages until there are `count`, each with the rule in force.
    fn open(&mut self, count: usize) {
        while self.packed.pages.len() < count {
            self.close();
            let first = self.packed.rows.len() as u32;
            self.packed.pages.push(PageRows { first, count: 0 });
            self.packed.rows.push(Row::new(0, self.rule));
        }
    }

    /// Ends the last page.
    fn close(&mut self) {
        let Some(page) = self.packed.pages.last_mut() else {
            return;
        };
        let first = page.first as usize;
        if self.packed.rows.len() - first > MAX_PAGE_ROWS {
            self.packed.rows.truncate(first);
            self.packed.rows.push(Row::new(0, Row::UNKNOWN));
            self.packed.crowded += 1;
        }
        page.count = (self.packed.rows.len() - first) as u16;
    }

    fn finish(mut self, pages: usize) -> Packed {
        self.open(pages);
        self.close();
        // A run that ends with the last page leaves a row for the page after it.
        if let Some(beyond) = self.packed.pages.get(pages) {
            self.packed.rows.truncate(beyond.first as usize);
            self.packed.pages.truncate(pages);
        }
        self.packed
    }
}
