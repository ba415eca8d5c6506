//! Names of Python code, kept for the next frame in the same code.

use std::collections::HashMap;

use leak_common::unwind::PythonFrame;

use super::{
    NameLayout,
    code_object::{CodeObject, Head},
};
use crate::{
    proc::{Memory, ProcessMemory},
    stacks::runtimes::{Name, budget::Budgeted},
};

/// Most bytes of names and line tables that are kept.
const MAX_BYTES: usize = 8 << 20;
/// Most bytes that are read for one frame. The parts of a code object have bounds of their
/// own, which add up to about half of this.
const MAX_READ: usize = 1 << 19;
/// A code object's address is a multiple of this; from 3.14 on the interpreter marks
/// references in the bits below.
const ALIGNMENT: u64 = 8;

/// Names of code objects, by process.
#[derive(Debug, Default)]
pub struct Names {
    codes: HashMap<(u32, u64), CodeObject>,
    bytes: usize,
}

impl Names {
    /// Names a frame of the process `pid` by what is in its memory now, or by what was
    /// there before if it can no longer be read. `None` if neither tells: the process
    /// ended, or there is no code object at the frame's address any more.
    pub fn resolve(&mut self, pid: u32, layout: &NameLayout, frame: PythonFrame) -> Option<Name> {
        let memory = Budgeted::new(ProcessMemory(pid), MAX_READ);
        self.resolve_in(&memory, pid, layout, frame)
    }

    /// Like [`Names::resolve`], from other memory than a process's.
    pub fn resolve_in(
        &mut self,
        memory: &impl Memory,
        pid: u32,
        layout: &NameLayout,
        frame: PythonFrame,
    ) -> Option<Name> {
        let address = frame.code & !(ALIGNMENT - 1);
        let place = frame.place & !PythonFrame::ENTRY;
        let key = (pid, address);
        if let Some(head) = Head::read(memory, layout, address)
            && self.codes.get(&key).is_none_or(|code| code.head != head)
        {
            self.remove(key);
            self.insert(key, CodeObject::read(memory, layout, head)?);
        }
        let code = self.codes.get(&key)?;
        Some(code.name(layout, address, place))
    }

    /// Forgets a process that ended or runs another program now.
    pub fn forget(&mut self, pid: u32) {
        self.codes.retain(|(owner, _), _| *owner != pid);
        self.bytes = self.codes.values().map(CodeObject::size).sum();
    }

    fn insert(&mut self, key: (u32, u64), code: CodeObject) {
        self.bytes += code.size();
        if self.bytes > MAX_BYTES {
            // What is needed again is read again.
            self.codes.clear();
            self.bytes = code.size();
        }
        self.codes.insert(key, code);
    }

