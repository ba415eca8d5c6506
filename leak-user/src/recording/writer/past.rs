//! The past in memory, until a trigger fires: parts of compressed segments. Each part
//! begins with the state of that moment, so the oldest can be dropped when memory is
//! full, and what is left can still be read.

use std::collections::VecDeque;

use crate::{
    analysis::{Beginning, Input},
    recording::format::{Encoder, LEVEL, Segment, WriteError, Writer},
};

/// A new part begins when one has this share of the memory: an eighth.
const SHARE: u64 = 8;

/// A part of the recording that would be written.
struct Part {
    beginning: Beginning,
    /// The state that it begins with, and what followed.
    state: Vec<Segment>,
    segments: Vec<Segment>,
    bytes: u64,
}

/// What happened lately, as much as memory is given for.
pub(super) struct Past {
    encoder: Encoder,
    parts: VecDeque<Part>,
    /// What comes is the state that the last part begins with.
    in_state: bool,
    limit: u64,
    bytes: u64,
}

impl Past {
    pub(super) fn new(limit: u64, beginning: &Beginning) -> std::io::Result<Past> {
        let mut past = Past {
            encoder: Encoder::new(LEVEL)?,
            parts: VecDeque::new(),
            in_state: false,
            limit,
            bytes: 0,
        };
        past.begin(beginning);
        Ok(past)
    }

    fn begin(&mut self, beginning: &Beginning) {
        self.parts.push_back(Part {
            beginning: beginning.clone(),
            state: Vec::new(),
            segments: Vec::new(),
            bytes: 0,
        });
    }

    pub(super) fn input(&mut self, input: &Input) -> Result<(), WriteError> {
        self.encoder.input(input)?;
        self.collect();
        Ok(())
    }

    pub(super) fn flush(&mut self) {
        self.encoder.flush();
        self.collect();
    }

    /// Begins a part: the state that it begins with comes next.
    pub(super) fn begin_part(&mut self, beginning: &Beginning) {
        self.flush();
        self.begin(beginning);
        self.in_state = true;
    }

    /// The state is complete. Drops the oldest parts, for which there is no room.
    pub(super) fn end_state(&mut self) {
        self.flush();
        self.in_state = false;
        while self.bytes > self.limit && self.parts.len() > 1 {
            if let Some(oldest) = self.parts.pop_front() {
                self.bytes -= oldest.bytes;
            }
        }
    }

    fn collect(&mut self) {
        while let Some(segment) = self.encoder.pop() {
            let Some(part) = self.parts.back_mut() else {
                return;
            };
            let bytes = segment.bytes() as u64;
            part.bytes += bytes;
            self.bytes += bytes;
            match self.in_state {
                true => part.state.push(segment),
                false => part.segments.push(segment),
            }
        }
    }

    /// Whether it is time for [`Past::begin_part`].
    pub(super) fn wants_part(&self) -> bool {
        self.parts.back().is_some_and(|part| {
            let happened: usize = part.segments.iter().map(Segment::bytes).sum();
            happened as u64 > self.limit / SHARE
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How the oldest part began.
    pub(super) fn beginning(&self) -> Option<&Beginning> {
        self.parts.front().map(|part| &part.beginning)
    }

    /// Writes all of it: the state of the oldest part, and what happened since. The
    /// states of later parts say nothing new then.
    pub(super) fn write<W: std::io::Write>(
        mut self,
        writer: &mut Writer<W>,
    ) -> Result<(), WriteError> {
        self.flush();
        for (number, part) in self.parts.iter().enumerate() {
            let state = part.state.iter().filter(|_| number == 0);
            for segment in state.chain(&part.segments) {
                writer.append(segment)?;
            }
        }
        Ok(())
    }
}
