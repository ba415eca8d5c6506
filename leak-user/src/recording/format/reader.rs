//! Reads a file from its beginning to its end, in memory that does not grow with it.

use std::{collections::VecDeque, io::Read};

use super::{
    damage::{Cause, Damage, ReadError, Unknown},
    frame::{Chain, HEADER, Header, Version, flag, kind},
    frames::{Frames, Next},
    records::{Record, Records},
};
use crate::analysis::{Beginning, Input};

/// What a file holds, in the order in which it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Input(Input),
    /// Here something is missing.
    Damage(Damage),
    /// Here is something that this version does not know.
    Unknown(Unknown),
}

/// Reads a file.
pub struct Reader<R> {
    frames: Frames<R>,
    decompressor: zstd::bulk::Decompressor<'static>,
    records: Records,
    /// The segment that is being decoded.
    segment: Option<Header>,
    version: Version,
    beginning: Option<Beginning>,
    /// What was met while looking for the beginning.
    early: VecDeque<Step>,
}

/// A step through the frames.
enum Step {
    Segment(Header),
    Item(Item),
    Nothing,
    Over,
}

impl<R: Read> Reader<R> {
    /// Reads up to the first frame that is no beginning.
    ///
    /// # Errors
    /// The source cannot be read, has no intact frame, or is of a newer major version.
    pub fn new(source: R) -> Result<Reader<R>, ReadError> {
        let mut reader = Reader {
            frames: Frames::new(source),
            decompressor: zstd::bulk::Decompressor::new()?,
            records: Records::default(),
            segment: None,
            version: Version::CURRENT,
            beginning: None,
            early: VecDeque::new(),
        };
        loop {
            let met = reader.step()?;
            let (found, over) = match met {
                Step::Nothing => (reader.beginning.is_some(), false),
                Step::Segment(_) | Step::Over => (false, true),
                Step::Item(_) => (false, false),
            };
            if !matches!(met, Step::Nothing) {
                reader.early.push_back(met);
            }
            if found || over || reader.early.len() > 16 {
                return Ok(reader);
            }
        }
    }

    /// What the writer was given as the beginning; `None` if no copy of it is intact.
    pub fn beginning(&self) -> Option<&Beginning> {
        self.beginning.as_ref()
    }

    /// The greatest version met so far.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The chain's value behind the last frame that was read.
    pub fn chain(&self) -> Chain {
        self.frames.chain()
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// The source cannot be read, or has no intact frame.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(header) = &self.segment {
                if let Some(record) = self.records.next() {
                    let item = item(record, header, &self.frames, self.version);
                    return Ok(Some(item));
                }
                self.segment = None;
            }
            let met = match self.early.pop_front() {
                Some(met) => met,
                None => self.step()?,
            };
            match met {
                Step::Segment(header) => self.segment = Some(header),
                Step::Item(item) => return Ok(Some(item)),
                Step::Nothing => {}
                Step::Over => return Ok(None),
            }
        }
    }

    /// Passes every item that is left to `each`.
    ///
    /// # Errors
    /// As [`Reader::next_item`].
    pub fn visit(&mut self, mut each: impl FnMut(Item)) -> Result<(), ReadError> {
        while let Some(item) = self.next_item()? {
            each(item);
        }
        Ok(())
    }

    /// Passes each damage of frames that is left to `each`; nothing is decoded.
    ///
    /// # Errors
    /// As [`Reader::next_item`].
    pub fn check(mut self, mut each: impl FnMut(Damage)) -> Result<(), ReadError> {
        for met in self.early {
            if let Step::Item(Item::Damage(damage)) = met {
                each(damage);
            }
        }
        loop {
            match self.frames.next()? {
                Next::Frame(_) => {}
                Next::Damage(damage) => each(damage),
                Next::Over => return Ok(()),
            }
        }
    }

    fn step(&mut self) -> Result<Step, ReadError> {
        let header = match self.frames.next()? {
            Next::Frame(header) => header,
            Next::Damage(damage) => return Ok(Step::Item(Item::Damage(damage))),
            Next::Over => return Ok(Step::Over),
        };
        self.version = self.version.max(header.version);
        let readable = header.flags & flag::MUST_KNOW & !flag::ZSTD == 0;
        Ok(match header.kind {
            kind::BEGINNING if readable => {
                if self.beginning.is_none() {
                    self.beginning = serde_json::from_slice(self.frames.payload()).ok();
                }
                Step::Nothing
            }
            kind::SEGMENT if readable => self.open(header),
            kind::END if readable => Step::Nothing,
            kind => Step::Item(Item::Unknown(Unknown {
                frame: true,
                kind,
                length: (HEADER as u64) + u64::from(header.stored),
                records: u64::from(header.records),
                version: header.version,
            })),
        })
    }

    /// Decompresses a segment.
    fn open(&mut self, header: Header) -> Step {
        let Reader {
            frames,
            decompressor,
            records,
            ..
        } = self;
        let length = header.raw as usize;
        let filled = records.start(header.records, |raw| {
            if header.flags & flag::ZSTD == 0 {
                raw.extend(frames.payload());
                return Ok(());
            }
            raw.reserve_exact(length);
            let written = decompressor.decompress_to_buffer(frames.payload(), raw);
            match written {
                Ok(written) if written == length => Ok(()),
                _ => Err(()),
            }
        });
        match filled {
            Ok(()) => Step::Segment(header),
            Err(()) => {
                let damage = damage_in(
                    &header,
                    self.frames.offset(),
                    header.records,
                    Cause::Undecodable,
                );
                Step::Item(Item::Damage(damage))
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Result<Item, ReadError>> {
        self.next_item().transpose()
    }
}

#[inline]
fn item<R: Read>(record: Record, header: &Header, frames: &Frames<R>, version: Version) -> Item {
    match record {
        Record::Input(input) => Item::Input(input),
        Record::Unknown { kind, length } => Item::Unknown(Unknown {
            frame: false,
            kind,
            length: length as u64,
            records: 1,
            version,
        }),
        Record::Incomplete => {
            Item::Damage(damage_in(header, frames.offset(), 1, Cause::Incomplete))
        }
        Record::Malformed { left } => {
            Item::Damage(damage_in(header, frames.offset(), left, Cause::Undecodable))
        }
    }
}

/// Damage that shows only in a segment whose frame is sound.
fn damage_in(header: &Header, offset: u64, records: u32, cause: Cause) -> Damage {
    let times = header.times();
    Damage {
        cause,
        offset,
        length: HEADER as u64 + u64::from(header.stored),
        first_sequence: header.sequence,
        frames: Some(0),
        records: Some(u64::from(records)),
        after: times.map(|(earliest, _)| earliest),
        before: times.map(|(_, latest)| latest),
    }
}
