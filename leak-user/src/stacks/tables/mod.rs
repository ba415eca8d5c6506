//! Keeps the programs' unwind tables: for the code that processes map now, for what
//! they are likely to map next, and for whatever a stack met that was not there.
//!
//! Threads of low priority (`worker`) read files (`image`), build their tables
//! ([`crate::stacks::unwind`]) and place them (`store`); `host` knows where code lies that
//! was not met yet. Tables belong to files, whoever maps them; what was not used for
//! longest makes room.

mod host;
mod image;
mod mapped;
mod needed;
mod place;
mod store;
mod worker;

pub use mapped::Places;

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
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
    proc::{Mapping, Proc},
    stacks::{python::Interpreter, unwind::Code},
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

/// Where a process has code of a file mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub start: u64,
    pub end: u64,
    /// Of the mapping in the file, in bytes.
    pub offset: u64,
    /// `None` for generated code.
    pub file: Option<FileKey>,
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
    workers: Vec<JoinHandle<()>>,
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
        let workers = (0..workers.min(MAX_WORKERS))
            .map(|_| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name("leaktrace-tables".to_owned())
                    .spawn(move || shared.run())
            })
            .collect::<Result<_, _>>()?;
        let tables = Tables { shared, workers };
        tables.shared.queue(Job {
            source: Source::Vdso,
            key: Some(FileKey::VDSO),
            urgency: Urgency::Met,
        });
        Ok(tables)
    }

    /// Code is there without tables.
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
            // The process ended, or has something else there by now: whoever maps the
            // file next asks for it.
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
        let opened = match (mapped.start, mapped.end) {
            (0, 0) => host::open_program(&self.shared.proc, pid),
            (start, end) => self.shared.proc.open_mapped(pid, start, end),
        };
        host::verified(opened?, mapped.file)
    }

    /// Takes in what processes map now, the most used files first.
    pub fn learn_processes(&self, pids: impl IntoIterator<Item = u32>) {
        for mapped in host::mapped(&self.shared.proc, pids) {
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
        let Ok(file) = self
            .shared
            .proc
            .open_mapped(pid, mapping.start, mapping.end)
        else {
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

    /// The interpreter whose layout has a number.
    #[must_use]
    pub fn interpreter(&self, layout: u32) -> Option<Arc<Interpreter>> {
        lock(&self.shared.store).interpreter(layout)
    }

    /// What there is at an offset in a file.
    #[must_use]
    pub fn code(&self, key: FileKey, offset: u64) -> Code {
        lock(&self.shared.store).code(key, offset)
    }

    /// What there is at an address of a process with code in these places; of places
    /// that overlap the first counts.
    #[must_use]
    pub fn code_at(&self, places: &[Place], address: u64) -> Code {
        let place = places
            .iter()
            .find(|place| (place.start..place.end).contains(&address));
        match place {
            None => Code::Nothing,
            Some(place) => match place.file {
                Some(file) => self.code(file, address - place.start + place.offset),
                None => Code::Rule(Rule::CHECKED),
            },
        }
    }

    /// Where a living process has code of files mapped.
    #[must_use]
    pub fn places(&self, pid: u32) -> Vec<Place> {
        let mappings = self.shared.proc.mappings(pid).unwrap_or_default();
        let code = mappings.iter().filter(|mapping| mapping.is_executable());
        code.filter_map(|mapping| {
            let file = match mapping.path.as_str() {
                "[vdso]" => Some(FileKey::VDSO),
                _ if mapping.inode == 0 => None,
                _ => {
                    let opened = self
                        .shared
                        .proc
                        .open_mapped(pid, mapping.start, mapping.end);
                    let file = opened.ok()?;
                    let metadata = file.metadata().ok()?;
                    Some(host::key_of_mapped(mapping, &metadata))
                }
            };
            Some(Place {
                start: mapping.start,
                end: mapping.end,
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
        lock(&self.shared.state).ended = true;
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            // It was logged where it panicked.
            let _ = worker.join();
        }
    }
}
