//! The parts of an ELF file that an unwinder needs.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use object::{Object as _, ObjectSection as _, ObjectSegment as _};

/// Bytes of a section, shared by all processes that have it mapped.
pub(crate) type Bytes = Arc<[u8]>;

/// An executable or a library.
#[derive(Debug)]
pub(crate) struct Elf {
    /// A path under which it was mapped.
    name: String,
    /// To read code from, also when no process has it mapped any more.
    file: Option<File>,
    /// Of what can be executed: offset in the file, length there, address.
    segments: Vec<(u64, u64, u64)>,
    text: Option<Range<u64>>,
    eh_frame: Option<(Range<u64>, Bytes)>,
    eh_frame_hdr: Option<(Range<u64>, Bytes)>,
}

impl Elf {
    /// Opens one; nothing where it is none, or is gone.
    pub(crate) fn open(path: &Path, name: &str) -> Option<Elf> {
        // Once: the path is of a process, which may end at any time.
        let mut file = File::open(path).ok()?;
        let mut data = Vec::new();
        file.read_to_end(&mut data).ok()?;
        let mut elf = Elf::parse(&data, name).ok()?;
        elf.file = Some(file);
        Some(elf)
    }

    /// A path under which it was mapped.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Bytes from an offset in the file on.
    pub(crate) fn read<const LENGTH: usize>(&self, offset: u64) -> Option<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.file.as_ref()?.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// Reads one that is in memory.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn parse(data: &[u8], name: &str) -> Result<Elf, object::Error> {
        let file = object::File::parse(data)?;
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            let data = section.uncompressed_data().ok()?;
            let range = section.address()..section.address() + section.size();
            Some((range, Bytes::from(data.as_ref())))
        };
        Ok(Elf {
            name: name.to_owned(),
            file: None,
            segments: file
                .segments()
                .filter(|segment| segment.permissions().executable())
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
            name: String::new(),
            file: None,
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
        let elf = Elf::open(Path::new("/proc/self/exe"), "").expect("the program is an ELF file");
        assert!(elf.eh_frame.is_some() && elf.text.is_some());
        assert_eq!(elf.read(0), Some(*b"\x7fELF"));
    }
}
