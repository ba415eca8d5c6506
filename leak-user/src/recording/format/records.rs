//! Reads the records of segments, one by one, and joins those that come in fragments.

use super::{
    compact::{CompactDecoder, tag},
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
    /// The last fragment of a record of which other fragments are missing.
    Incomplete,
    /// From here on the segment makes no sense; `left` records should have come.
    Malformed {
        left: u32,
    },
}

/// The fragments of a record that came so far.
#[derive(Debug)]
struct Fragments {
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
    compact: CompactDecoder,
    /// Of the record that is being joined; it may have begun in a segment before.
    fragments: Option<Fragments>,
    /// The record that was joined last.
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
        self.compact.clear();
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
            if tag & (tag::COMPACT | tag::LATER) == tag::COMPACT && self.left > 0 {
                let Ok(event) = self.compact.decode(tag, &mut from) else {
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
            if tag == kinds::FRAGMENT {
                match self.fragment(start, end) {
                    Some(Joined::More) => continue,
                    Some(Joined::Whole(kind)) if self.left > 0 => {
                        self.left -= 1;
                        return Some(record(kind, &self.whole));
                    }
                    Some(Joined::Orphan) if self.left > 0 => {
                        self.left -= 1;
                        return Some(Record::Incomplete);
                    }
                    Some(Joined::Whole(_) | Joined::Orphan) | None => return self.malformed(),
                }
            }
            // Fragments follow each other: after another record nothing is joined to them.
            self.fragments = None;
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

    /// Takes the fragment in `start..end`: kind, length of the whole, offset, bytes.
    /// `None` where it is none.
    fn fragment(&mut self, start: usize, end: usize) -> Option<Joined> {
        let mut from = Cursor::new(&self.raw[start..end]);
        let kind = from.byte()?;
        let total = usize::try_from(from.varint()?).ok()?;
        let offset = usize::try_from(from.varint()?).ok()?;
        let bytes = from.take(from.len())?;
        let behind = offset.checked_add(bytes.len())?;
        if kind == kinds::FRAGMENT || bytes.is_empty() || behind > total || total > MAX_RECORD {
            return None;
        }
        if offset == 0 {
            self.fragments = Some(Fragments {
                kind,
                total,
                bytes: Vec::new(),
            });
        }
        let follows = |before: &Fragments| {
            (before.kind, before.total, before.bytes.len()) == (kind, total, offset)
        };
        let Some(mut fragments) = self.fragments.take().filter(follows) else {
            return Some(if behind == total {
                Joined::Orphan
            } else {
                Joined::More
            });
        };
        fragments.bytes.extend(bytes);
        Some(if behind == total {
            self.whole = fragments.bytes;
            Joined::Whole(kind)
        } else {
            self.fragments = Some(fragments);
            Joined::More
        })
    }
}

/// What became of a record with one more fragment.
enum Joined {
    /// More fragments follow. Or some are missing, and this is not the last one: what is
    /// missing is told once, with the last.
    More,
    /// A record of this kind is complete.
    Whole(u8),
    /// This was the last fragment, and others are missing.
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
