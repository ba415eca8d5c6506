//! Which files' tables are in the programs' maps, and where.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use leak_common::limits::FILE_ENTRIES;
use leak_common::unwind::{
    CHUNK_ROWS, FileCode, FileKey, MAX_PAGE_ROWS, MAX_PYTHON_LAYOUTS, MAX_RULES, PAGE_BYTES, Page,
    Row, Rule, file_state,
};

use super::{Figures, room::Room};
use crate::{
    kernel::{TableMaps, monotonic_now},
    stacks::{
        runtimes::Runtime,
        unwind::{Lookup, Table},
    },
};

/// How much a file's tables matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Its code was met on a stack.
    Met,
    /// A process maps it, or will soon.
    Mapped,
    /// It is installed on the host. No other table makes room for it.
    Idle,
}

/// Share of the room that is left for files that are met, in percent.
const RESERVE: usize = 40;

#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) keys: Vec<FileKey>,
    /// In pieces where there was no room for all in a row.
    pub(super) rows: Vec<Range<usize>>,
    pub(super) pages: Range<usize>,
    code: FileCode,
    /// When it was placed. That counts as a use to the programs, so only a later time says
    /// that a stack used it.
    pub(super) placed: u64,
}

impl Loaded {
    pub(super) fn row_count(&self) -> usize {
        self.rows.iter().map(ExactSizeIterator::len).sum()
    }
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) maps: TableMaps,
    pub(super) rows: Room,
    pub(super) pages: Room,
    rules: HashMap<Rule, u16>,
    pub(super) loaded: HashMap<u64, Loaded>,
    pub(super) by_key: HashMap<FileKey, u64>,
    /// By the number of its layout, which counts from 1.
    runtimes: Vec<Arc<Runtime>>,
    next: u64,
    pub(super) evicted: u64,
    without: u64,
    /// Files that have no tables.
    bare: HashSet<FileKey>,
}

/// Not enough room.
struct Full;

