//! The past in memory, until a trigger asks for it: stretches of compressed segments,
//! each of which begins with the state there was, so that the oldest can go.

use std::collections::VecDeque;

use crate::{
    analysis::{Beginning, Input},
    recording::format::{Encoder, LEVEL, Segment, WriteError, Writer},
};

/// A new stretch begins when one has this share of the memory.
const SHARE: u64 = 8;

struct Stretch {
    beginning: Beginning,
    /// The state it begins with, and what followed.
    state: Vec<Segment>,
    segments: Vec<Segment>,
    bytes: u64,
}

/// What happened lately.
pub(super) struct Past {
    encoder: Encoder,
    stretches: VecDeque<Stretch>,
    /// What comes is the state that the last stretch begins with.
    in_state: bool,
    limit: u64,
    bytes: u64,
}

impl Past {
    pub(super) fn new(limit: u64, beginning: &Beginning) -> std::io::Result<Past> {
        let mut past = Past {
            encoder: Encoder::new(LEVEL)?,
            stretches: VecDeque::new(),
            in_state: false,
            limit,
            bytes: 0,
        };
        past.begin(beginning);
        Ok(past)
    }

    fn begin(&mut self, beginning: &Beginning) {
        self.stretches.push_back(Stretch {
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

    /// Begins a stretch: the state it begins with comes next.
    pub(super) fn begin_part(&mut self, beginning: &Beginning) {
        self.flush();
        self.begin(beginning);
        self.in_state = true;
    }

    /// The state is complete. Drops old stretches for which there is no room.
    pub(super) fn end_state(&mut self) {
        self.flush();
        self.in_state = false;
        while self.bytes > self.limit && self.stretches.len() > 1 {
            if let Some(oldest) = self.stretches.pop_front() {
                self.bytes -= oldest.bytes;
            }
        }
    }

    fn collect(&mut self) {
        while let Some(segment) = self.encoder.pop() {
            let Some(stretch) = self.stretches.back_mut() else {
                return;
            };
            let bytes = segment.bytes() as u64;
            stretch.bytes += bytes;
            self.bytes += bytes;
            match self.in_state {
                true => stretch.state.push(segment),
                false => stretch.segments.push(segment),
            }
        }
    }

    /// Whether it is time for [`Past::begin_part`].
    pub(super) fn wants_part(&self) -> bool {
        self.stretches.back().is_some_and(|stretch| {
            let happened: usize = stretch.segments.iter().map(Segment::bytes).sum();
            happened as u64 > self.limit / SHARE
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How the oldest stretch began.
    pub(super) fn beginning(&self) -> Option<&Beginning> {
        self.stretches.front().map(|stretch| &stretch.beginning)
    }

    /// Writes all of it: the state of the oldest stretch, and what happened since.
    pub(super) fn write<W: std::io::Write>(
        mut self,
        writer: &mut Writer<W>,
    ) -> Result<(), WriteError> {
        self.flush();
        for (number, stretch) in self.stretches.iter().enumerate() {
            let state = stretch.state.iter().filter(|_| number == 0);
            for segment in state.chain(&stretch.segments) {
                writer.append(segment)?;
            }
        }
        Ok(())
    }
}
