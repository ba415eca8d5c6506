//! Makes ELF files and call frame information, byte by byte.

use std::io::Write;

use super::X86_64;

/// Where the code is in files made here, and at which address.
pub(super) const CODE: u64 = 0x2200;
pub(super) const CODE_ADDRESS: u64 = 0x40_3200;
/// What addresses of other segments are ahead of their places in the file.
const SHIFT: u64 = 0x70_0000;

/// How a section is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Plain,
    Zlib,
    Zstd,
    /// "ZLIB", size, data, in a section of another name.
    GnuZlib,
}

/// A file to be made.
pub(super) struct Elf {
    pub(super) machine: u16,
    pub(super) code: Vec<u8>,
    pub(super) eh_frame: Option<Frames>,
    pub(super) debug_frame: Option<(Frames, Storage)>,
    pub(super) section_headers: bool,
}

impl Default for Elf {
    fn default() -> Elf {
        Elf {
            machine: X86_64,
            code: vec![0x90; 0x3000],
            eh_frame: None,
            debug_frame: None,
            section_headers: true,
        }
    }
}

impl Elf {
    pub(super) fn with(frames: Frames) -> Elf {
        Elf {
            eh_frame: Some(frames),
            ..Elf::default()
        }
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; CODE as usize];
        bytes.extend(&self.code);
        let mut segments = vec![(1, 5, CODE, CODE_ADDRESS, self.code.len() as u64)];
        let mut sections = vec![(".text", 1, 0, CODE_ADDRESS, CODE, self.code.len() as u64)];
        if let Some(frames) = &self.eh_frame {
            let place = bytes.len() as u64;
            bytes.extend(&frames.bytes);
            let size = frames.bytes.len() as u64;
            sections.push((".eh_frame", 1, 0, place + SHIFT, place, size));
            // What follows is no call frame information.
            bytes.extend([0x5a; 64]);
            let header = bytes.len() as u64;
            bytes.extend([1, 0x04, 0x03, 0x04]);
            bytes.extend((place + SHIFT).to_le_bytes());
            bytes.extend((frames.functions.len() as u32).to_le_bytes());
            for (start, offset) in &frames.functions {
                bytes.extend(start.to_le_bytes());
                bytes.extend((place + SHIFT + offset).to_le_bytes());
            }
            let end = bytes.len() as u64;
            segments.push((1, 4, place, place + SHIFT, end - place));
            segments.push((0x6474_e550, 4, header, header + SHIFT, end - header));
        }
        if let Some((frames, storage)) = &self.debug_frame {
            let (name, flags, stored) = store(&frames.bytes, *storage);
            let place = bytes.len() as u64;
            bytes.extend(&stored);
            sections.push((name, 1, flags, 0, place, stored.len() as u64));
        }
        let section_headers = self
            .section_headers
            .then(|| add_sections(&mut bytes, &sections));
        write_headers(&mut bytes, self.machine, &segments, section_headers);
        bytes
    }
}