    fn remove(&mut self, key: (u32, u64)) {
        if let Some(code) = self.codes.remove(&key) {
            self.bytes -= code.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use leak_common::config::ABSENT;
    use proptest::prelude::*;

    use super::*;
    use crate::stacks::runtimes::python::LineTable;

    const LAYOUT: NameLayout = NameLayout {
        lines: LineTable::Increments,
        code_file: 24,
        code_function: 32,
        code_lines: 40,
        code_first_line: 48,
        code_instructions: ABSENT,
        ascii_characters: 48,
        other_characters: 72,
    };
    const CODE: u64 = 0x1000;
    const TYPE: u64 = 0x2000;
    const FILE: u64 = 0x3000;
    const FUNCTION: u64 = 0x4000;
    const LINES: u64 = 0x5000;
    const FRAME: PythonFrame = PythonFrame {
        code: CODE | 1,
        place: PythonFrame::ENTRY | 4,
    };

    /// Memory from zero on.
    struct Image(Vec<u8>);

    impl Memory for Image {
        fn read(&self, address: u64, into: &mut [u8]) -> bool {
            let bytes = usize::try_from(address)
                .ok()
                .and_then(|start| self.0.get(start..start.checked_add(into.len())?));
            bytes.inspect(|bytes| into.copy_from_slice(bytes)).is_some()
        }
    }

    impl Image {
        fn put(&mut self, address: u64, bytes: &[u8]) {
            let start = usize::try_from(address).expect("small");
            self.0[start..start + bytes.len()].copy_from_slice(bytes);
        }

        fn put_word(&mut self, address: u64, word: u64) {
            self.put(address, &word.to_le_bytes());
        }

        /// A compact string of characters of `width` bytes.
        fn put_string(&mut self, address: u64, width: u64, ascii: bool, bytes: &[u8]) {
            self.put_word(address + 16, bytes.len() as u64 / width);
            self.put_word(
                address + 32,
                width << 2 | 1 << 5 | u64::from(ascii) << 6 | 1 << 7,
            );
            self.put(address + if ascii { 48 } else { 72 }, bytes);
        }

        /// A function `f` of the file `a.py`, line 30, whose place is on line 32.
        fn new() -> Image {
            let mut image = Image(vec![0; 0x8000]);
            image.put_word(CODE + 8, TYPE);
            image.put_word(CODE + 24, FILE);
            image.put_word(CODE + 32, FUNCTION);
            image.put_word(CODE + 40, LINES);
            image.put_word(CODE + 48, 30);
            image.put_word(TYPE + 24, TYPE + 64);
            image.put(TYPE + 64, b"code\0");
            image.put_string(FILE, 1, true, b"a.py");
            image.put_string(FUNCTION, 1, true, b"f");
            image.put_word(LINES + 16, 2);
            image.put(LINES + 32, &[2, 2]);
            image
        }

        fn name(&self) -> Option<Name> {
            Names::default().resolve_in(self, 1, &LAYOUT, FRAME)
        }
    }

    fn name(function: &str) -> Option<Name> {
        Some(Name {
            function: function.into(),
            file: "a.py".into(),
            line: Some(32),
        })
    }

    #[test]
    fn strings_of_each_width_are_read() {
        let mut image = Image::new();
        assert_eq!(image.name(), name("f"));
        image.put_string(FUNCTION, 1, false, &[b'g', 0xe9]);
        assert_eq!(image.name(), name("gé"));
        // A lone surrogate has no place in a string of ours.
        image.put_string(FUNCTION, 2, false, &[0x73, 0x51, 0x80, 0xdc]);
        assert_eq!(image.name(), name("关\u{fffd}"));
        image.put_string(FUNCTION, 4, false, &[0x30, 0x03, 1, 0]);
        assert_eq!(image.name(), name("𐌰"));
    }

    #[test]
    fn long_strings_are_cut() {
        let mut image = Image::new();
        image.put_string(FUNCTION, 1, true, &[b'x'; 2000]);
        let cut = image.name().expect("a name").function;
        assert_eq!(cut.chars().count(), 1025);
        assert!(cut.ends_with("x…"));
    }

    #[test]
    fn what_is_no_code_or_no_string_has_no_name() {
        let mut image = Image::new();
        image.put(TYPE + 64, b"dict\0");
        assert_eq!(image.name(), None);

        let mut image = Image::new();
        image.put_word(FUNCTION + 32, 0);
        assert_eq!(image.name(), None, "characters elsewhere");

        let mut image = Image::new();
        image.put_word(FUNCTION + 16, u64::MAX);
        assert_eq!(image.name(), None, "no string is this long");
    }

    #[test]
    fn places_and_tables_that_can_not_be_have_no_line() {
        let mut image = Image::new();
        let far = PythonFrame {
            code: CODE,
            place: 0x7000_0000,
        };
        let named = Names::default().resolve_in(&image, 1, &LAYOUT, far);
        assert_eq!(named.expect("a name").line, None);
        image.put_word(LINES + 16, u64::MAX);
        assert_eq!(image.name().expect("a name").line, None);
    }

    #[test]
    fn other_code_at_the_same_address_is_read_anew() {
        let mut names = Names::default();
        let mut image = Image::new();
        let mut named = |image: &Image| names.resolve_in(image, 1, &LAYOUT, FRAME);
        assert_eq!(named(&image), name("f"));
        image.put_string(0x6000, 1, true, b"g");
        image.put_word(CODE + 32, 0x6000);
        assert_eq!(named(&image), name("g"));
        assert_eq!(named(&Image(Vec::new())), name("g"), "kept");
    }

    #[test]
    fn names_are_bounded() {
        let mut names = Names::default();
        let mut image = Image::new();
        image.put_string(FUNCTION, 1, true, &[b'x'; 1000]);
        for pid in 0..20_000 {
            names.resolve_in(&image, pid, &LAYOUT, FRAME);
        }
        assert!(names.bytes <= MAX_BYTES);
        assert_eq!(
            names.bytes,
            names.codes.values().map(CodeObject::size).sum::<usize>()
        );
        assert!(names.codes.len() > 1000);
    }

    proptest! {
        #[test]
        fn any_memory_is_read_in_bounds(
            changes in prop::collection::vec((0u64..0x6000, any::<u64>()), 0..16),
            place in any::<u64>(),
        ) {
            let mut image = Image::new();
            for (address, word) in changes {
                image.put_word(address, word);
            }
            let frame = PythonFrame { code: CODE, place };
            Names::default().resolve_in(&image, 1, &LAYOUT, frame);
        }
    }
}
