//! Where the fields are, by version: up to 3.12 as the headers have them, from 3.13 on
//! as the interpreter itself tells at the beginning of `_PyRuntime`.

use leak_common::{config::ABSENT, unwind::PythonLayout};

/// Byte offsets in code objects, strings and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameLayout {
    /// How places in the code are turned into lines.
    pub lines: LineTable,
    /// `PyCodeObject`: the file's name, the function's, the line table, the first line,
    /// and the instructions (absent where a place is an index).
    pub code_file: u32,
    pub code_function: u32,
    pub code_lines: u32,
    pub code_first_line: u32,
    pub code_instructions: u32,
    /// Where the characters of a string begin if all are ASCII, and if not.
    pub ascii_characters: u32,
    pub other_characters: u32,
}

/// The forms of a code object's line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineTable {
    /// `co_lnotab`; a place is a number of bytes (to 3.9).
    Increments,
    /// `co_linetable` of PEP 626; a place is a number of instructions (3.10).
    Ranges,
    /// `co_linetable` of PEP 657; a place is the address of the last instruction
    /// (3.11 on).
    Locations,
}

/// Owner of a frame that marks an entry from native code (3.12 on).
const OWNED_BY_NATIVE: u32 = 3;
/// What `_PyRuntime` begins with from 3.13 on.
const COOKIE: &[u8; 8] = b"xdebugpy";
/// No field of a thread's state or a code object lies beyond.
const MAX_OFFSET: u64 = 4096;
/// No field of an interpreter's state lies beyond.
const MAX_STATE_OFFSET: u64 = 1 << 20;

/// The minor number of a version as CPython writes it in one number, if it is a
/// finished one of 3 (or a candidate for it): earlier ones still change layouts.
pub(super) fn minor_of(version: u64) -> Option<u8> {
    let [0, 0, 0, 0, 3, minor, _, level] = version.to_be_bytes() else {
        return None;
    };
    matches!(level >> 4, 0xc | 0xf).then_some(minor)
}

/// The layout of a version up to 3.12.
pub(super) fn of_version(minor: u8) -> Option<(PythonLayout, NameLayout)> {
    match minor {
        9 => Some((with_frame_objects(104), NAMES_3_9)),
        10 => Some((with_frame_objects(96), NAMES_3_10)),
        11 => Some((LAYOUT_3_11, NAMES_3_11)),
        12 => Some((LAYOUT_3_12, NAMES_3_12)),
        _ => None,
    }
}

/// 3.9 and 3.10, whose frames are objects.
const fn with_frame_objects(frame_instruction: u32) -> PythonLayout {
    PythonLayout {
        runtime_interpreters: 32,
        interpreter_next: 0,
        interpreter_threads: 8,
        thread_next: 8,
        thread_id: 176,
        thread_frame: 24,
        cframe_frame: ABSENT,
        frame_code: 32,
        frame_previous: 24,
        frame_instruction,
        frame_entry: ABSENT,
        frame_entry_value: 0,
        lasti: 1,
        entry_apart: 0,
    }
}

const LAYOUT_3_11: PythonLayout = PythonLayout {
    runtime_interpreters: 40,
    interpreter_next: 0,
    interpreter_threads: 16,
    thread_next: 8,
    thread_id: 152,
    thread_frame: 56,
    cframe_frame: 8,
    frame_code: 32,
    frame_previous: 48,
    frame_instruction: 56,
    frame_entry: 68,
    frame_entry_value: 1,
    lasti: 0,
    entry_apart: 0,
};

const LAYOUT_3_12: PythonLayout = PythonLayout {
    runtime_interpreters: 40,
    interpreter_next: 0,
    interpreter_threads: 72,
    thread_next: 8,
    thread_id: 136,
    thread_frame: 56,
    cframe_frame: 0,
    frame_code: 0,
    frame_previous: 8,
    frame_instruction: 56,
    frame_entry: 70,
    frame_entry_value: OWNED_BY_NATIVE,
    lasti: 0,
    entry_apart: 1,
};

const NAMES_3_9: NameLayout = NameLayout {
    lines: LineTable::Increments,
    code_file: 104,
    code_function: 112,
    code_lines: 120,
    code_first_line: 40,
    code_instructions: ABSENT,
    ascii_characters: 48,
    other_characters: 72,
};

const NAMES_3_10: NameLayout = NameLayout {
    lines: LineTable::Ranges,
    ..NAMES_3_9
};

const NAMES_3_11: NameLayout = NameLayout {
    lines: LineTable::Locations,
    code_file: 112,
    code_function: 128,
    code_lines: 136,
    code_first_line: 72,
    code_instructions: 184,
    ascii_characters: 48,
    other_characters: 72,
};

const NAMES_3_12: NameLayout = NameLayout {
    code_first_line: 68,
    code_instructions: 192,
    ascii_characters: 40,
    other_characters: 56,
    ..NAMES_3_11
};

/// Which words of `_Py_DebugOffsets` tell the offsets.
struct Words {
    interpreters: usize,
    interpreter_next: usize,
    interpreter_threads: usize,
    /// Next, current frame, pthread_self.
    thread: [usize; 3],
    /// Previous, code, instruction, owner.
    frame: [usize; 4],
    /// File's name, qualified name, line table, first line, instructions.
    code: [usize; 5],
    /// Size of the header of strings that are ASCII.
    ascii_header: usize,
}

