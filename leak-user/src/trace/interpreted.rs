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
    model::{hex::Hex, report::Frame, site::SiteId},
    stacks::python::{Interpreter, Merged, Names, PythonName, entries, merge},
};

/// Stacks that wait for their names at most.
const MAX_WAITING: usize = 4096;

/// Sites whose frames are kept: some kilobytes each.
const MAX_SITES: usize = 16_384;

/// What the interpreter's main function is called.
const EVAL: &str = "_PyEval_EvalFrameDefault";

struct Job {
    site: SiteId,
    pid: u32,
    interpreter: Arc<Interpreter>,
    frames: Box<[PythonFrame]>,
}

#[derive(Debug)]
struct Named {
    interpreter: Arc<Interpreter>,
    /// Innermost first.
    frames: Vec<(PythonFrame, Option<PythonName>)>,
}

#[derive(Debug, Default)]
struct State {
    named: HashMap<SiteId, Named>,
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
        interpreter: Arc<Interpreter>,
        frames: &[PythonFrame],
    ) {
        let frames = entries(&interpreter.layout, frames).into();
        self.shared.lock().waiting += 1;
        let job = Job {
            site,
            pid,
            interpreter,
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
            Some(named) => merged(named, native, complete),
            None => native,
        }
    }
}

fn run(queue: &Receiver<Job>, shared: &Shared) {
    let mut names = Names::default();
    for job in queue {
        let frames = job
            .frames
            .iter()
            .map(|frame| {
                let name = names.resolve(job.pid, &job.interpreter.names, *frame);
                (*frame, name)
            })
            .collect();
        let named = Named {
            interpreter: job.interpreter,
            frames,
        };
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

fn merged(named: &Named, native: Vec<Frame>, complete: bool) -> Vec<Frame> {
    // An inlined function goes with the one that it is in, which follows.
    let mut groups: Vec<Vec<Frame>> = Vec::new();
    let mut group = Vec::new();
    for frame in native {
        let ends = !frame.inlined;
        group.push(frame);
        if ends {
            groups.push(std::mem::take(&mut group));
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    let is_eval = |index: usize| {
        groups
            .get(index)
            .and_then(|group| group.last())
            .is_some_and(|frame| is_eval(&named.interpreter, frame))
    };
    let python: Vec<PythonFrame> = named.frames.iter().map(|(frame, _)| *frame).collect();
    let order = merge(groups.len(), is_eval, complete, &python);
    let mut frames = Vec::new();
    for place in order {
        match place {
            Merged::Native(index) => frames.append(&mut groups[index]),
            Merged::Python(index) => frames.push(shown(named, index)),
        }
    }
    frames
}

/// Whether a native frame is one of the function that runs Python code.
fn is_eval(interpreter: &Interpreter, frame: &Frame) -> bool {
    if frame.symbol == EVAL {
        return true;
    }
    let name = frame.module.rsplit('/').next().unwrap_or_default();
    // The frame's address is the one to return to.
    name.contains("python")
        && frame
            .module_offset
            .is_some_and(|Hex(offset)| interpreter.is_eval(offset.saturating_sub(1)))
}

fn shown(named: &Named, index: usize) -> Frame {
    let (frame, name) = &named.frames[index];
    let (major, minor) = named.interpreter.version;
    let mut shown = Frame {
        address: Hex(frame.code),
        module: format!("python{major}.{minor}"),
        ..Frame::default()
    };
    if let Some(name) = name {
        shown.symbol.clone_from(&name.function);
        shown.file = Some(name.file.clone());
        shown.line = name.line;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::python::NameLayout;
    use leak_common::unwind::PythonLayout;

    fn native(symbol: &str, inlined: bool) -> Frame {
        Frame {
            symbol: symbol.to_owned(),
            inlined,
            ..Frame::default()
        }
    }

    #[test]
    fn python_frames_take_the_place_of_the_interpreter_and_what_it_inlines() {
        // SAFETY: structures of integers and plain enumerations' first value.
        let (layout, names): (PythonLayout, NameLayout) = unsafe { std::mem::zeroed() };
        let interpreter = Interpreter {
            version: (3, 12),
            runtime_offset: 0,
            layout,
            names,
            eval_ranges: Vec::new(),
        };
        let frame = |entry: bool| PythonFrame {
            code: 0x1000,
            place: if entry { PythonFrame::ENTRY } else { 0 },
        };
        let name = |function: &str| {
            Some(PythonName {
                function: function.to_owned(),
                file: "x.py".to_owned(),
                line: Some(3),
            })
        };
        let named = Named {
            interpreter: Arc::new(interpreter),
            frames: vec![(frame(false), name("inner")), (frame(true), name("outer"))],
        };
        let stack = vec![
            native("open64", false),
            native("dispatch", true),
            native(EVAL, false),
            native("main", false),
        ];
        let symbols: Vec<String> = merged(&named, stack, true)
            .into_iter()
            .map(|frame| frame.symbol)
            .collect();
        assert_eq!(symbols, ["open64", "inner", "outer", "main"]);
    }
}
