//! Keeps the unwind tables in the maps of the programs: for the code that processes map now,
//! for code that they are likely to map next, and for code that a stack met without a table.
//!
//! Threads of low priority (`worker`) read files (`file_parts`), build their tables
//! ([`crate::stacks::unwind`]) and place them (`store`, in free `room`); `host` and `needed`
//! know where code lies that no stack met yet. A table belongs to a file, and serves all
//! processes that map the file. Tables that were not used for longest make room (`evict`).

mod code_by_process;
mod evict;
mod file_parts;
mod host;
mod needed;
mod room;
mod store;
mod worker;

pub use code_by_process::CodeByProcess;

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use leak_common::unwind::{FileKey, Rule};

use self::{
    store::{Store, Urgency},
    worker::{BEFORE_OTHERS, BEHIND_OTHERS, Job, Shared, Source, lock, prioritize},
};
use crate::{
    event::CodeMapped,
    kernel::TableMaps,
    model::address::AddressRange,
    proc::{Mapping, Proc, VDSO},
    stacks::{MappedCode, runtimes::Runtime, unwind::Lookup},
};

/// Threads that build tables.
const MAX_WORKERS: usize = 2;

/// Kernel memory for unwind tables, unless the user says otherwise: 64 MiB hold
/// those of some thousands of programs and libraries. A small host gives a 64th of
/// its memory, but not less than 4 MiB.
#[must_use]
pub fn default_memory() -> u64 {
    // SAFETY: sysconf only reads its argument.
    let [pages, page] = unsafe {
        [
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        ]
    };
    let memory = pages
        .max(0)
        .cast_unsigned()
        .saturating_mul(page.max(0).cast_unsigned());
    (memory / 64).clamp(4 << 20, 64 << 20)
}

/// How the tables are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files with tables.
    pub files: usize,
    /// Rows in use, and for how many there is room.
    pub rows: usize,
    pub row_capacity: usize,
    /// Entries of the directory in use, and for how many there is room.
    pub pages: usize,
    pub page_capacity: usize,
    /// Distinct rules.
    pub rules: usize,
    /// Tables that were dropped to make room.
    pub evicted: u64,
    /// Files that could not be read or have no tables.
    pub without: u64,
    /// Files that wait.
    pub waiting: usize,
    /// Time that went into it, over all threads.
    pub busy: Duration,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "files={} rows={} row_capacity={} pages={} page_capacity={} rules={} evicted={} \
             without={} waiting={} seconds_busy={:.2}",
            self.files,
            self.rows,
            self.row_capacity,
            self.pages,
            self.page_capacity,
            self.rules,
            self.evicted,
            self.without,
            self.waiting,
            self.busy.as_secs_f64()
        )
    }
}

/// The threads and what they share. Dropping it ends them.
#[derive(Debug)]
pub struct Tables {
    shared: Arc<Shared>,
}

