//! The index at a file's end: where segments are, for readers that can seek.

use std::io::{Read, Seek, SeekFrom};

use super::{
    damage::ReadError,
    frame::{HEADER, Header, Version, kind, u64_at},
};
use crate::model::time::Nanos;

/// Most entries. In a longer file every second, fourth, ... segment has one.
const MAX_ENTRIES: usize = 8192;

/// Bytes of an entry.
const ENTRY: usize = 32;

/// Where a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// First byte of its frame.
    pub offset: u64,
    pub sequence: u64,
    /// Records before it.
    pub first_record: u64,
    /// The least time in it, 0 where it has none.
    pub earliest: Nanos,
}

/// Collects the entries while a file is written.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    entries: Vec<IndexEntry>,
    seen: u64,
    /// How many segments one entry stands for: 1, 2, 4, ...
    stride: u64,
}

impl Default for IndexBuilder {
    fn default() -> IndexBuilder {
        IndexBuilder {
            entries: Vec::new(),
            seen: 0,
            stride: 1,
        }
    }
}

impl IndexBuilder {
    pub(super) fn add(&mut self, entry: IndexEntry) {
        if self.seen.is_multiple_of(self.stride) {
            if self.entries.len() == MAX_ENTRIES {
                let mut even = false;
                self.entries.retain(|_| {
                    even = !even;
                    even
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.entries.push(entry);
            }
        }
        self.seen += 1;
    }

    /// The payload of the end, whose frame begins at `offset`: the entries, then this
    /// offset, by which the end is found from the file's last bytes.
    pub(super) fn encode(self, offset: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY + 8);
        for entry in self.entries {
            for number in [
                entry.offset,
                entry.sequence,
                entry.first_record,
                entry.earliest,
            ] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes.extend(offset.to_le_bytes());
        bytes
    }
}

/// What the end of a file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub frames: u64,
    pub records: u64,
    pub chain: super::Chain,
    /// In the order of the file.
    pub entries: Vec<IndexEntry>,
}

impl Index {
    /// Reads it. `None` if the file has none: the recording did not end, or the file is
    /// damaged there.
    ///
    /// # Errors
    /// The file cannot be read or sought in.
    pub fn read(mut file: impl Read + Seek) -> Result<Option<Index>, ReadError> {
        let length = file.seek(SeekFrom::End(0))?;
        if length < (HEADER + 8) as u64 {
            return Ok(None);
        }
        file.seek(SeekFrom::End(-8))?;
        let mut last = [0; 8];
        file.read_exact(&mut last)?;
        let offset = u64::from_le_bytes(last);
        let most = (HEADER + MAX_ENTRIES * ENTRY + 8) as u64;
        if !(HEADER as u64 + 8..=most).contains(&length.saturating_sub(offset)) {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut frame = Vec::new();
        file.take(most).read_to_end(&mut frame)?;
        Ok(parse(&frame))
    }
}

fn parse(frame: &[u8]) -> Option<Index> {
    let (header, payload) = frame.split_first_chunk::<HEADER>()?;
    let header = Header::decode(header)?;
    let sound = header.kind == kind::END
        && header.version.major == Version::CURRENT.major
        && header.is_bounded()
        && header.stored as usize == payload.len()
        && crc32c::crc32c(payload) == header.payload_crc;
    if !sound {
        return None;
    }
    let entries = payload.chunks_exact(ENTRY).map(|bytes| IndexEntry {
        offset: u64_at(bytes, 0),
        sequence: u64_at(bytes, 8),
        first_record: u64_at(bytes, 16),
        earliest: u64_at(bytes, 24),
    });
    Some(Index {
        frames: header.sequence + 1,
        records: header.first_record,
        chain: header.chain,
        entries: entries.collect(),
    })
}
