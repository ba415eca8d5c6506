//! The table of a file, and how a rule is looked up in it. How it is made is left to `build`.

use leak_common::unwind::{PAGE_BYTES, Row, Rule};

/// What is known of a file's code, by place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// First page: file offset over [`PAGE_BYTES`], a multiple of 8.
    pub first_page: u32,
    /// The pages from there on, a multiple of 8. None: the file has no unwind
    /// information, frame pointers are all there is.
    pub pages: Vec<PageRows>,
    /// Rows of all pages, in order. [`Row::rule`] is an index into `rules`, or
    /// [`Row::UNKNOWN`].
    pub rows: Vec<Row>,
    /// The distinct rules, in the order of their first use.
    pub rules: Vec<Rule>,
    /// What the table was built from, and what it lacks.
    pub statistics: Statistics,
}

/// Where a page's rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageRows {
    /// Index of the first one, which is at offset 0 of the page. A page's rows follow
    /// those of the page before it.
    pub first: u32,
    /// How many, at least one.
    pub count: u16,
}

/// What a table was built from, and what it lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of call frame information, uncompressed.
    pub frame_bytes: u64,
    /// Functions with call frame information.
    pub functions: u32,
    /// Functions whose information cannot be read: nothing is known of them.
    pub malformed: u32,
    /// Rows that are beyond what a [`Rule`] can say: nothing is known there.
    pub unsupported: u32,
    /// Functions left out because the file has more than a table may hold.
    pub dropped: u32,
    /// Pages with more rows than the programs search: nothing is known there.
    pub crowded_pages: u32,
}

impl Table {
    /// The rule for the code at an offset of the file; `None` where nothing is known.
    #[must_use]
    pub fn rule_at(&self, file_offset: u64) -> Option<Rule> {
        let page = (file_offset / PAGE_BYTES).checked_sub(u64::from(self.first_page))?;
        let page = self.pages.get(usize::try_from(page).ok()?)?;
        let first = page.first as usize;
        let rows = self.rows.get(first..first + usize::from(page.count))?;
        let offset = (file_offset % PAGE_BYTES) as u16;
        let after = rows.partition_point(|row| row.offset() <= offset);
        let row = rows.get(after.checked_sub(1)?)?;
        self.rules.get(usize::from(row.rule())).copied()
    }
}