impl Tables {
    /// Starts the threads.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(maps: TableMaps, proc: Proc) -> io::Result<Tables> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            store: Mutex::new(Store::new(maps)),
            proc,
        });
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        // From here on, dropping it ends the threads there are.
        let tables = Tables { shared };
        for _ in 0..workers.min(MAX_WORKERS) {
            let shared = Arc::clone(&tables.shared);
            std::thread::Builder::new()
                .name("leaktrace-tables".to_owned())
                .spawn(move || shared.run())?;
        }
        tables.shared.queue(Job {
            source: Source::Vdso,
            key: Some(FileKey::VDSO),
            urgency: Urgency::Met,
        });
        Ok(tables)
    }

    /// Has the table of code built that a stack met without one.
    pub fn want(&self, wanted: &CodeMapped) {
        if !wanted.wanted || wanted.file == FileKey::VDSO {
            return;
        }
        match self.open(wanted) {
            Ok(file) => self.shared.queue(Job {
                source: if wanted.start == 0 {
                    Source::Program(file, wanted.process.pid())
                } else {
                    Source::Open(file)
                },
                key: Some(wanted.file),
                urgency: Urgency::Met,
            }),
            // The process ended, or has something else there by now: the next process that
            // maps the file asks for it.
            Err(error) => {
                tracing::debug!(pid = wanted.process.pid(), %error, "cannot open mapped code");
                lock(&self.shared.store).forget(wanted.file);
            }
        }
    }

    /// Opens the file of code that a process has mapped.
    ///
    /// # Errors
    /// The process is gone, or has something else there by now.
    pub fn open(&self, mapped: &CodeMapped) -> io::Result<File> {
        let pid = mapped.process.pid();
        let range = MappedCode::from(mapped).range;
        let opened = match range == AddressRange::default() {
            true => host::open_program(&self.shared.proc, pid),
            false => self.shared.proc.open_mapped(pid, range),
        };
        host::verified(opened?, mapped.file)
    }

    /// Takes in what processes map now, the most used files first.
    pub fn learn_processes(&self, pids: impl IntoIterator<Item = u32>) {
        for mapped in host::mapped_files(&self.shared.proc, pids) {
            self.learn_mapping(mapped.pid, &mapped.mapping);
        }
    }

    /// Takes in what a process maps, and the libraries that its programs will load.
    pub fn learn_command(&self, pid: u32) {
        let Some(mappings) = self.shared.proc.mappings(pid) else {
            return;
        };
        for mapping in mappings.iter().filter(|mapping| host::is_code(mapping)) {
            self.learn_mapping(pid, mapping);
        }
        self.shared.learn_libraries(pid);
    }

    fn learn_mapping(&self, pid: u32, mapping: &Mapping) {
        let Ok(file) = self.shared.proc.open_mapped(pid, mapping.range) else {
            return;
        };
        let metadata = file.metadata().ok();
        let key = metadata.map(|metadata| host::key_of_mapped(mapping, &metadata));
        self.shared.queue(Job {
            source: Source::Open(file),
            key,
            urgency: Urgency::Mapped,
        });
    }

    /// Takes in, when there is nothing else to do, what is installed on the host, as
    /// long as there is room.
    pub fn learn_host(&self) {
        lock(&self.shared.state).idle.push_back(Job {
            source: Source::Host,
            key: None,
            urgency: Urgency::Idle,
        });
        self.shared.work.notify_one();
    }

    /// Waits until everything that is mapped or was met has tables, or the time is up.
    pub fn wait(&self, limit: Duration) {
        let threads = lock(&self.shared.state).threads.clone();
        let prioritize_all = |nice| threads.iter().for_each(|thread| prioritize(*thread, nice));
        prioritize_all(BEFORE_OTHERS);
        self.wait_until_done(limit);
        prioritize_all(BEHIND_OTHERS);
    }

    fn wait_until_done(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = lock(&self.shared.state);
        while !state.urgent.is_empty() || state.busy > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::debug!(waiting = state.urgent.len(), "not all code has tables yet");
                return;
            }
            let waited = self.shared.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The runtime whose layout has a number.
    #[must_use]
    pub fn runtime(&self, layout: u32) -> Option<Arc<Runtime>> {
        lock(&self.shared.store).runtime(layout)
    }

    /// What is known of an offset in a file.
    #[must_use]
    pub fn code(&self, key: FileKey, offset: u64) -> Lookup {
        lock(&self.shared.store).code(key, offset)
    }

    /// What is known of an address of a process with this code; of mappings that overlap
    /// the first counts.
    #[must_use]
    pub fn code_at(&self, mapped: &[MappedCode], address: u64) -> Lookup {
        let found = mapped.iter().find(|code| code.range.contains(address));
        match found {
            None => Lookup::Nothing,
            Some(code) => match code.file {
                Some(file) => self.code(file, code.file_offset(address)),
                None => Lookup::Rule(Rule::CHECKED),
            },
        }
    }

    /// Where a living process has code of files mapped.
    #[must_use]
    pub fn mapped_code(&self, pid: u32) -> Vec<MappedCode> {
        let mappings = self.shared.proc.mappings(pid).unwrap_or_default();
        let code = mappings.iter().filter(|mapping| mapping.is_executable());
        code.filter_map(|mapping| {
            let file = match mapping.inode {
                0 if mapping.path == VDSO => Some(FileKey::VDSO),
                0 => None,
                _ => {
                    let file = self.shared.proc.open_mapped(pid, mapping.range).ok()?;
                    let metadata = file.metadata().ok()?;
                    Some(host::key_of_mapped(mapping, &metadata))
                }
            };
            Some(MappedCode {
                range: mapping.range,
                offset: if mapping.inode == 0 {
                    0
                } else {
                    mapping.offset
                },
                file,
            })
        })
        .collect()
    }

    /// How the tables are doing.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (waiting, busy) = {
            let state = lock(&self.shared.state);
            (state.urgent.len() + state.idle.len(), state.spent)
        };
        Figures {
            waiting,
            busy,
            ..lock(&self.shared.store).figures()
        }
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // A worker ends with the file that it is at. Nobody waits for that: a large file takes a second.
        lock(&self.shared.state).ended = true;
        self.shared.work.notify_all();
    }
}
