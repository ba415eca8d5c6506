//! Writes a file: each frame in one call, so that all of them can be read whenever the
//! writer is killed.

use std::io::{self, Write};

use super::{
    frame::{Chain, HEADER, Header, MAX_STORED, Version, file_id, kind},
    index::{IndexBuilder, IndexEntry},
    segment::{Encoder, Segment, TooLong},
};
use crate::{
    analysis::{Beginning, Input},
    model::time::Nanos,
};

/// Level of zstd: the fastest. It already wins most of what there is to win.
pub const LEVEL: i32 = 1;

/// Why something was not written.
#[derive(Debug)]
pub enum WriteError {
    /// The sink failed. The segment is lost, and a reader will see that it is missing;
    /// writing may go on.
    Io(io::Error),
    /// The record is too long. Nothing was written.
    TooLong(TooLong),
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WriteError::Io(error) => write!(f, "cannot write the recording: {error}"),
            WriteError::TooLong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WriteError::Io(error) => Some(error),
            WriteError::TooLong(_) => None,
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> WriteError {
        WriteError::Io(error)
    }
}

impl From<TooLong> for WriteError {
    fn from(error: TooLong) -> WriteError {
        WriteError::TooLong(error)
    }
}

/// What was written, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    pub bytes: u64,
    pub frames: u64,
    pub records: u64,
    /// Kept elsewhere, it proves later that nothing of the file was altered.
    pub chain: Chain,
}

/// Writes a file.
pub struct Writer<W> {
    sink: W,
    encoder: Encoder,
    /// A frame before it is written.
    frame: Vec<u8>,
    file: [u8; 8],
    sequence: u64,
    records: u64,
    /// Where in the sink the next byte goes, and the end of the last frame that was
    /// written whole.
    position: u64,
    whole: u64,
    chain: Chain,
    index: IndexBuilder,
}

impl<W: Write> Writer<W> {
    /// Begins a file. `beginning` is written twice, so that no single damage takes
    /// it away.
    ///
    /// # Errors
    /// The sink fails, or the beginning is longer than a frame may be.
    pub fn new(sink: W, beginning: &Beginning) -> Result<Writer<W>, WriteError> {
        let beginning = serde_json::to_vec(beginning).expect("strings and numbers are JSON");
        if beginning.len() > MAX_STORED as usize {
            return Err(WriteError::TooLong(TooLong {
                bytes: beginning.len(),
            }));
        }
        let mut writer = Writer {
            sink,
            encoder: Encoder::new(LEVEL)?,
            frame: Vec::new(),
            file: file_id(&beginning),
            sequence: 0,
            records: 0,
            position: 0,
            whole: 0,
            chain: Chain::default(),
            index: IndexBuilder::default(),
        };
        writer.frame(kind::BEGINNING, &unpacked(&beginning))?;
        writer.frame(kind::BEGINNING, &unpacked(&beginning))?;
        Ok(writer)
    }

    /// Writes an input, once its segment is full or flushed.
    ///
    /// # Errors
    /// The input is too long, or the sink fails.
    pub fn input(&mut self, input: &Input) -> Result<(), WriteError> {
        self.encoder.input(input)?;
        self.drain()
    }

    /// Writes all records that were given so far: none of them is lost if this process
    /// is killed.
    ///
    /// # Errors
    /// The sink fails.
    pub fn flush_segment(&mut self) -> Result<(), WriteError> {
        self.encoder.flush();
        self.drain()?;
        Ok(self.sink.flush()?)
    }

    /// Writes a segment that another encoder made, behind all records given so far.
    ///
    /// # Errors
    /// The sink fails.
    pub fn append(&mut self, segment: &Segment) -> Result<(), WriteError> {
        self.encoder.flush();
        self.drain()?;
        Ok(self.frame(kind::SEGMENT, segment)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The sink fails.
    pub fn finish(mut self) -> Result<(W, Finished), WriteError> {
        self.encoder.flush();
        self.drain()?;
        let index = std::mem::take(&mut self.index).encode(self.position);
        self.frame(kind::END, &unpacked(&index))?;
        self.sink.flush()?;
        let finished = Finished {
            bytes: self.whole,
            frames: self.sequence,
            records: self.records,
            chain: self.chain,
        };
        Ok((self.sink, finished))
    }

    /// Bytes written so far, up to the end of the last whole frame. Where a call failed
    /// there may be a piece of a frame behind it, which can be cut off.
    pub fn bytes(&self) -> u64 {
        self.whole
    }

    /// What is written to.
    pub fn get_ref(&self) -> &W {
        &self.sink
    }

    fn drain(&mut self) -> Result<(), WriteError> {
        while let Some(segment) = self.encoder.pop() {
            self.frame(kind::SEGMENT, &segment)?;
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, segment: &Segment) -> io::Result<()> {
        let mut header = Header {
            version: Version::CURRENT,
            kind,
            flags: segment.flags,
            stored: u32::try_from(segment.stored.len()).expect("segments are bounded"),
            raw: segment.raw,
            records: segment.records,
            sequence: self.sequence,
            first_record: self.records,
            file: self.file,
            earliest: segment.earliest,
            latest: segment.latest,
            chain: Chain::default(),
            payload_crc: crc32c::crc32c(&segment.stored),
        };
        header.chain = header.next_chain(&self.chain, &segment.stored);
        self.frame.clear();
        self.frame.extend(header.encode());
        self.frame.extend(&segment.stored);
        debug_assert_eq!(self.frame.len(), HEADER + segment.stored.len());
        if kind == kind::SEGMENT {
            self.index.add(IndexEntry {
                offset: self.position,
                sequence: self.sequence,
                first_record: self.records,
                earliest: segment.earliest,
            });
        }
        // A frame that cannot be written counts as well: readers see that it is missing.
        self.sequence += 1;
        self.records += u64::from(segment.records);
        self.chain = header.chain;
        self.write_frame()
    }

    /// As `write_all`, but counts what was written even if not all could be.
    fn write_frame(&mut self) -> io::Result<()> {
        let mut left = &self.frame[..];
        while !left.is_empty() {
            match self.sink.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    left = &left[written..];
                    self.position += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.whole = self.position;
        Ok(())
    }
}

/// A payload that is stored as it is.
fn unpacked(bytes: &[u8]) -> Segment {
    Segment {
        records: 0,
        earliest: Nanos::default(),
        latest: Nanos::default(),
        flags: 0,
        raw: u32::try_from(bytes.len()).expect("beginnings and indexes are bounded"),
        stored: bytes.to_vec(),
    }
}