type SectionOfElf = (&'static str, u32, u64, u64, u64, u64);

fn store(bytes: &[u8], storage: Storage) -> (&'static str, u64, Vec<u8>) {
    let zlib = || {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let size = bytes.len() as u64;
    let with_header = |kind: u32, packed: Vec<u8>| {
        let header = [u64::from(kind), size, 8].map(u64::to_le_bytes).concat();
        [header, packed].concat()
    };
    match storage {
        Storage::Plain => (".debug_frame", 0, bytes.to_vec()),
        Storage::Zlib => (".debug_frame", 0x800, with_header(1, zlib())),
        Storage::Zstd => {
            let packed = zstd::bulk::compress(bytes, 1).unwrap();
            (".debug_frame", 0x800, with_header(2, packed))
        }
        Storage::GnuZlib => {
            let header = [b"ZLIB".to_vec(), size.to_be_bytes().to_vec()].concat();
            (".zdebug_frame", 0, [header, zlib()].concat())
        }
    }
}

/// Adds the section headers; returns their place and how many there are.
fn add_sections(bytes: &mut Vec<u8>, sections: &[SectionOfElf]) -> (u64, u16) {
    let mut names = vec![0];
    let mut headers = vec![0; 64];
    let mut add = |name: u32, &(_, kind, flags, address, place, size): &SectionOfElf| {
        headers.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        let fields = [flags, address, place, size, 0, 0, 0];
        headers.extend(fields.map(u64::to_le_bytes).concat());
    };
    for section in sections {
        add(names.len() as u32, section);
        names.extend(section.0.as_bytes());
        names.push(0);
    }
    let place = bytes.len() as u64;
    add(0, &("", 3, 0, 0, place, names.len() as u64));
    bytes.extend(&names);
    let place = bytes.len() as u64;
    bytes.extend(&headers);
    (place, sections.len() as u16 + 2)
}

fn write_headers(
    bytes: &mut [u8],
    machine: u16,
    segments: &[(u32, u32, u64, u64, u64)],
    section_headers: Option<(u64, u16)>,
) {
    let (sections, count) = section_headers.unwrap_or((0, 0));
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &3u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(40, &sections.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &(segments.len() as u16).to_le_bytes());
    put(58, &64u16.to_le_bytes());
    put(60, &count.to_le_bytes());
    put(62, &count.saturating_sub(1).to_le_bytes());
    for (index, &(kind, flags, place, address, size)) in segments.iter().enumerate() {
        let at = 64 + index * 56;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        let fields = [place, address, address, size, size, 0x1000];
        put(at + 8, &fields.map(u64::to_le_bytes).concat());
    }
}

/// Call frame information with addresses of eight bytes, not relative to anything.
#[derive(Clone, Default)]
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
    /// Address and entry of each function.
    functions: Vec<(u64, u64)>,
    debug: bool,
}

impl Frames {
    pub(super) fn eh() -> Frames {
        Frames::default()
    }

    pub(super) fn debug() -> Frames {
        Frames {
            debug: true,
            ..Frames::default()
        }
    }

    /// The common entry of x86-64: CFA at rsp+8, return address at CFA-8.
    pub(super) fn common(&mut self) -> u64 {
        self.common_with("", 16, -8, &[0x0c, 7, 8, 0x90, 1])
    }

    /// A common entry; returns its offset.
    pub(super) fn common_with(
        &mut self,
        augmentation: &str,
        return_address: u8,
        data_factor: i8,
        instructions: &[u8],
    ) -> u64 {
        let id: u32 = if self.debug { u32::MAX } else { 0 };
        let mut entry = id.to_le_bytes().to_vec();
        entry.push(1);
        entry.extend(augmentation.as_bytes());
        entry.extend([0, 1, data_factor as u8 & 0x7f, return_address]);
        if augmentation.starts_with('z') {
            entry.push(0);
        }
        entry.extend(instructions);
        self.entry(entry)
    }

    /// A function; `start` is counted from the beginning of the code.
    pub(super) fn function(&mut self, common: u64, start: u64, length: u64, instructions: &[u8]) {
        let at = self.bytes.len() as u64;
        let pointer = match self.debug {
            true => common,
            false => (at + 4).wrapping_sub(common),
        };
        let mut entry = (pointer as u32).to_le_bytes().to_vec();
        let start = CODE_ADDRESS.wrapping_add(start);
        entry.extend(start.to_le_bytes());
        entry.extend(length.to_le_bytes());
        if self.signal_common(common) {
            entry.push(0);
        }
        entry.extend(instructions);
        self.entry(entry);
        self.functions.push((start, at));
    }

    /// Whether functions of this common entry have augmentation data.
    fn signal_common(&self, common: u64) -> bool {
        self.bytes.get(common as usize + 9) == Some(&b'z')
    }

    fn entry(&mut self, mut entry: Vec<u8>) -> u64 {
        let offset = self.bytes.len() as u64;
        entry.resize(entry.len().next_multiple_of(4), 0);
        self.bytes.extend((entry.len() as u32).to_le_bytes());
        self.bytes.extend(entry);
        offset
    }
}
