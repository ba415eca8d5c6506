//! Whether a file is as it was written: frames and their chain. Records are not decoded.

use std::io::Read;

use super::{
    damage::{Damage, ReadError},
    frame::{Chain, Version, kind},
    frames::{Frames, Next},
};

/// What a check of all frames found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub version: Version,
    /// Sound segments, and the records in them.
    pub segments: u64,
    pub records: u64,
    /// Places that are damaged, and the first of them.
    pub damaged: u64,
    pub first_bad: Option<Damage>,
    /// The file ends before its end. That is one of the damaged places.
    pub early_end: bool,
    /// The chain's value behind the last sound frame: that of the end, if nothing is
    /// damaged.
    pub chain: Chain,
}

impl Verified {
    /// Whether nothing was altered, removed, added or reordered since the file was
    /// written. It does not show that someone rewrote the whole file with a chain of its
    /// own: for that, compare [`Verified::chain`] with the value that was printed when
    /// the recording ended.
    #[must_use]
    pub fn intact(&self) -> bool {
        self.damaged == 0
    }
}

/// Checks all frames of a file.
///
/// # Errors
/// The source cannot be read, has no intact frame, or is of a newer major version.
pub fn verify(source: impl Read) -> Result<Verified, ReadError> {
    let mut frames = Frames::new(source);
    let mut verified = Verified {
        version: Version::CURRENT,
        segments: 0,
        records: 0,
        damaged: 0,
        first_bad: None,
        early_end: false,
        chain: Chain::default(),
    };
    loop {
        match frames.next()? {
            Next::Frame(header) => {
                verified.version = verified.version.max(header.version);
                verified.segments += u64::from(header.kind == kind::SEGMENT);
                verified.records += u64::from(header.records);
            }
            Next::Damage(damage) => {
                verified.damaged += 1;
                verified.early_end |= damage.is_early_end();
                verified.first_bad.get_or_insert(damage);
            }
            Next::Over => {
                verified.chain = frames.chain();
                return Ok(verified);
            }
        }
    }
}
