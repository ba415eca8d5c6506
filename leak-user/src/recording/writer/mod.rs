//! Writes a recording beside a trace, on a thread of its own: the trace hands inputs
//! over in batches and never waits long. Inputs that find no room are counted; the trace
//! then compares all processes with `/proc`, as after any other loss. What to tell a
//! recording, and when a trigger fires, is left to the trace.

mod files;
mod options;
mod past;
mod sink;
#[cfg(test)]
mod tests;
mod trigger;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    analysis::{Beginning, Input},
    event::Event,
    recording::format::{Chain, WriteError},
};
pub use options::{Options, PartLimit};
pub use trigger::{Trigger, Triggers};

use files::Files;
use sink::Sink;

/// Inputs of a batch, and batches that wait to be written: some 30 MiB at most.
const BATCH: usize = 1024;
const QUEUE: usize = 128;

/// How long the trace waits for room, once for a batch.
const PATIENCE: Duration = Duration::from_millis(50);

/// Inputs that must not be lost (sites, stacks, names) and wait for room.
const MAX_KEPT: usize = 64 * BATCH;

/// Between two flushes: what a killed recording may lack at its end.
const FLUSH: Duration = Duration::from_millis(500);

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that are there, oldest first; none where a trigger did not fire.
    pub files: Vec<PathBuf>,
    pub records: u64,
    /// Inputs that are not in it: there was no room, or they are too long.
    pub lost: u64,
    pub bytes: u64,
    /// The chain's last value of the last file.
    pub chain: Option<Chain>,
    /// It was ended because it had its size.
    pub is_full: bool,
    /// Why the recording ended before the trace.
    pub error: Option<String>,
}

enum Handed {
    Inputs(Vec<Input>),
    /// A new part begins, with the state there is.
    Part(Box<Beginning>, Vec<Input>),
    /// A trigger fired: the past is written.
    Fire,
}

/// What the writing thread tells.
#[derive(Debug, Default)]
struct Shared {
    wants_part: AtomicBool,
    /// Parts that the thread has begun.
    parts: AtomicU32,
    is_full: AtomicBool,
    has_failed: AtomicBool,
    /// Inputs that are too long for a record.
    too_long: AtomicU64,
    bytes: AtomicU64,
    summary: Mutex<Summary>,
}

/// Takes inputs and has them written.
#[derive(Debug)]
pub struct Recorder {
    queue: Option<SyncSender<Handed>>,
    batch: Vec<Input>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    parts: u32,
    lost: u64,
}

impl Recorder {
    /// Opens the file and begins to write.
    ///
    /// # Errors
    /// The file cannot be made, or the thread not started.
    pub fn start(options: Options, beginning: &Beginning) -> anyhow::Result<Recorder> {
        let (queue, messages) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let sink = Sink::begin(options.clone(), Files::new(&options), beginning)?;
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || write(sink, &messages, &own))?;
        Ok(Recorder {
            queue: Some(queue),
            batch: Vec::new(),
            shared,
            thread: Some(thread),
            parts: 1,
            lost: 0,
        })
    }

    /// Takes an input. [`Recorder::send`] hands it over.
    pub fn take(&mut self, input: Input) {
        self.batch.push(input);
    }

    /// Whether there is enough for a batch.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.batch.len() >= BATCH
    }

    /// Hands over what was taken. Returns how many inputs were lost because there was no
    /// room. The recording has an [`Input::Lost`] in their place: an analysis that took
    /// the same inputs has to take that one too, or both come to different reports.
    pub fn send(&mut self) -> u64 {
        if self.batch.is_empty() {
            return 0;
        }
        let batch = std::mem::take(&mut self.batch);
        match self.offer(Handed::Inputs(batch)) {
            Some(Handed::Inputs(mut batch)) => {
                let before = batch.len();
                batch.retain(must_stay);
                batch.truncate(MAX_KEPT);
                let lost = (before - batch.len()) as u64;
                self.batch = batch;
                if lost > 0 {
                    self.batch.push(Input::Lost(None));
                }
                self.lost += lost;
                lost
            }
            _ => 0,
        }
    }

    /// Gives a message to the thread, or back where there is no room in time.
    fn offer(&self, message: Handed) -> Option<Handed> {
        let queue = self.queue.as_ref()?;
        let mut message = message;
        let end = Instant::now() + PATIENCE;
        loop {
            match queue.try_send(message) {
                Ok(()) => return None,
                // The thread ends early only if it panics for lack of memory.
                Err(TrySendError::Disconnected(_)) => return None,
                Err(TrySendError::Full(back)) => {
                    if Instant::now() >= end {
                        return Some(back);
                    }
                    message = back;
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }

    /// Inputs that are not in the recording: there was no room, or they are too long.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost + self.shared.too_long.load(Relaxed)
    }

    /// Whether a new part is to begin: [`Recorder::part`].
    #[must_use]
    pub fn wants_part(&self) -> bool {
        // While a part is on its way to the thread, the flag is about the part before: it
        // would ask for the same part again.
        self.shared.parts.load(Acquire) == self.parts && self.shared.wants_part.load(Relaxed)
    }

    /// The number that the next part gets.
    #[must_use]
    pub fn next_part(&self) -> u32 {
        self.parts
    }

    /// Begins a new part with the state after all that was taken.
    pub fn part(&mut self, beginning: Beginning, state: Vec<Input>) {
        // What was taken belongs to the part before.
        self.send();
        if !self.batch.is_empty() {
            return;
        }
        let message = Handed::Part(Box::new(beginning), state);
        if self.offer(message).is_none() {
            self.parts += 1;
        }
    }

    /// Writes the past, and all that follows.
    pub fn fire(&mut self) {
        self.send();
        if let Some(queue) = &self.queue {
            let _ = queue.send(Handed::Fire);
        }
    }

    /// Whether the recording has its size.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.is_full.load(Relaxed)
    }

    /// Whether nothing can be written any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Relaxed)
    }

    /// Bytes written so far, or kept in memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Relaxed)
    }

    /// Writes the rest and ends the file.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        let batch = std::mem::take(&mut self.batch);
        if let Some(queue) = self.queue.take() {
            // There is nothing left to trace: this may wait.
            let _ = queue.send(Handed::Inputs(batch));
        }
        if let Some(thread) = self.thread.take() {
            // It panics only for lack of memory.
            let _ = thread.join();
        }
        let summary = self.shared.summary.lock();
        let summary = summary.unwrap_or_else(PoisonError::into_inner).clone();
        Summary {
            lost: self.lost + summary.lost,
            ..summary
        }
    }
}

