//! Reads the ring buffer on a thread of its own, into a bounded queue of batches.
//!
//! When the queue is full the thread waits, the ring fills, and the kernel side
//! counts what it has to drop: nothing is ever lost on the way in between.

use std::{
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::kernel::{decode::push_record, run_before_others};

/// Batches that wait to be decoded: with [`BATCH_BYTES`] each, 16 MiB at most.
const QUEUE: usize = 64;

/// A batch is passed on when it has this size, or when the ring is empty.
const BATCH_BYTES: usize = 256 << 10;

/// What the kernel adds to a record in the ring, in bytes; the whole is rounded up to 8.
const HEADER: usize = 8;

/// How long the thread sleeps when the ring was empty. The programs wake nobody:
/// a look every few milliseconds costs less than a wake-up for each record.
const SHORTEST_SLEEP: Duration = Duration::from_millis(4);
const LONGEST_SLEEP: Duration = Duration::from_millis(32);

/// The reading thread. It ends when it is told to, or when nobody takes batches.
#[derive(Debug)]
pub struct RingReader {
    batches: mpsc::Receiver<Bytes>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RingReader {
    /// Starts reading a ring that holds `bytes`. `prompt`: the programs wake the reader, so
    /// it waits for that.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(ring: RingBuf<MapData>, bytes: u32, prompt: bool) -> std::io::Result<RingReader> {
        let (sender, batches) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ring".to_owned())
            .spawn(move || read(ring, at_most(bytes), &sender, &told, prompt))?;
        Ok(RingReader {
            batches,
            stop,
            thread: Some(thread),
        })
    }

    /// The next batch; `None` when reading has ended and all was taken.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.batches.recv().await
    }

    /// A batch that is there already.
    pub fn try_next(&mut self) -> Option<Bytes> {
        self.batches.try_recv().ok()
    }

    /// Tells the thread to read what is in the ring now and end. Take batches with
    /// [`RingReader::next`] until there are none.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Drop for RingReader {
    fn drop(&mut self) {
        self.stop();
        self.batches.close();
        while self.batches.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            // It panics only if the allocator does.
            let _ = thread.join();
        }
    }
}

/// What a ring that was asked for holds at most: sizes are rounded up to a power of two, and
/// to a page.
fn at_most(bytes: u32) -> usize {
    const LARGEST_PAGE: u32 = 64 << 10;
    let rounded = bytes.max(LARGEST_PAGE).checked_next_power_of_two();
    rounded.map_or(usize::MAX, |bytes| bytes as usize)
}

fn read(
    mut ring: RingBuf<MapData>,
    bytes: usize,
    batches: &mpsc::Sender<Bytes>,
    stop: &AtomicBool,
    prompt: bool,
) {
    run_before_others();
    let mut sleep = SHORTEST_SLEEP;
    loop {
        // Told before the ring was read: what is written later is not waited for. There may
        // be no end of it, so a round reads no more than the ring can hold.
        let last = stop.load(Ordering::Acquire);
        let mut left = bytes;
        let mut batch = BytesMut::new();
        while left > 0
            && let Some(record) = ring.next()
        {
            left = left.saturating_sub((HEADER + record.len()).next_multiple_of(8));
            push_record(&mut batch, &record);
            if batch.len() >= BATCH_BYTES
                && batches
                    .blocking_send(std::mem::take(&mut batch).freeze())
                    .is_err()
            {
                return;
            }
        }
        sleep = if batch.is_empty() {
            (sleep * 2).min(LONGEST_SLEEP)
        } else {
            SHORTEST_SLEEP
        };
        if !batch.is_empty() && batches.blocking_send(batch.freeze()).is_err() || last {
            return;
        }
        if left == 0 {
            continue;
        }
        if prompt {
            wait(&ring, sleep);
        } else {
            // Records come together for so long; after that, one that is urgent wakes.
            std::thread::sleep(SHORTEST_SLEEP);
            wait(&ring, sleep.saturating_sub(SHORTEST_SLEEP));
        }
    }
}

/// Waits until the ring has something, or for `longest`.
fn wait(ring: &RingBuf<MapData>, longest: Duration) {
    let mut poll = libc::pollfd {
        fd: ring.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let milliseconds = i32::try_from(longest.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one live object. A failure is no reason not to look again.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
}
