//! What a reader could not read: damage, what it does not know, and files that are none.

use std::fmt;

use super::frame::Version;
use crate::model::time::Nanos;

/// Bytes that are not what was written, or a place where bytes are missing. Everything
/// before it and every intact segment behind it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    pub cause: Cause,
    /// First byte in the file, and how many bytes were passed over; 0 where something
    /// is missing between two bytes.
    pub offset: u64,
    pub length: u64,
    /// Number of the first frame that is missing.
    pub first_sequence: u64,
    /// Frames that are missing. `None`: all from there on, nobody knows how many.
    pub frames: Option<u64>,
    /// Records that are missing, `None` where nobody knows.
    pub records: Option<u64>,
    /// The latest time before, and the earliest behind; `None` where none is known.
    pub after: Option<Nanos>,
    pub before: Option<Nanos>,
}

/// Why something was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Bytes that are no frame, or a header that fails its CRC.
    NoFrame,
    /// A payload that fails its CRC.
    Payload,
    /// The file ends within a frame.
    Truncated,
    /// The file ends between two frames, without the frame that ends a file: the
    /// recording was cut off, or is not over.
    NoEnd,
    /// Frames are missing, though no byte between is damaged.
    Missing,
    /// A frame that was there before, or belongs before one that was.
    OutOfOrder,
    /// A frame of another file.
    Foreign,
    /// Something behind the frame that ends the file.
    AfterEnd,
    /// A frame whose checksums are right, but that does not continue the chain: someone
    /// altered it, or the one before it.
    Chain,
    /// A sound segment that does not decompress or decode.
    Undecodable,
    /// A record in fragments, of which some are missing.
    Incomplete,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Cause::NoFrame => "damaged bytes",
            Cause::Payload => "a damaged segment",
            Cause::Truncated => "the file is cut off",
            Cause::NoEnd => "the recording did not end, its last part may be missing",
            Cause::Missing => "segments are missing",
            Cause::OutOfOrder => "a segment that is repeated or out of order",
            Cause::Foreign => "a segment of another recording",
            Cause::AfterEnd => "something behind the recording's end",
            Cause::Chain => "a segment that was altered, or follows one that was",
            Cause::Undecodable => "a segment that makes no sense",
            Cause::Incomplete => "a record of which parts are missing",
        }
    }
}

impl Damage {
    /// Whether the file merely ends before its end. While it is being written it always does.
    #[must_use]
    pub fn is_early_end(&self) -> bool {
        matches!(self.cause, Cause::NoEnd | Cause::Truncated)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.cause.text())?;
        if self.length > 0 {
            write!(f, "; {} bytes passed over", self.length)?;
        }
        match self.frames {
            Some(0) => {}
            Some(1) => write!(f, "; frame {} is missing", self.first_sequence)?,
            Some(frames) => {
                let last = self.first_sequence.saturating_add(frames - 1);
                write!(f, "; frames {} to {last} are missing", self.first_sequence)?;
            }
            None => write!(f, "; from frame {} on all is missing", self.first_sequence)?,
        }
        match self.records {
            Some(records) => write!(f, "; {records} records lost"),
            None => write!(f, "; the number of records lost is not known"),
        }
    }
}

/// Something of a later minor version, or of another kind than this version knows. It
/// was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// A frame, else a record in one.
    pub frame: bool,
    /// The number of its kind.
    pub kind: u8,
    /// Bytes of it.
    pub length: u64,
    /// Records that were passed over with it.
    pub records: u64,
    /// Version of the file.
    pub version: Version,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unknown {
            frame,
            kind,
            length,
            records: _,
            version,
        } = self;
        let what = if *frame { "frame" } else { "record" };
        write!(
            f,
            "a {what} of kind {kind}, {length} bytes, that {} does not know (the file is {version}) was passed over",
            Version::CURRENT
        )
    }
}

/// Why a file cannot be read at all, or not further.
#[derive(Debug)]
pub enum ReadError {
    /// What is read from failed.
    Io(std::io::Error),
    /// There is no intact frame in it, or not in its first 64 MiB.
    NotARecording,
    /// Written by a program whose recordings this one cannot read.
    Version(Version),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "cannot read the recording: {error}"),
            ReadError::NotARecording => {
                write!(
                    f,
                    "this is no recording of leaktrace's, or nothing of it is intact"
                )
            }
            ReadError::Version(version) => write!(
                f,
                "the recording has format {version}, this program reads {}.x: use a newer leaktrace",
                Version::CURRENT.major
            ),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Io(error) => Some(error),
            ReadError::NotARecording | ReadError::Version(_) => None,
        }
    }
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> ReadError {
        ReadError::Io(error)
    }
}
