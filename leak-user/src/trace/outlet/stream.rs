//! The events of a trace to where they are written while it goes on, on a thread of its
//! own: the trace hands them over in batches and never waits long. What does not find
//! room is counted, and the last line says so.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
    vec,
};

use crate::{
    analysis::{Beginning, Input},
    event::{Event, row::EventRow},
    model::{event_totals::EventTotals, loss::meaning_of_loss, report::Host, time::Calendar},
    output::{EventOutput, Rows},
};

/// Events of a batch, and batches that wait to be written: some 30 MiB at most.
const BATCH: usize = 1024;
const QUEUE: usize = 256;

/// How long the trace waits for room where there was some before.
const PATIENCE: Duration = Duration::from_millis(50);

/// Stacks that wait for room: no later event tells them again.
const MAX_KEPT: usize = 16 * BATCH;

/// How often the end looks whether all is written.
const LOOK: Duration = Duration::from_millis(5);

/// What is handed to the thread.
enum Handed {
    Events(Vec<Input>),
    /// There are no more; what is missing.
    End(EventTotals),
}

/// Takes events and has them written.
pub(super) struct Stream {
    queue: SyncSender<Handed>,
    batch: Vec<Input>,
    lost: u64,
    /// The last batch found no room.
    is_behind: bool,
    /// Nothing is written any more: the reader has closed its pipe, or writing failed.
    is_over: bool,
    thread: JoinHandle<anyhow::Result<EventTotals>>,
}

impl Stream {
    pub(super) fn start(output: EventOutput, beginning: &Beginning) -> std::io::Result<Stream> {
        let (queue, messages) = sync_channel(QUEUE);
        let live = Live {
            messages,
            events: Vec::new().into_iter(),
            is_over: false,
            host: beginning.host.clone(),
            calendar: beginning.calendar(),
            totals: EventTotals::default(),
        };
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || output.write(live))?;
        Ok(Stream {
            queue,
            batch: Vec::new(),
            lost: 0,
            is_behind: false,
            is_over: false,
            thread,
        })
    }

    /// Takes note of what is one of the single events.
    pub(super) fn take(&mut self, input: &Input) {
        if !input.has_row() {
            return;
        }
        self.batch.push(input.clone());
        if self.batch.len() >= BATCH {
            self.send();
        }
    }

    /// Whether nothing can be written any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Hands over what was taken.
    pub(super) fn send(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut message = Handed::Events(std::mem::take(&mut self.batch));
        let end = Instant::now() + PATIENCE;
        loop {
            match self.queue.try_send(message) {
                Ok(()) => {
                    self.is_behind = false;
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.is_over = true;
                    return;
                }
                Err(TrySendError::Full(back)) if !self.is_behind && Instant::now() < end => {
                    message = back;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(TrySendError::Full(Handed::Events(events))) => return self.lose(events),
                Err(TrySendError::Full(Handed::End(_))) => return,
            }
        }
    }

    fn lose(&mut self, events: Vec<Input>) {
        let before = events.len();
        self.batch = events;
        self.batch
            .retain(|input| matches!(input, Input::Event(Event::Site(_))));
        self.batch.truncate(MAX_KEPT);
        let lost = (before - self.batch.len()) as u64;
        self.lost += lost;
        if !self.is_behind {
            tracing::error!("the reader of the events cannot keep up: some are not written");
        }
        self.is_behind = true;
    }

    /// Writes the rest and the last line, which says how much was lost before, by cause.
    pub(super) async fn finish(
        mut self,
        before: BTreeMap<String, u64>,
    ) -> anyhow::Result<EventTotals> {
        self.send();
        let mut lost = before;
        lost.insert("not_read".to_owned(), self.lost);
        lost.retain(|_, count| *count > 0);
        let mut message = Handed::End(EventTotals {
            events: 0,
            lost: lost.values().sum(),
            uncovered: lost
                .iter()
                .map(|(cause, count)| match meaning_of_loss(cause) {
                    Some(meaning) => format!("{cause} {count}: {meaning}"),
                    None => format!("{cause} {count}"),
                })
                .collect(),
        });
        // There is nothing left to trace: this may wait, for a signal too.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            message = back;
            tokio::time::sleep(LOOK).await;
        }
        while !self.thread.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that writes events panicked"))?
    }
}

/// What the thread reads.
struct Live {
    messages: Receiver<Handed>,
    events: vec::IntoIter<Input>,
    is_over: bool,
    host: Host,
    calendar: Calendar,
    totals: EventTotals,
}

impl Live {
    fn take(&mut self, message: Handed) {
        match message {
            Handed::Events(events) => self.events = events.into_iter(),
            Handed::End(totals) => {
                self.totals.lost = totals.lost;
                self.totals.uncovered = totals.uncovered;
                self.is_over = true;
            }
        }
    }
}

impl Rows for Live {
    fn host(&self) -> &Host {
        &self.host
    }

    fn totals(&self) -> &EventTotals {
        &self.totals
    }

    fn wait(&mut self) -> bool {
        if self.is_over || self.events.len() > 0 {
            return false;
        }
        match self.messages.try_recv() {
            Ok(message) => self.take(message),
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => self.is_over = true,
        }
        false
    }

    fn next_row(&mut self) -> anyhow::Result<Option<EventRow>> {
        loop {
            if let Some(event) = self.events.next() {
                if let Some(row) = event.row(self.calendar) {
                    self.totals.events += 1;
                    return Ok(Some(row));
                }
            } else if self.is_over {
                return Ok(None);
            } else {
                match self.messages.recv() {
                    Ok(message) => self.take(message),
                    Err(_) => self.is_over = true,
                }
            }
        }
    }
}
