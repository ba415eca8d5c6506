//! The stretch of a file that is in memory: what is read ahead of where the reader is.

use std::io::{self, Read};

use super::frame::{HEADER, MARKER, MAX_STORED};

/// Bytes asked for at once while searching.
const CHUNK: usize = 128 << 10;

/// Bytes of a source from [`Window::offset`] on.
pub(super) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// Where in the buffer the reader is.
    start: usize,
    /// Where in the source that is.
    offset: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(source: R) -> Window<R> {
        Window {
            source,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            ended: false,
        }
    }

    /// Where in the source the reader is.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What has been read ahead.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads ahead until there are `wanted` bytes, or the source ends; returns whether
    /// there are.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        debug_assert!(wanted <= HEADER + MAX_STORED as usize);
        let missing = wanted.saturating_sub(self.bytes().len());
        if missing > 0 && !self.ended {
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut source = self.source.by_ref().take(missing as u64);
            self.ended = source.read_to_end(&mut self.buffer)? < missing;
        }
        Ok(self.bytes().len() >= wanted)
    }

    /// Goes on by `length` bytes, as far as they have been read ahead.
    pub(super) fn advance(&mut self, length: usize) {
        let length = length.min(self.bytes().len());
        self.start += length;
        self.offset += length as u64;
    }

    /// Goes on by one byte at least, to where a marker begins in what is read ahead, or
    /// may begin behind it.
    pub(super) fn skip_to_marker(&mut self) -> io::Result<()> {
        self.advance(1);
        let more = self.fill(CHUNK)?;
        let bytes = self.bytes();
        let length = match find_marker(bytes) {
            Some(found) => found,
            // A marker may have begun in the last bytes.
            None if more => bytes.len() - (MARKER.len() - 1),
            None => bytes.len(),
        };
        self.advance(length);
        Ok(())
    }
}

fn find_marker(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == MARKER[0]) {
        if bytes[from + found..].starts_with(&MARKER) {
            return Some(from + found);
        }
        from += found + 1;
    }
    None
}
