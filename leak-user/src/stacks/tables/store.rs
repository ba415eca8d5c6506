//! Which files' tables are in the programs' maps, and where.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use leak_common::limits::FILE_ENTRIES;
use leak_common::unwind::{
    CHUNK_ROWS, FileCode, FileKey, MAX_PAGE_ROWS, MAX_PYTHON_LAYOUTS, MAX_RULES, PAGE_BYTES, Page,
    Row, Rule, file_state,
};

use super::{Figures, lock, place::Places};
use crate::{
    kernel::{TableMaps, monotonic_now},
    stacks::{
        python::Interpreter,
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
    /// It is installed on the host. Never makes others go.
    Idle,
}

/// Share of the room that is left for files that are met, in percent.
const RESERVE: usize = 40;

/// How long code that is in use has to show it, before what was not used is dropped.
const SHOW_USE: Duration = Duration::from_millis(300);

/// Longer than any program runs that may still read what was dropped.
const GRACE: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Loaded {
    keys: Vec<FileKey>,
    /// In pieces where there was no room for all in a row.
    rows: Vec<Range<usize>>,
    pages: Range<usize>,
    code: FileCode,
    /// When it was placed: a later use is one.
    placed: u64,
}

impl Loaded {
    fn row_count(&self) -> usize {
        self.rows.iter().map(ExactSizeIterator::len).sum()
    }
}

#[derive(Debug)]
pub(super) struct Store {
    maps: TableMaps,
    rows: Places,
    pages: Places,
    rules: HashMap<Rule, u16>,
    loaded: HashMap<u64, Loaded>,
    by_key: HashMap<FileKey, u64>,
    interpreters: Vec<Arc<Interpreter>>,
    next: u64,
    evicted: u64,
    without: u64,
    /// Files without tables.
    bare: HashSet<FileKey>,
}

/// Not enough room.
struct Full;

impl Store {
    pub(super) fn new(maps: TableMaps) -> Store {
        let rows = Places::new(maps.row_capacity());
        let pages = Places::new(maps.page_capacity());
        Store {
            maps,
            rows,
            pages,
            rules: HashMap::new(),
            loaded: HashMap::new(),
            by_key: HashMap::new(),
            interpreters: Vec::new(),
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

    pub(super) fn interpreter(&self, layout: u32) -> Option<Arc<Interpreter>> {
        let index = (layout as usize).checked_sub(1)?;
        self.interpreters.get(index).cloned()
    }

    /// What there is at an offset in a file.
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

    /// There is nothing to be had from a file.
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
        let full =
            |places: &Places| places.capacity() - places.used() < places.capacity() / 100 * RESERVE;
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

    fn tell(&mut self, key: FileKey, code: FileCode) {
        let code = FileCode {
            used: monotonic_now(),
            ..code
        };
        if let Err(error) = self.maps.set_file(key, code) {
            tracing::debug!(inode = key.inode, %error, "a file can not be made known");
        }
    }

    /// Places a table, and makes room for it if need be.
    pub(super) fn add_with_room(
        store: &Mutex<Store>,
        key: FileKey,
        own: FileKey,
        table: &Table,
        interpreter: Option<Interpreter>,
        urgency: Urgency,
    ) {
        let interpreter = interpreter.map(Arc::new);
        for _ in 0..3 {
            let mut guard = lock(store);
            let added = guard.add(key, Some(own), table, interpreter.clone(), urgency);
            if added || urgency == Urgency::Idle {
                return;
            }
            let since = monotonic_now();
            guard.renew();
            drop(guard);
            // What is used is looked up again, and shows it.
            std::thread::sleep(SHOW_USE);
            let dropped = lock(store).evict(since, table.rows.len(), table.pages.len());
            std::thread::sleep(GRACE);
            let mut guard = lock(store);
            for loaded in dropped {
                guard.rows.give_all(loaded.rows);
                guard.pages.give(loaded.pages);
            }
        }
        tracing::debug!(inode = key.inode, "no room for unwind tables");
        let mut guard = lock(store);
        guard.tell(key, FileCode::without_tables(file_state::EVICTED));
    }

    fn renew(&mut self) {
        if let Err(error) = self.maps.renew_spaces() {
            tracing::warn!(%error, "stale unwind tables may be in use");
        }
    }

    /// Takes out what was used least lately, and not since a time, until there is
    /// room. Its places are to be given back after the grace.
    fn evict(&mut self, since: u64, rows: usize, pages: usize) -> Vec<Loaded> {
        let used: HashMap<FileKey, u64> = match self.maps.files() {
            Ok(files) => files
                .into_iter()
                .map(|(key, code)| (key, code.used))
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "no unwind tables can be dropped");
                return Vec::new();
            }
        };
        let last_use = |loaded: &Loaded| {
            let times = loaded.keys.iter().filter_map(|key| used.get(key));
            times.copied().max().unwrap_or(0)
        };
        // What was never used first, of that the largest; then what was not for longest.
        let mut order: Vec<((u64, Reverse<usize>), u64)> = self
            .loaded
            .iter()
            .filter(|(_, loaded)| !loaded.keys.contains(&FileKey::VDSO))
            .filter(|(_, loaded)| last_use(loaded) < since)
            .map(|(id, loaded)| {
                let used = last_use(loaded);
                let used = if used > loaded.placed { used } else { 0 };
                ((used, Reverse(loaded.row_count())), *id)
            })
            .collect();
        order.sort_unstable();
        let mut dropped: Vec<Loaded> = Vec::new();
        let (mut free_rows, mut free_pages) = (
            self.rows.capacity() - self.rows.used(),
            self.pages.capacity() - self.pages.used(),
        );
        // More than is needed: what is free may be in pieces.
        for (_, id) in order {
            if free_rows >= rows / 4 * 5 + CHUNK_ROWS && free_pages >= 2 * pages {
                break;
            }
            let Some(loaded) = self.loaded.remove(&id) else {
                continue;
            };
            free_rows += loaded.row_count();
            free_pages += loaded.pages.len();
            for key in &loaded.keys {
                self.by_key.remove(key);
                self.tell(*key, FileCode::without_tables(file_state::EVICTED));
            }
            self.evicted += 1;
            dropped.push(loaded);
        }
        // No page of theirs is remembered any more.
        self.renew();
        dropped
    }

    /// Places a table; false where there is no room.
    pub(super) fn add(
        &mut self,
        key: FileKey,
        own: Option<FileKey>,
        table: &Table,
        interpreter: Option<Arc<Interpreter>>,
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
        if let Some(interpreter) = interpreter
            && self.interpreters.len() + 1 < MAX_PYTHON_LAYOUTS
        {
            let number = self.interpreters.len() as u32 + 1;
            match self.maps.set_python_layout(number, interpreter.layout) {
                Ok(()) => {
                    code.python_layout = number;
                    code.python_runtime = interpreter.runtime_offset;
                    self.interpreters.push(interpreter);
                }
                Err(error) => tracing::debug!(%error, "an interpreter is not known"),
            }
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
