//! The threads that build tables, and the files that wait for them.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use leak_common::unwind::FileKey;

use super::{
    file_parts::FileParts,
    host, needed,
    store::{Store, Urgency},
};
use crate::{
    proc::{Proc, open_regular, own_vdso},
    stacks::{runtimes::Runtime, unwind},
};

/// Files that wait for their tables at most; more are asked for again.
const MAX_WAITING: usize = 4096;

/// A file whose tables are to be built.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) source: Source,
    /// What the programs call the file.
    pub(super) key: Option<FileKey>,
    pub(super) urgency: Urgency,
}

#[derive(Debug)]
pub(super) enum Source {
    /// Opened while the process that maps it lived.
    Open(File),
    Path(PathBuf),
    /// All that is installed.
    Host,
    /// What a process begins to run: it will load libraries.
    Program(File, u32),
    /// The code that the kernel maps into every process.
    Vdso,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// There is work, or it is the end.
    pub(super) work: Condvar,
    /// A job was done.
    pub(super) done: Condvar,
    pub(super) store: Mutex<Store>,
    pub(super) proc: Proc,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) urgent: VecDeque<Job>,
    pub(super) idle: VecDeque<Job>,
    /// Files that were queued, by what the programs call them.
    pub(super) queued: HashSet<FileKey>,
    /// Urgent jobs that are being done.
    pub(super) busy: usize,
    /// Threads that do them, as the kernel counts threads.
    pub(super) threads: Vec<libc::pid_t>,
    /// Time that went into jobs.
    pub(super) spent: Duration,
    pub(super) ended: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked leaves a table unfinished, which nobody was told of.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn queue(&self, job: Job) {
        let mut state = lock(&self.state);
        if state.urgent.len() >= MAX_WAITING {
            return;
        }
        if let Some(key) = job.key
            && !state.queued.insert(key)
        {
            return;
        }
        match job.urgency {
            // In the middle of a walk.
            Urgency::Met => state.urgent.push_front(job),
            Urgency::Mapped | Urgency::Idle => state.urgent.push_back(job),
        }
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn run(&self) {
        // SAFETY: gettid(2) has no preconditions.
        let thread = unsafe { libc::gettid() };
        prioritize(thread, BEHIND_OTHERS);
        lock(&self.state).threads.push(thread);
        while let Some(job) = self.next() {
            let idle = matches!(job.urgency, Urgency::Idle);
            let key = job.key;
            let begun = Instant::now();
            self.work_on(job);
            let mut state = lock(&self.state);
            state.spent += begun.elapsed();
            if let Some(key) = key {
                // From now on the store knows.
                state.queued.remove(&key);
            }
            if !idle {
                state.busy -= 1;
            }
            drop(state);
            self.done.notify_all();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if state.ended {
                return None;
            }
            if let Some(job) = state.urgent.pop_front() {
                state.busy += 1;
                return Some(job);
            }
            if let Some(job) = state.idle.pop_front() {
                return Some(job);
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work_on(&self, job: Job) {
        let mut program = None;
        let file = match job.source {
            Source::Host => {
                let jobs = host::installed().map(|path| Job {
                    source: Source::Path(path),
                    key: None,
                    urgency: Urgency::Idle,
                });
                lock(&self.state).idle.extend(jobs);
                self.work.notify_all();
                return;
            }
            Source::Vdso => {
                if let Some(image) = own_vdso() {
                    let table = unwind::build(image).unwrap_or_default();
                    lock(&self.store).add(FileKey::VDSO, None, &table, None, job.urgency);
                }
                return;
            }
            Source::Open(file) => file,
            Source::Program(file, pid) => {
                program = Some(pid);
                file
            }
            Source::Path(path) => match open_regular(&path) {
                Ok(file) => file,
                Err(_) => return,
            },
        };
        let Ok(metadata) = file.metadata() else {
            return;
        };
        let own = host::key_of(&metadata);
        let key = job.key.unwrap_or(own);
        if lock(&self.store).knows(key, own, job.urgency) {
            return;
        }
        let Some(parts) = FileParts::read(&file) else {
            lock(&self.store).has_none(key);
            return;
        };
        // The file is untrusted: a defect in what reads it must not end the trace.
        let built = std::panic::catch_unwind(|| {
            let table = unwind::build(&parts);
            (table, Runtime::detect(&parts))
        });
        let (table, runtime) = match built {
            Ok((Ok(table), runtime)) => (table, runtime),
            Ok((Err(error), _)) => {
                tracing::debug!(inode = key.inode, %error, "no unwind tables");
                lock(&self.store).has_none(key);
                return;
            }
            Err(_) => {
                lock(&self.store).has_none(key);
                return;
            }
        };
        Store::add_with_room(&self.store, key, own, &table, runtime, job.urgency);
        if let Some(pid) = program {
            self.learn_libraries(pid);
        }
    }

    /// Takes in the libraries that a process's program will load.
    pub(super) fn learn_libraries(&self, pid: u32) {
        for path in needed::libraries(&self.proc, pid) {
            self.queue(Job {
                source: Source::Path(path),
                key: None,
                urgency: Urgency::Mapped,
            });
        }
    }
}

/// The traced host comes first.
pub(super) const BEHIND_OTHERS: libc::c_int = 10;

/// Unless the trace waits for tables: on a busy host the threads would get nothing done in the
/// time that it waits, and a program that has ended has no second chance.
pub(super) const BEFORE_OTHERS: libc::c_int = -10;

/// Sets the priority of a thread of ours. Where that is not allowed nothing changes.
pub(super) fn prioritize(thread: libc::pid_t, nice: libc::c_int) {
    // SAFETY: setpriority(2) takes numbers; on Linux the priority is the thread's.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.cast_unsigned(), nice) };
}