const WORDS_3_13: Words = Words {
    interpreters: 5,
    interpreter_next: 8,
    interpreter_threads: 9,
    thread: [21, 23, 24],
    frame: [29, 30, 31, 33],
    code: [35, 37, 38, 39, 43],
    ascii_header: 70,
};

const WORDS_3_14: Words = Words {
    interpreters: 5,
    interpreter_next: 8,
    interpreter_threads: 9,
    thread: [24, 26, 27],
    frame: [32, 33, 34, 36],
    code: [40, 42, 43, 44, 48],
    ascii_header: 80,
};

/// The version and the layout that an interpreter tells of itself: 3.13 and 3.14, the
/// build with a global lock. `runtime` is the initial data of `_PyRuntime`.
pub(super) fn of_runtime(runtime: &[u8]) -> Option<(u64, PythonLayout, NameLayout)> {
    let word = |index: usize| {
        let bytes = runtime.get(index * 8..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    if !runtime.starts_with(COOKIE) {
        return None;
    }
    let version = word(1)?;
    let free_threaded = word(2)? != 0;
    let words = match minor_of(version)? {
        13 => WORDS_3_13,
        14 => WORDS_3_14,
        _ => return None,
    };
    if free_threaded {
        return None;
    }
    let bounded = |index: usize, bound: u64| {
        let offset = word(index).filter(|offset| *offset < bound)?;
        u32::try_from(offset).ok()
    };
    let state = |index| bounded(index, MAX_STATE_OFFSET);
    let field = |index| bounded(index, MAX_OFFSET);
    let of_frame = |index| bounded(index, u64::from(PythonLayout::FRAME_BYTES) - 7);
    let layout = PythonLayout {
        runtime_interpreters: state(words.interpreters)?,
        interpreter_next: state(words.interpreter_next)?,
        interpreter_threads: state(words.interpreter_threads)?,
        thread_next: field(words.thread[0])?,
        thread_frame: field(words.thread[1])?,
        thread_id: field(words.thread[2])?,
        cframe_frame: ABSENT,
        frame_previous: of_frame(words.frame[0])?,
        frame_code: of_frame(words.frame[1])?,
        frame_instruction: of_frame(words.frame[2])?,
        frame_entry: of_frame(words.frame[3])?,
        frame_entry_value: OWNED_BY_NATIVE,
        lasti: 0,
        entry_apart: 1,
    };
    let ascii_characters = field(words.ascii_header)?;
    let names = NameLayout {
        lines: LineTable::Locations,
        code_file: field(words.code[0])?,
        code_function: field(words.code[1])?,
        code_lines: field(words.code[2])?,
        code_first_line: field(words.code[3])?,
        code_instructions: field(words.code[4])?,
        ascii_characters,
        // The length and the address of the UTF-8 form are between.
        other_characters: ascii_characters + 16,
    };
    Some((version, layout, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime_of_3_13(version: u64, free_threaded: u64) -> Vec<u8> {
        let mut words = vec![0u64; 73];
        words[0] = u64::from_le_bytes(*COOKIE);
        (words[1], words[2]) = (version, free_threaded);
        (words[5], words[8], words[9]) = (632, 7264, 7344);
        (words[21], words[23], words[24]) = (8, 72, 152);
        (words[29], words[30], words[31], words[33]) = (8, 0, 56, 70);
        (words[35], words[37], words[38], words[39], words[43]) = (112, 128, 136, 68, 200);
        words[70] = 40;
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn interpreter_tells_its_layout() {
        let (version, layout, names) =
            of_runtime(&runtime_of_3_13(0x030d_00f0, 0)).expect("a layout");
        assert_eq!(version, 0x030d_00f0);
        assert_eq!(
            layout,
            PythonLayout {
                runtime_interpreters: 632,
                interpreter_next: 7264,
                interpreter_threads: 7344,
                thread_id: 152,
                thread_frame: 72,
                cframe_frame: ABSENT,
                ..LAYOUT_3_12
            }
        );
        assert_eq!(
            names,
            NameLayout {
                code_instructions: 200,
                ..NAMES_3_12
            }
        );
    }

    #[test]
    fn builds_without_the_lock_previews_and_unknown_versions_are_declined() {
        assert_eq!(of_runtime(&runtime_of_3_13(0x030d_00f0, 1)), None);
        assert_eq!(of_runtime(&runtime_of_3_13(0x030d_00b1, 0)), None);
        assert_eq!(of_runtime(&runtime_of_3_13(0x0310_00f0, 0)), None);
    }

    #[test]
    fn frames_fields_lie_in_what_is_read_of_them() {
        for minor in 9..=12 {
            let (layout, _) = of_version(minor).expect("it is known");
            for field in [
                layout.frame_code,
                layout.frame_previous,
                layout.frame_instruction,
            ] {
                assert!(field + 8 <= PythonLayout::FRAME_BYTES, "3.{minor}");
            }
        }
        let mut far = runtime_of_3_13(0x030d_00f0, 0);
        far[33 * 8] = PythonLayout::FRAME_BYTES as u8;
        assert_eq!(of_runtime(&far), None);
    }

    #[test]
    fn impossible_offsets_and_short_data_are_declined() {
        let mut hostile = runtime_of_3_13(0x030d_00f0, 0);
        hostile[24 * 8..25 * 8].fill(0xff);
        assert_eq!(of_runtime(&hostile), None);
        let whole = runtime_of_3_13(0x030d_00f0, 0);
        for length in 0..568 {
            assert_eq!(of_runtime(&whole[..length]), None);
        }
    }
}
