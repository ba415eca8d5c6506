//! Records inputs into a file, on a thread of its own: the trace hands them over in
//! batches and never waits long. What does not find room is counted, and is then
//! compared with `/proc` like everything that was lost.

mod files;
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
    cli::Part,
    event::Event,
    recording::format::{Chain, WriteError},
};
pub use trigger::{Trigger, Triggers, triggers};

use files::Files;
use sink::Sink;

/// Inputs of a batch, and batches that wait to be written: some 30 MiB at most.
const BATCH: usize = 1024;
const QUEUE: usize = 128;

/// How long the trace waits for room, once for a batch.
const PATIENCE: Duration = Duration::from_millis(50);

/// Inputs that must not be lost (sites, stacks, names) and wait for room.
const MAX_KEPT: usize = 64 * BATCH;

/// What a killed recording may lack at its end.
const FLUSH: Duration = Duration::from_millis(500);

/// What to record, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `-` is standard output; `%h`, `%p` and `%t` are filled in.
    pub path: PathBuf,
    /// Of this host.
    pub host: String,
    /// Bytes from which a recording ends.
    pub max_size: Option<u64>,
    /// When a new file is begun.
    pub rotate: Option<Part>,
    /// Files kept of a rotation.
    pub keep: Option<u32>,
    /// Bytes of the past kept in memory until [`Recorder::fire`]; `None`: all is
    /// written at once.
    pub past: Option<u64>,
    /// Command lines are left out.
    pub redact: bool,
}

impl Plan {
    /// Fails where no file can be made, before there is anything to write.
    ///
    /// # Errors
    /// The directory does not exist, or is not writable.
    pub fn check(&self) -> anyhow::Result<()> {
        Files::new(self).check()
    }
}

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
    /// It was ended for its size.
    pub is_full: bool,
    /// Why the recording ended before the trace.
    pub error: Option<String>,
}

enum Message {
    Inputs(Vec<Input>),
    /// A new part begins, with the state there is.
    Part(Box<Beginning>, Vec<Input>),
    /// The trigger fired.
    Fire,
}

/// What the writing thread tells.
#[derive(Debug, Default)]
struct Shared {
    wants_part: AtomicBool,
    /// Parts that were begun.
    parts: AtomicU32,
    is_full: AtomicBool,
    has_failed: AtomicBool,
    /// Inputs that no capture takes.
    too_long: AtomicU64,
    bytes: AtomicU64,
    summary: Mutex<Summary>,
}

/// Takes inputs and has them written.
#[derive(Debug)]
pub struct Recorder {
    queue: Option<SyncSender<Message>>,
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
    pub fn start(plan: Plan, beginning: &Beginning) -> anyhow::Result<Recorder> {
        let (queue, messages) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let sink = Sink::begin(plan.clone(), Files::new(&plan), beginning)?;
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

    /// Takes an input. It is on its way when [`Recorder::send`] was called.
    pub fn take(&mut self, input: Input) {
        self.batch.push(input);
    }

    /// Whether there is enough for a batch.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.batch.len() >= BATCH
    }

    /// Hands over what was taken. Returns how many inputs were lost for want of room:
    /// the recording says so at that place, and whoever takes the same inputs has to
    /// take [`Input::Lost`] too.
    pub fn send(&mut self) -> u64 {
        if self.batch.is_empty() {
            return 0;
        }
        let batch = std::mem::take(&mut self.batch);
        match self.offer(Message::Inputs(batch)) {
            Some(Message::Inputs(mut batch)) => {
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
    fn offer(&self, message: Message) -> Option<Message> {
        let queue = self.queue.as_ref()?;
        let mut message = message;
        let end = Instant::now() + PATIENCE;
        loop {
            match queue.try_send(message) {
                Ok(()) => return None,
                // The thread ends early only if the allocator does.
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
        // Of a part that is on its way nothing is known yet.
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
        let message = Message::Part(Box::new(beginning), state);
        if self.offer(message).is_none() {
            self.parts += 1;
        }
    }

    /// Writes the past, and all that follows.
    pub fn fire(&mut self) {
        self.send();
        if let Some(queue) = &self.queue {
            let _ = queue.send(Message::Fire);
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
            let _ = queue.send(Message::Inputs(batch));
        }
        if let Some(thread) = self.thread.take() {
            // It panics only if the allocator does.
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

/// Whether what follows makes no sense without this.
fn must_stay(input: &Input) -> bool {
    match input {
        Input::Event(event) => !matches!(
            event,
            Event::Acquired(_) | Event::Released(_) | Event::RangeReleased(_) | Event::Remapped(_)
        ),
        Input::Counted { .. } => false,
        _ => true,
    }
}

/// The thread.
fn write(mut sink: Sink, messages: &Receiver<Message>, shared: &Shared) {
    let mut flushed = Instant::now();
    loop {
        let done = match messages.recv_timeout(FLUSH) {
            Ok(Message::Inputs(inputs)) => sink.inputs(&inputs),
            Ok(Message::Part(beginning, state)) => sink.part(&beginning, &state),
            Ok(Message::Fire) => sink.fire(),
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

/// Only a failing sink is an end: a record too long is one record less. Returns whether
/// it was short enough.
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
