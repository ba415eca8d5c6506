//! Which tables make room for others when the maps are full: those not used for longest.
//!
//! The programs note when they last used a file. They also remember, for each process, where
//! its code lies, so a table can be in use without a new note: before one is dropped, the
//! programs are made to look everything up again, and get some time to do so.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use leak_common::unwind::{CHUNK_ROWS, FileCode, FileKey, file_state};

use super::{
    lock,
    store::{Loaded, Store, Urgency},
};
use crate::{
    kernel::monotonic_now,
    stacks::{runtimes::Runtime, unwind::Table},
};

/// How long the programs have to note what they use, before the rest is dropped.
const SHOW_USE: Duration = Duration::from_millis(300);

/// How long a program may still read what was dropped: none runs for so long.
const GRACE: Duration = Duration::from_millis(20);

impl Store {
    /// Places a table, and makes room for it if need be.
    pub(super) fn add_with_room(
        store: &Mutex<Store>,
        key: FileKey,
        own: FileKey,
        table: &Table,
        runtime: Option<Runtime>,
        urgency: Urgency,
    ) {
        let runtime = runtime.map(Arc::new);
        for _ in 0..3 {
            let mut guard = lock(store);
            let added = guard.add(key, Some(own), table, runtime.clone(), urgency);
            if added || urgency == Urgency::Idle {
                return;
            }
            let since = monotonic_now();
            guard.renew();
            drop(guard);
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

    /// Has the programs look up all code anew.
    fn renew(&mut self) {
        if let Err(error) = self.maps.renew_spaces() {
            tracing::warn!(%error, "stale unwind tables may be in use");
        }
    }

    /// Drops tables, the least recently used first, until there is room for this many rows and
    /// pages. Tables used since the given time stay. The room of those dropped is to be given
    /// back after [`GRACE`].
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
        let mut dropped: Vec<Loaded> = Vec::new();
        let (mut free_rows, mut free_pages) = (self.rows.free(), self.pages.free());
        for id in self.least_used(since, &used) {
            // More than is needed: what is free may be in pieces.
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
        // The programs must not remember a page of what was dropped.
        self.renew();
        dropped
    }

    /// Tables not used since a time, in the order in which they are dropped: first those that
    /// were never used, the largest of them first, then by their last use. `used` says when
    /// each file was used last.
    fn least_used(&self, since: u64, used: &HashMap<FileKey, u64>) -> Vec<u64> {
        let last_use = |loaded: &Loaded| {
            let times = loaded.keys.iter().filter_map(|key| used.get(key));
            times.copied().max().unwrap_or(0)
        };
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
        order.into_iter().map(|(_, id)| id).collect()
    }
}
