//! The parts of an ELF file that an unwinder needs.

use std::ops::Range;
use std::sync::Arc;

use object::{Object as _, ObjectSection as _, ObjectSegment as _};

/// Bytes of a section, shared by all processes that have it mapped.
pub(crate) type Bytes = Arc<[u8]>;

/// An executable or a library.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    /// Offset in the file, length there, address.
    segments: Vec<(u64, u64, u64)>,
    text: Option<Range<u64>>,
    eh_frame: Option<(Range<u64>, Bytes)>,
    eh_frame_hdr: Option<(Range<u64>, Bytes)>,
}

impl Elf {
    /// Reads one.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn parse(data: &[u8]) -> Result<Elf, object::Error> {
        let file = object::File::parse(data)?;
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            let data = section.uncompressed_data().ok()?;
            let range = section.address()..section.address() + section.size();
            Some((range, Bytes::from(data.as_ref())))
        };
        Ok(Elf {
            segments: file
                .segments()
                .map(|segment| {
                    let (offset, length) = segment.file_range();
                    (offset, length, segment.address())
                })
                .collect(),
            text: file
                .section_by_name(".text")
                .map(|text| text.address()..text.address() + text.size()),
            eh_frame: section(".eh_frame"),
            eh_frame_hdr: section(".eh_frame_hdr"),
        })
    }

    /// What is to be added to the file's addresses where this part of it is mapped.
    pub(crate) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        // Mappings are of whole pages, segments are not.
        let (segment, _, address) = self.segments.iter().find(|(segment, length, _)| {
            let page = segment & !0xfff;
            (page..segment + length.max(&1)).contains(&offset)
        })?;
        let mapped = (address & !0xfff) + (offset - (segment & !0xfff));
        Some(start.wrapping_sub(mapped))
    }

    /// As the other unwinder wants it.
    pub(crate) fn sections(&self) -> framehop::ExplicitModuleSectionInfo<Bytes> {
        let range = |part: &Option<(Range<u64>, Bytes)>| Some(part.as_ref()?.0.clone());
        let bytes = |part: &Option<(Range<u64>, Bytes)>| Some(part.as_ref()?.1.clone());
        framehop::ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: self.text.clone(),
            eh_frame_svma: range(&self.eh_frame),
            eh_frame: bytes(&self.eh_frame),
            eh_frame_hdr_svma: range(&self.eh_frame_hdr),
            eh_frame_hdr: bytes(&self.eh_frame_hdr),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(segments: &[(u64, u64, u64)]) -> Elf {
        Elf {
            segments: segments.to_vec(),
            text: None,
            eh_frame: None,
            eh_frame_hdr: None,
        }
    }

    #[test]
    fn the_bias_regards_where_a_segment_begins_in_its_page() {
        let elf = segments(&[(0, 0x800, 0), (0x1234, 0x5000, 0x2234)]);
        assert_eq!(elf.bias(0x7000_2000, 0x1000), Some(0x7000_0000));
        // The loader split the segment in two.
        assert_eq!(elf.bias(0x7000_4000, 0x3000), Some(0x7000_0000));
        assert_eq!(elf.bias(0x7000_0000, 0x9000), None);
    }

    #[test]
    fn this_program_has_tables() {
        let data = std::fs::read("/proc/self/exe").expect("the program can be read");
        let elf = Elf::parse(&data).expect("the program is an ELF file");
        assert!(elf.eh_frame.is_some() && elf.text.is_some());
    }
}