/// Whether an input is kept where there is no room. An acquisition that is lost is found
/// again in `/proc`, and a count is told anew; but a site, a name or the state at a
/// beginning is told once, and what follows makes no sense without it.
fn must_stay(input: &Input) -> bool {
    match input {
        Input::Event(event) => match event {
            Event::Acquired(_)
            | Event::Released(_)
            | Event::RangeReleased(_)
            | Event::Remapped(_) => false,
            Event::Site(_)
            | Event::Forked(_)
            | Event::Executed(_)
            | Event::Exited { .. }
            | Event::Uncovered { .. } => true,
        },
        Input::Counted { .. } => false,
        Input::Restored(_)
        | Input::Baseline(_)
        | Input::Compared { .. }
        | Input::Gone(_)
        | Input::Lost(_)
        | Input::Horizon(_)
        | Input::Sample(_)
        | Input::Facts(..)
        | Input::Stack { .. }
        | Input::Described { .. }
        | Input::Observed(_)
        | Input::LastUses(_)
        | Input::GeneratedCode(_)
        | Input::PoolUses(_)
        | Input::Shared { .. }
        | Input::Failed(_)
        | Input::Notice(_)
        | Input::FirstFailure(_)
        | Input::Limits(..)
        | Input::SharedLimits(_)
        | Input::Full(..)
        | Input::Health(_)
        | Input::Ended { .. } => true,
    }
}

/// What the thread does until the trace ends.
fn write(mut sink: Sink, messages: &Receiver<Handed>, shared: &Shared) {
    let mut flushed = Instant::now();
    loop {
        let done = match messages.recv_timeout(FLUSH) {
            Ok(Handed::Inputs(inputs)) => sink.inputs(&inputs),
            Ok(Handed::Part(beginning, state)) => sink.part(&beginning, &state),
            Ok(Handed::Fire) => sink.fire(),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let done = done.and_then(|()| {
            if flushed.elapsed() < FLUSH {
                return Ok(());
            }
            flushed = Instant::now();
            sink.flush()
        });
        if let Err(error) = done {
            shared.has_failed.store(true, Relaxed);
            sink.fail(&error);
        }
        shared.too_long.store(sink.too_long(), Relaxed);
        shared.bytes.store(sink.bytes(), Relaxed);
        shared.is_full.fetch_or(sink.is_full(), Relaxed);
        shared.wants_part.store(sink.wants_part(), Relaxed);
        shared.parts.store(sink.parts(), Release);
    }
    let summary = sink.finish();
    shared.has_failed.fetch_or(summary.error.is_some(), Relaxed);
    *shared
        .summary
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = summary;
}

/// Sorts errors: where writing fails the recording ends, but a record that is too long
/// is one record less. Returns whether it was short enough.
fn io_only(result: Result<(), WriteError>) -> std::io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(WriteError::Io(error)) => Err(error),
        Err(WriteError::TooLong(error)) => {
            tracing::error!("not recorded: {error}");
            Ok(false)
        }
    }
}
