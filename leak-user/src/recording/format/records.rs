//! Records of a segment, one by one.

use super::{
    hot::{HotDecoder, tag},
    inputs, kinds,
    segment::MAX_RECORD,
    wire::Cursor,
};
use crate::analysis::Input;

/// What a segment's bytes say next.
#[derive(Debug)]
pub(super) enum Record {
    Input(Input),
    /// Sound, but not what this version knows.
    Unknown {
        kind: u8,
        length: usize,
    },
    /// The last part of a record whose other parts are missing.
    Incomplete,
    /// From here on the segment makes no sense; `left` records should have come.
    Malformed {
        left: u32,
    },
}

/// A record that comes in parts.
#[derive(Debug)]
struct Parts {
    kind: u8,
    total: usize,
    bytes: Vec<u8>,
}

/// Reads the records of segments.
#[derive(Debug, Default)]
pub(super) struct Records {
    raw: Vec<u8>,
    position: usize,
    /// Records that the segment still should have.
    left: u32,
    hot: HotDecoder,
    parts: Option<Parts>,
    whole: Vec<u8>,
}

impl Records {
    /// Goes on to another segment, whose bytes `fill` writes into an empty buffer.
    pub(super) fn start<E>(
        &mut self,
        records: u32,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.raw.clear();
        self.position = 0;
        self.left = 0;
        self.hot.clear();
        if let Err(error) = fill(&mut self.raw) {
            self.raw.clear();
            return Err(error);
        }
        self.left = records;
        Ok(())
    }

    /// A record of the segment; `None` behind the last.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Record> {
        loop {
            let mut from = Cursor::new(&self.raw[self.position..]);
            let Some(tag) = from.byte() else {
                return self.at_end();
            };
            if tag & (tag::HOT | tag::LATER) == tag::HOT && self.left > 0 {
                let Ok(event) = self.hot.decode(tag, &mut from) else {
                    return self.malformed();
                };
                self.left -= 1;
                let length = self.raw.len() - self.position - from.len();
                self.position = self.raw.len() - from.len();
                return Some(match event {
                    Some(event) => Record::Input(Input::Event(event)),
                    None => Record::Unknown { kind: tag, length },
                });
            }
            let payload = from
                .varint()
                .and_then(|length| from.take(usize::try_from(length).ok()?));
            let Some(payload) = payload else {
                return self.malformed();
            };
            let end = self.raw.len() - from.len();
            let start = end - payload.len();
            self.position = end;
            if tag == kinds::PART {
                match self.part(start, end) {
                    Some(Part::More) => continue,
                    Some(Part::Whole(kind)) if self.left > 0 => {
                        self.left -= 1;
                        return Some(record(kind, &self.whole));
                    }
                    Some(Part::Orphan) if self.left > 0 => {
                        self.left -= 1;
                        return Some(Record::Incomplete);
                    }
                    _ => return self.malformed(),
                }
            }
            // Whatever came in parts before does not go on.
            self.parts = None;
            if self.left == 0 {
                return self.malformed();
            }
            self.left -= 1;
            return Some(record(tag, &self.raw[start..end]));
        }
    }

    fn at_end(&mut self) -> Option<Record> {
        let left = std::mem::take(&mut self.left);
        (left > 0).then_some(Record::Malformed { left })
    }

    #[cold]
    fn malformed(&mut self) -> Option<Record> {
        self.position = self.raw.len();
        let left = std::mem::take(&mut self.left);
        Some(Record::Malformed { left })
    }

    /// Takes the part in `start..end`: kind, length of the whole, offset, bytes. `None`
    /// where it is none.
    fn part(&mut self, start: usize, end: usize) -> Option<Part> {
        let mut from = Cursor::new(&self.raw[start..end]);
        let kind = from.byte()?;
        let total = usize::try_from(from.varint()?).ok()?;
        let offset = usize::try_from(from.varint()?).ok()?;
        let bytes = from.take(from.len())?;
        let behind = offset.checked_add(bytes.len())?;
        if kind == kinds::PART || bytes.is_empty() || behind > total || total > MAX_RECORD {
            return None;
        }
        if offset == 0 {
            self.parts = Some(Parts {
                kind,
                total,
                bytes: Vec::new(),
            });
        }
        let follows =
            |parts: &Parts| (parts.kind, parts.total, parts.bytes.len()) == (kind, total, offset);
        let Some(mut parts) = self.parts.take().filter(follows) else {
            return Some(if behind == total {
                Part::Orphan
            } else {
                Part::More
            });
        };
        parts.bytes.extend(bytes);
        Some(if behind == total {
            self.whole = parts.bytes;
            Part::Whole(kind)
        } else {
            self.parts = Some(parts);
            Part::More
        })
    }
}

/// What a part made.
enum Part {
    /// Others follow, or others are missing and this is not the last one.
    More,
    /// A record of this kind is complete.
    Whole(u8),
    /// The last part of a record whose other parts are missing.
    Orphan,
}

fn record(kind: u8, payload: &[u8]) -> Record {
    inputs::get(kind, payload).map_or(
        Record::Unknown {
            kind,
            length: payload.len(),
        },
        Record::Input,
    )
}