impl Store {
    pub(super) fn new(maps: TableMaps) -> Store {
        let rows = Room::new(maps.row_capacity());
        let pages = Room::new(maps.page_capacity());
        Store {
            maps,
            rows,
            pages,
            rules: HashMap::new(),
            loaded: HashMap::new(),
            by_key: HashMap::new(),
            runtimes: Vec::new(),
            next: 0,
            evicted: 0,
            without: 0,
            bare: HashSet::new(),
        }
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            files: self.loaded.len(),
            rows: self.rows.used(),
            row_capacity: self.rows.capacity(),
            pages: self.pages.used(),
            page_capacity: self.pages.capacity(),
            rules: self.rules.len(),
            evicted: self.evicted,
            without: self.without,
            ..Figures::default()
        }
    }

    pub(super) fn runtime(&self, layout: u32) -> Option<Arc<Runtime>> {
        let index = (layout as usize).checked_sub(1)?;
        self.runtimes.get(index).cloned()
    }

    /// What is known of an offset in a file.
    pub(super) fn code(&self, key: FileKey, offset: u64) -> Lookup {
        if self.bare.contains(&key) {
            return Lookup::Rule(Rule::CHECKED);
        }
        let loaded = self.by_key.get(&key).and_then(|id| self.loaded.get(id));
        let Some(loaded) = loaded else {
            return Lookup::NoTable;
        };
        let page = usize::try_from(offset / PAGE_BYTES).unwrap_or(usize::MAX);
        let page = page.checked_sub(loaded.code.first_page as usize);
        let Some(page) = page.filter(|page| *page < loaded.pages.len()) else {
            return Lookup::Rule(Rule::CHECKED);
        };
        let rows = self.maps.rows_of(loaded.pages.start + page);
        let within = (offset % PAGE_BYTES) as u16;
        let after = rows.partition_point(|row| row.offset() <= within);
        let rule = after
            .checked_sub(1)
            .and_then(|row| self.maps.rule(rows[row].rule()));
        Lookup::Rule(rule.unwrap_or(Rule::CHECKED))
    }

    /// The programs will ask for the file again.
    pub(super) fn forget(&mut self, key: FileKey) {
        if !self.by_key.contains_key(&key) {
            self.maps.forget_file(key);
        }
    }

    /// Takes note that a file has no tables.
    pub(super) fn has_none(&mut self, key: FileKey) {
        self.without += 1;
        if self.bare.len() >= FILE_ENTRIES as usize {
            self.bare.clear();
        }
        self.bare.insert(key);
        self.tell(key, FileCode::without_tables(file_state::BARE));
    }

    /// Whether there is nothing left to do for a file: its tables are there, perhaps
    /// under another of its names, or there is no room for what is not needed.
    pub(super) fn knows(&mut self, key: FileKey, own: FileKey, urgency: Urgency) -> bool {
        let id = [key, own].iter().find_map(|key| self.by_key.get(key));
        if let Some(id) = id.copied() {
            self.name(id, key);
            self.name(id, own);
            return true;
        }
        let full = |room: &Room| room.free() < room.capacity() / 100 * RESERVE;
        urgency == Urgency::Idle && (full(&self.rows) || full(&self.pages))
    }

    /// Another key of a file whose tables are there.
    fn name(&mut self, id: u64, key: FileKey) {
        if self.by_key.insert(key, id).is_none()
            && let Some(loaded) = self.loaded.get_mut(&id)
        {
            loaded.keys.push(key);
            let code = loaded.code;
            self.tell(key, code);
        }
    }

    /// Tells the programs what is known of a file.
    pub(super) fn tell(&mut self, key: FileKey, code: FileCode) {
        let code = FileCode {
            used: monotonic_now(),
            ..code
        };
        if let Err(error) = self.maps.set_file(key, code) {
            tracing::debug!(inode = key.inode, %error, "a file cannot be made known");
        }
    }

    /// Places a table; false where there is no room.
    pub(super) fn add(
        &mut self,
        key: FileKey,
        own: Option<FileKey>,
        table: &Table,
        runtime: Option<Arc<Runtime>>,
        urgency: Urgency,
    ) -> bool {
        let own = own.unwrap_or(key);
        if self.knows(key, own, urgency) {
            return true;
        }
        if table.pages.is_empty() {
            self.has_none(key);
            return true;
        }
        let Ok((rows, pages)) = self.write(table) else {
            return false;
        };
        let mut code = FileCode {
            directory: pages.start as u32,
            first_page: table.first_page,
            pages: table.pages.len() as u32,
            ..FileCode::without_tables(file_state::LOADED)
        };
        if let Some(runtime) = runtime {
            self.add_runtime(runtime, &mut code);
        }
        let id = self.next;
        self.next += 1;
        self.loaded.insert(
            id,
            Loaded {
                keys: Vec::new(),
                rows,
                pages,
                code,
                placed: u64::MAX,
            },
        );
        self.name(id, key);
        self.name(id, own);
        if let Some(loaded) = self.loaded.get_mut(&id) {
            loaded.placed = monotonic_now();
        }
        true
    }

    /// Tells the programs of the runtime in a file, as far as there is room for its layout.
    fn add_runtime(&mut self, runtime: Arc<Runtime>, code: &mut FileCode) {
        if self.runtimes.len() + 1 >= MAX_PYTHON_LAYOUTS {
            return;
        }
        let number = self.runtimes.len() as u32 + 1;
        let Runtime::Python(interpreter) = &*runtime;
        match self.maps.set_python_layout(number, interpreter.layout) {
            Ok(()) => {
                code.python_layout = number;
                code.python_runtime = interpreter.runtime_offset;
                self.runtimes.push(runtime);
            }
            Err(error) => tracing::debug!(%error, "an interpreter is not known"),
        }
    }

    /// Copies a table into the maps.
    fn write(&mut self, table: &Table) -> Result<(Vec<Range<usize>>, Range<usize>), Full> {
        let pages = self.pages.take(table.pages.len()).ok_or(Full)?;
        let Some(pieces) = self.rows.take_in_pieces(table.rows.len(), MAX_PAGE_ROWS) else {
            self.pages.give(pages);
            return Err(Full);
        };
        let numbers: Vec<u16> = table.rules.iter().map(|rule| self.number(*rule)).collect();
        let mut directory = Vec::with_capacity(table.pages.len());
        let mut renumbered = Vec::with_capacity(MAX_PAGE_ROWS);
        let mut kept: Vec<Range<usize>> = Vec::new();
        let mut left = pieces.into_iter();
        let mut piece = left.next().unwrap_or_default();
        let mut next = piece.start;
        for page in &table.pages {
            let count = usize::from(page.count);
            // A page's rows are in one piece and in one chunk.
            loop {
                if next / CHUNK_ROWS != (next + count).saturating_sub(1) / CHUNK_ROWS {
                    next = next.next_multiple_of(CHUNK_ROWS);
                }
                if next + count <= piece.end {
                    break;
                }
                kept.push(piece.clone());
                let Some(another) = left.next() else {
                    // What was written is not known to anybody.
                    self.rows.give_all(kept);
                    self.pages.give(pages);
                    return Err(Full);
                };
                piece = another;
                next = piece.start;
            }
            let first = page.first as usize;
            let own = table.rows.get(first..first + count).unwrap_or_default();
            renumbered.clear();
            renumbered.extend(own.iter().map(|row| {
                let number = numbers.get(usize::from(row.rule())).copied();
                Row::new(row.offset(), number.unwrap_or(Row::UNKNOWN))
            }));
            self.maps.write_rows(next, &renumbered);
            directory.push(Page::new(next as u32, page.count));
            next += count;
        }
        self.maps.write_pages(pages.start, &directory);
        kept.push(piece.start..next);
        self.rows.give(next..piece.end);
        self.rows.give_all(left);
        Ok((kept, pages))
    }

    /// The number of a rule in the programs' table.
    fn number(&mut self, rule: Rule) -> u16 {
        if let Some(number) = self.rules.get(&rule) {
            return *number;
        }
        if self.rules.len() >= MAX_RULES {
            return Row::UNKNOWN;
        }
        let number = self.rules.len() as u16;
        self.maps.write_rule(number, rule);
        self.rules.insert(rule, number);
        number
    }
}
