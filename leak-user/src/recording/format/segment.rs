//! Segments: records, one behind the other, that are compressed together and need
//! nothing from other segments. So they can be kept in memory and written later, also
//! without those that came before them.

use std::collections::VecDeque;

use super::{
    compact::CompactEncoder,
    frame::{MAX_RAW, flag},
    inputs, kinds,
    wire::put,
};
use crate::{analysis::Input, event::Event, model::time::Nanos};

/// Bytes of records from which a segment is closed.
const FULL: usize = 512 << 10;

/// Most bytes of one fragment of a record that is too long for a segment.
const FRAGMENT: usize = 256 << 10;

/// Most bytes of a record, all its fragments together.
pub const MAX_RECORD: usize = 8 << 20;

// What does not compress is stored as it is, and must fit a frame then.
const _: () = assert!(FULL + FRAGMENT + 1024 <= super::MAX_STORED as usize);

/// A segment that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Records in it.
    pub records: u32,
    /// The least and the greatest time in it, both 0 where it has none.
    pub earliest: Nanos,
    pub latest: Nanos,
    pub(super) flags: u8,
    pub(super) raw: u32,
    pub(super) stored: Vec<u8>,
}

impl Segment {
    /// Bytes that it takes in memory, and without its header in a file.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.stored.len()
    }
}

/// Why a record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Bytes of the record.
    pub bytes: usize,
}

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a record of {} bytes is longer than a recording takes ({MAX_RECORD})",
            self.bytes
        )
    }
}

impl std::error::Error for TooLong {}

/// Makes segments of inputs. A segment that is full waits until [`Encoder::pop`] takes it.
pub struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    compact: CompactEncoder,
    raw: Vec<u8>,
    /// A record while it is encoded.
    record: Vec<u8>,
    records: u32,
    times: Option<(Nanos, Nanos)>,
    ready: VecDeque<Segment>,
}

impl Encoder {
    /// An encoder that compresses at `level` of zstd.
    ///
    /// # Errors
    /// zstd has no such level, or no memory.
    pub fn new(level: i32) -> std::io::Result<Encoder> {
        Ok(Encoder {
            compressor: zstd::bulk::Compressor::new(level)?,
            compact: CompactEncoder::default(),
            raw: Vec::with_capacity(FULL + FRAGMENT),
            record: Vec::new(),
            records: 0,
            times: None,
            ready: VecDeque::new(),
        })
    }

    /// Appends an input.
    ///
    /// # Errors
    /// It is longer than a recording takes.
    pub fn input(&mut self, input: &Input) -> Result<(), TooLong> {
        match input {
            Input::Event(Event::Acquired(acquired)) => {
                self.saw(acquired.time);
                self.compact.acquired(&mut self.raw, acquired);
                self.counted();
                Ok(())
            }
            Input::Event(Event::Released(released)) => {
                self.saw(released.time);
                self.compact.released(&mut self.raw, released);
                self.counted();
                Ok(())
            }
            _ => {
                let mut record = std::mem::take(&mut self.record);
                record.clear();
                let done = match inputs::put(&mut record, input) {
                    Some((kind, time)) => self.record(kind, time, &record),
                    None => Err(TooLong {
                        bytes: record.len(),
                    }),
                };
                self.record = record;
                done
            }
        }
    }

    /// Appends a record of any kind.
    ///
    /// # Errors
    /// It is longer than a recording takes.
    fn record(&mut self, kind: u8, time: Option<Nanos>, payload: &[u8]) -> Result<(), TooLong> {
        if payload.len() > MAX_RECORD {
            return Err(TooLong {
                bytes: payload.len(),
            });
        }
        if let Some(time) = time {
            self.saw(time);
        }
        if payload.len() <= FRAGMENT {
            self.framed(kind, payload);
            self.counted();
            return Ok(());
        }
        for (number, fragment) in payload.chunks(FRAGMENT).enumerate() {
            if number > 0 {
                self.flush();
            }
            let mut head = vec![kind];
            put(&mut head, payload.len() as u64);
            put(&mut head, (number * FRAGMENT) as u64);
            self.raw.push(kinds::FRAGMENT);
            put(&mut self.raw, (head.len() + fragment.len()) as u64);
            self.raw.extend(head);
            self.raw.extend(fragment);
        }
        // The record counts where its last fragment is.
        self.counted();
        Ok(())
    }

    fn framed(&mut self, kind: u8, payload: &[u8]) {
        self.raw.push(kind);
        put(&mut self.raw, payload.len() as u64);
        self.raw.extend(payload);
    }

    fn saw(&mut self, time: Nanos) {
        let (earliest, latest) = self.times.unwrap_or((time, time));
        self.times = Some((earliest.min(time), latest.max(time)));
    }

    fn counted(&mut self) {
        self.records += 1;
        if self.raw.len() >= FULL || self.compact.is_full() {
            self.flush();
        }
    }

    /// Closes the segment, if anything is in it.
    pub fn flush(&mut self) {
        if self.raw.is_empty() {
            return;
        }
        let raw = u32::try_from(self.raw.len()).expect("FULL and FRAGMENT bound it");
        debug_assert!(raw <= MAX_RAW, "FULL and FRAGMENT bound it");
        let (flags, stored) = match self.compressor.compress(&self.raw) {
            Ok(stored) if stored.len() < self.raw.len() => (flag::ZSTD, stored),
            // zstd has no memory, or compressing wins nothing.
            _ => (0, self.raw.clone()),
        };
        let (earliest, latest) = self.times.take().unwrap_or_default();
        self.ready.push_back(Segment {
            records: self.records,
            earliest,
            latest,
            flags,
            raw,
            stored,
        });
        self.raw.clear();
        self.compact.clear();
        self.records = 0;
    }

    /// Takes the oldest segment that is closed.
    pub fn pop(&mut self) -> Option<Segment> {
        self.ready.pop_front()
    }
}
