//! Frames of a file, in their order, and what is damaged between them. A frame that
//! fails a check is never passed on; the next one is searched for by its marker.

use std::io::Read;

use super::{
    damage::{Cause, Damage, ReadError},
    frame::{Chain, HEADER, Header, Version, file_id, kind},
    window::Window,
};
use crate::model::time::Nanos;

/// Bytes after which a file is given up that has no sound frame so far.
const SEARCHED: u64 = 64 << 20;

/// How many payloads may fail their CRC until the lengths in headers are believed. Until
/// then a payload that fails is searched for frames, since its length may be a lie. That
/// costs up to 1 MiB of checking for each header: a file of nothing but headers would
/// take ten thousand times as long as its length lets one expect.
const DOUBTED: u32 = 256;

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    /// A sound frame; its payload is [`Frames::payload`].
    Frame(Header),
    Damage(Damage),
    /// Nothing more.
    Over,
}

/// Reads frames.
pub(super) struct Frames<R> {
    window: Window<R>,
    /// Which file these frames are of, once one was found.
    file: Option<[u8; 8]>,
    /// What the header of the next frame should say.
    sequence: u64,
    record: u64,
    chain: Chain,
    latest: Option<Nanos>,
    /// Where damage began that no sound frame has ended yet.
    open: Option<(u64, Cause)>,
    /// A sound frame that is passed on after the damage before it.
    waiting: Option<Header>,
    /// Length of the frame that was passed on: it stays in the window until the next.
    lent: usize,
    failed: u32,
    ended: bool,
    over: bool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R) -> Frames<R> {
        Frames {
            window: Window::new(source),
            file: None,
            sequence: 0,
            record: 0,
            chain: Chain::default(),
            latest: None,
            open: None,
            waiting: None,
            lent: 0,
            failed: 0,
            ended: false,
            over: false,
        }
    }

    /// The payload of the frame that was passed on last, as it is stored.
    pub(super) fn payload(&self) -> &[u8] {
        &self.window.bytes()[HEADER..self.lent]
    }

    /// Where that frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// The chain's value behind the last frame.
    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Goes on to the next frame or damage.
    pub(super) fn next(&mut self) -> Result<Next, ReadError> {
        if let Some(header) = self.waiting.take() {
            return Ok(Next::Frame(self.pass_on(header)));
        }
        self.window.advance(std::mem::take(&mut self.lent));
        loop {
            if self.over {
                return Ok(Next::Over);
            }
            let complete = self.window.fill(HEADER)?;
            if self.window.bytes().is_empty() {
                self.over = true;
                return self.end();
            }
            match self.look(complete)? {
                Ok(header) if self.open.is_some() || header.sequence > self.sequence => {
                    let damage = self.damage_until(&header);
                    self.waiting = Some(header);
                    return Ok(Next::Damage(damage));
                }
                Ok(header) => return Ok(Next::Frame(self.pass_on(header))),
                Err((cause, length)) => self.skip(cause, length)?,
            }
        }
    }

    /// The frame that begins here, or why there is none, and its length if that is
    /// certain.
    fn look(&mut self, complete: bool) -> Result<Result<Header, (Cause, usize)>, ReadError> {
        if !complete {
            return Ok(Err((Cause::Truncated, 0)));
        }
        let Some(bytes) = self.window.bytes().first_chunk::<HEADER>() else {
            return Ok(Err((Cause::Truncated, 0)));
        };
        let Some(header) = Header::decode(bytes) else {
            return Ok(Err((Cause::NoFrame, 0)));
        };
        if header.version.major != Version::CURRENT.major {
            if self.file.is_none() {
                return Err(ReadError::Version(header.version));
            }
            return Ok(Err((Cause::Foreign, 0)));
        }
        if !header.is_bounded() {
            return Ok(Err((Cause::NoFrame, 0)));
        }
        if self.file.is_some_and(|file| file != header.file) {
            return Ok(Err((Cause::Foreign, 0)));
        }
        let length = HEADER + header.stored as usize;
        if !self.window.fill(length)? {
            return Ok(Err((Cause::Truncated, 0)));
        }
        let payload = &self.window.bytes()[HEADER..length];
        if crc32c::crc32c(payload) != header.payload_crc {
            self.failed = self.failed.saturating_add(1);
            let believed = if self.failed > DOUBTED { length } else { 0 };
            return Ok(Err((Cause::Payload, believed)));
        }
        if header.kind == kind::BEGINNING && file_id(payload) != header.file {
            return Ok(Err((Cause::Chain, length)));
        }
        Ok(self
            .misplaced(&header, payload)
            .map_or(Ok(header), |cause| Err((cause, length))))
    }

    /// Why a sound frame does not belong here.
    fn misplaced(&self, header: &Header, payload: &[u8]) -> Option<Cause> {
        if self.ended {
            return Some(Cause::AfterEnd);
        }
        if header.sequence < self.sequence {
            return Some(Cause::OutOfOrder);
        }
        let continues = header.next_chain(&self.chain, payload) == header.chain
            && header.first_record == self.record;
        // After a gap the value of the chain before this frame is not known.
        (header.sequence == self.sequence && !continues).then_some(Cause::Chain)
    }

    /// Goes on behind a frame that is not passed on, or to the next marker where its
    /// length is not certain.
    fn skip(&mut self, cause: Cause, length: usize) -> Result<(), ReadError> {
        let offset = self.window.offset();
        if self.open.is_none() {
            self.open = Some((offset, cause));
        }
        if length > 0 {
            self.window.advance(length);
        } else {
            self.window.skip_to_marker()?;
        }
        if self.file.is_none() && self.window.offset() > SEARCHED {
            return Err(ReadError::NotARecording);
        }
        Ok(())
    }

    /// The damage that a sound frame ends.
    fn damage_until(&mut self, header: &Header) -> Damage {
        let here = self.window.offset();
        let (offset, cause) = self.open.take().unwrap_or((here, Cause::Missing));
        Damage {
            cause,
            offset,
            length: here - offset,
            first_sequence: self.sequence,
            frames: Some(header.sequence - self.sequence),
            records: header.first_record.checked_sub(self.record),
            after: self.latest,
            before: header.times().map(|(earliest, _)| earliest),
        }
    }

    /// What there is to say at the end of the file.
    fn end(&mut self) -> Result<Next, ReadError> {
        if self.file.is_none() {
            return Err(ReadError::NotARecording);
        }
        let here = self.window.offset();
        let (offset, cause) = match self.open.take() {
            Some(open) => open,
            None if self.ended => return Ok(Next::Over),
            None => (here, Cause::NoEnd),
        };
        // Behind the frame that ends the file nothing can be missing.
        let nothing = self.ended.then_some(0);
        Ok(Next::Damage(Damage {
            cause,
            offset,
            length: here - offset,
            first_sequence: self.sequence,
            frames: nothing,
            records: nothing,
            after: self.latest,
            before: None,
        }))
    }

    /// Remembers a frame as the last one.
    fn pass_on(&mut self, header: Header) -> Header {
        self.file = Some(header.file);
        self.sequence = header.sequence + 1;
        self.record = header.first_record + u64::from(header.records);
        self.chain = header.chain;
        self.latest = self.latest.max(header.times().map(|(_, latest)| latest));
        self.ended = header.kind == kind::END;
        self.lent = HEADER + header.stored as usize;
        header
    }
}
