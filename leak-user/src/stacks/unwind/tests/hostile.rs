//! No file makes the builder panic or run away.

use proptest::collection::vec;
use proptest::prelude::*;

use super::assert_sound;
use super::made::{CODE, Elf, Frames, Storage};
use crate::stacks::unwind::build;

fn survives(bytes: &[u8]) {
    if let Ok(table) = build(bytes) {
        assert_sound(&table);
    }
}

/// A file with a bit of everything.
fn rich() -> Elf {
    let fill = |mut frames: Frames| {
        let common = frames.common();
        let signal = frames.common_with("zS", 16, -8, &[]);
        for start in 0..40 {
            #[rustfmt::skip]
            let instructions = [
                0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0a, 0x48, 0x0c, 7, 8, 0x41, 0x0b,
                0x42, 0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0,
            ];
            frames.function(common, start * 37, 30, &instructions);
        }
        frames.function(signal, 2000, 9, &[]);
        frames
    };
    Elf {
        debug_frame: Some((fill(Frames::debug()), Storage::Zstd)),
        ..Elf::with(fill(Frames::eh()))
    }
}

fn flip(bytes: &mut [u8], from: usize, to: usize, flips: &[(prop::sample::Index, u8)]) {
    let part = &mut bytes[from..to];
    for (place, value) in flips {
        part[place.index(part.len())] = *value;
    }
}

fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..2000)) {
        survives(&bytes);
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(18, 0);
        elf.push(62);
        elf.extend(&bytes);
        survives(&elf);
    }

    #[test]
    fn any_call_frame_information_is_survived(bytes in vec(any::<u8>(), 0..600)) {
        let mut frames = Frames::eh();
        let common = frames.common();
        frames.function(common, 0, 4000, &bytes);
        frames.bytes.extend(&bytes);
        survives(&Elf::with(frames).bytes());
    }

    #[test]
    fn damaged_headers_are_survived(
        flips in flips(),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        machine in prop::sample::select(vec![62, 183]),
        section_headers in any::<bool>(),
    ) {
        let elf = Elf { machine, section_headers, ..rich() };
        let mut bytes = elf.bytes();
        flip(&mut bytes, 16, 232, &flips);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }

    #[test]
    fn damaged_frames_are_survived(flips in flips(), section_headers in any::<bool>()) {
        let elf = Elf { section_headers, ..rich() };
        let mut bytes = elf.bytes();
        let (from, to) = (CODE as usize + elf.code.len(), bytes.len());
        flip(&mut bytes, from, to, &flips);
        survives(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(24)
    })]

    #[test]
    fn damaged_programs_are_survived(flips in flips(), cut in any::<prop::sample::Index>()) {
        let Ok(mut bytes) = std::fs::read("/bin/sh") else {
            return Ok(());
        };
        let end = bytes.len();
        flip(&mut bytes, 16, 2000, &flips);
        survives(&bytes);
        let mut bytes = std::fs::read("/bin/sh").unwrap();
        flip(&mut bytes, end / 2, end, &flips);
        survives(&bytes);
        survives(&bytes[..cut.index(end)]);
    }
}

/// Each of these takes hours if work is not bounded.
#[test]
fn work_does_not_multiply() {
    // Functions that share long common instructions.
    let mut frames = Frames::eh();
    let common = frames.common_with("", 16, -8, &vec![0x0a; 1 << 20]);
    for start in 0..20_000 {
        frames.function(common, start % 4000, 1, &[]);
    }
    survives(&Elf::with(frames).bytes());

    // Functions in one another, the outermost with many rows.
    let mut frames = Frames::eh();
    let common = frames.common();
    frames.function(
        common,
        0,
        0x3000,
        &[0x41, 0x0e, 16, 0x41, 0x0e, 24].repeat(6000),
    );
    for start in 1..6000 {
        frames.function(common, start, 0x3000 - 2 * start, &[]);
    }
    survives(&Elf::with(frames).bytes());

    // Common entries in one another, each ending with the section.
    let mut frames = Frames::eh();
    frames.common_with("", 16, -8, &[0; 1000]);
    for at in 0..20_000u64 {
        frames.function(at % 1000 * 4, 0, 16, &[0; 40]);
    }
    survives(&Elf::with(frames).bytes());
}

#[test]
fn sizes_that_lie_are_refused() {
    let mut frames = Frames::debug();
    let common = frames.common();
    frames.function(common, 0, 16, &[]);
    for storage in [Storage::Zlib, Storage::Zstd, Storage::GnuZlib] {
        let elf = Elf {
            debug_frame: Some((frames.clone(), storage)),
            ..Elf::default()
        };
        let mut bytes = elf.bytes();
        let at = CODE as usize + elf.code.len();
        let size = if storage == Storage::GnuZlib {
            at + 4
        } else {
            at + 8
        };
        bytes[size..size + 8].fill(0x70);
        let table = build(&bytes).unwrap();
        assert!(table.pages.is_empty(), "{storage:?}");
    }
}
