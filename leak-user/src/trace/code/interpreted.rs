//! Names for the frames of interpreters, read while their process lives, and put in
//! the place of the native frames that ran them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use leak_common::unwind::PythonFrame;

use crate::{
    model::{report::Frame, site::SiteId},
    stacks::runtimes::{Names, Runtime, RuntimeStack, merge},
};

/// Stacks that wait for their names at most.
const MAX_WAITING: usize = 4096;

/// Sites whose frames are kept: some kilobytes each.
const MAX_SITES: usize = 16_384;

struct Job {
    site: SiteId,
    pid: u32,
    runtime: Arc<Runtime>,
    frames: Box<[PythonFrame]>,
}

#[derive(Debug, Default)]
struct State {
    named: HashMap<SiteId, RuntimeStack>,
    /// Sites that were found to be another.
    names: HashMap<SiteId, SiteId>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads names on a thread of its own: a process can make a read of its memory wait
/// (userfaultfd(2)), and nothing else may wait for it.
#[derive(Debug)]
pub(super) struct Interpreted {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

impl Interpreted {
    pub(super) fn start() -> std::io::Result<Interpreted> {
        let (jobs, queue) = sync_channel(MAX_WAITING);
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        // It ends when its queue does, and is not waited for.
        std::thread::Builder::new()
            .name("leaktrace-python".to_owned())
            .spawn(move || run(&queue, &own))?;
        Ok(Interpreted { jobs, shared })
    }

    /// Takes the frames that were walked at a site.
    pub(super) fn take(
        &self,
        site: SiteId,
        pid: u32,
        runtime: Arc<Runtime>,
        frames: &[PythonFrame],
    ) {
        let frames = runtime.function_frames(frames).into();
        self.shared.lock().waiting += 1;
        let job = Job {
            site,
            pid,
            runtime,
            frames,
        };
        if self.jobs.try_send(job).is_err() {
            self.shared.lock().waiting -= 1;
            tracing::debug!(pid, "too many Python stacks at once: one has no names");
        }
    }

    /// Waits until all names are there, or the time is up.
    pub(super) fn wait(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.waiting > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The frames of one site are those of another.
    pub(super) fn rename(&self, from: SiteId, to: SiteId) {
        let mut state = self.shared.lock();
        state.names.insert(from, to);
        if let Some(named) = state.named.remove(&from) {
            state.named.entry(to).or_insert(named);
        }
    }

    /// Drops what is kept of a site.
    pub(super) fn forget(&self, site: SiteId) {
        let mut state = self.shared.lock();
        state.named.remove(&site);
        state.names.remove(&site);
    }

    /// A site's whole stack: Python frames in the place of those that ran them.
    /// `complete` says that the native ones reach the outermost.
    pub(super) fn merge(&self, site: SiteId, native: Vec<Frame>, complete: bool) -> Vec<Frame> {
        let state = self.shared.lock();
        match state.named.get(&site) {
            Some(named) => merge(named, native, complete),
            None => native,
        }
    }
}

fn run(queue: &Receiver<Job>, shared: &Shared) {
    let mut names = Names::default();
    for job in queue {
        let named = names.name(job.pid, &job.runtime, &job.frames);
        let mut state = shared.lock();
        let site = state.names.get(&job.site).copied().unwrap_or(job.site);
        if state.named.len() < MAX_SITES {
            state.named.entry(site).or_insert(named);
        }
        state.waiting -= 1;
        drop(state);
        shared.done.notify_all();
    }
}
