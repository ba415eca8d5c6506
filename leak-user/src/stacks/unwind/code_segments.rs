//! Where a file's code is: addresses, places in the file, and pages.

use leak_common::unwind::{PAGE_BITS, PAGE_BYTES};

use super::error::TableError;

/// Most bytes of code (from the first to the last, in the file) of a table.
const MAX_CODE_BYTES: u64 = 1 << 30;
/// Most executable segments. Linkers make one, packers a few.
const MAX_CODE_SEGMENTS: usize = 64;
/// Code is mapped by pages of at least this size.
const MAPPED_BYTES: u64 = 4096;

/// A stretch of code, in bytes from the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    /// First byte after it.
    pub(super) end: u32,
}

/// A segment of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    /// Bytes in the file.
    pub(super) size: u64,
}

/// The executable segments, as places in the file.
#[derive(Debug)]
pub(super) struct CodeSegments {
    segments: Vec<Segment>,
    /// Place of the first page in the file.
    start: u64,
    /// First byte after the last page.
    end: u64,
}

impl CodeSegments {
    pub(super) fn new(segments: Vec<Segment>) -> Result<CodeSegments, TableError> {
        let start = segments.iter().map(|segment| segment.offset).min();
        let end = segments.iter().map(|segment| segment.offset + segment.size);
        let (Some(start), Some(end)) = (start, end.max()) else {
            return Err(TableError::NoCode);
        };
        let start = start / MAPPED_BYTES * MAPPED_BYTES;
        let end = end.next_multiple_of(MAPPED_BYTES);
        let far = end - start > MAX_CODE_BYTES || u32::try_from(start >> PAGE_BITS).is_err();
        if far || segments.len() > MAX_CODE_SEGMENTS {
            return Err(TableError::Spread);
        }
        Ok(CodeSegments {
            segments,
            start,
            end,
        })
    }

    /// Number of the first page.
    pub(super) fn first_page(&self) -> u32 {
        (self.start >> PAGE_BITS) as u32
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> usize {
        ((self.end - self.start) / PAGE_BYTES) as usize
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where a segment begins, in bytes from the first page.
    pub(super) fn skip(&self, segment: &Segment) -> u32 {
        (segment.offset - self.start) as u32
    }

    /// Where the code at an address is, in bytes from the first page, and how many
    /// bytes there are from there to the end of its segment.
    pub(super) fn place(&self, address: u64) -> Option<(u32, u32)> {
        self.segments.iter().find_map(|segment| {
            let skip = address.checked_sub(segment.address)?;
            let room = segment.size.checked_sub(skip).filter(|&room| room > 0)?;
            // All are below MAX_CODE_BYTES.
            Some((self.skip(segment) + skip as u32, room as u32))
        })
    }
}

#[cfg(test)]
mod tests {
    use object::elf;

    use super::*;

    fn executable(offset: u64, address: u64, size: u64) -> Segment {
        Segment {
            kind: elf::PT_LOAD,
            flags: elf::PF_X,
            offset,
            address,
            size,
        }
    }

    #[test]
    fn places_of_code_are_told_by_its_segments() {
        let segments = vec![
            executable(0x5800, 0x1_5800, 0x100),
            executable(0x1234, 0x9234, 0x10),
        ];
        let code = CodeSegments::new(segments).expect("close together");
        assert_eq!((code.first_page(), code.pages()), (8, 40));
        assert_eq!(code.place(0x9234), Some((0x234, 0x10)));
        assert_eq!(code.place(0x9243), Some((0x243, 1)));
        assert_eq!(code.place(0x9244), None);
        assert_eq!(code.place(0x1_5880), Some((0x4880, 0x80)));
        assert_eq!(code.place(0x1234), None);
    }

    #[test]
    fn code_that_is_spread_far_is_refused() {
        let segments = vec![executable(0, 0, 64), executable(1 << 30, 0, 64)];
        assert_eq!(CodeSegments::new(segments).err(), Some(TableError::Spread));
        let many = vec![executable(0, 0, 64); MAX_CODE_SEGMENTS + 1];
        assert_eq!(CodeSegments::new(many).err(), Some(TableError::Spread));
        let behind = vec![executable(1 << 44, 0, 64)];
        assert_eq!(CodeSegments::new(behind).err(), Some(TableError::Spread));
    }
}
