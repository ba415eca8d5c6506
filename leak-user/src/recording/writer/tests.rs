#![allow(clippy::unwrap_used, reason = "tests")]

use std::{ffi::CString, fs::OpenOptions, io::Read as _, os::unix::ffi::OsStrExt as _, path::Path};

use leak_common::{Class, Handle, Kind, ProcessId};

use super::*;
use crate::{
    event::Acquired,
    model::{report::Frame, site::SiteId},
    recording::format::{Item, Reader},
};

const SECOND: u64 = 1_000_000_000;
const PROCESS: ProcessId = ProcessId::new(7, 70);

fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        host: "made-up".to_owned(),
        max_size: None,
        rotate: None,
        keep: None,
        past: None,
        redact: false,
        force: true,
    }
}

fn beginning() -> Beginning {
    Beginning {
        started: SECOND,
        from: SECOND,
        ..Beginning::default()
    }
}

/// No two alike, so that they do not compress away.
fn acquired(number: u64) -> Input {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Input::Event(Event::Acquired(Acquired {
        time: 2 * SECOND + number,
        process: PROCESS,
        kind: Kind::Mapping,
        handle: Handle::new(Class::Mapping, mixed >> 16),
        site: SiteId(mixed.rotate_left(17)),
        size: mixed >> 40,
        close_on_exec: false,
        kind_guessed: false,
        maybe_existed: false,
    }))
}

fn stack(number: u64, symbol: String) -> Input {
    Input::Stack {
        site: SiteId(number),
        frames: vec![Frame {
            symbol,
            ..Frame::default()
        }],
    }
}

fn inputs(bytes: &[u8]) -> Vec<Input> {
    let items = Reader::new(bytes).unwrap().map(Result::unwrap);
    let input = |item| match item {
        Item::Input(input) => input,
        other => panic!("{other:?}"),
    };
    items.map(input).collect()
}

#[test]
fn a_full_queue_loses_what_it_counts_and_no_more_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name ends with a zero and lives through the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    // Open for both, so that neither end waits for the other; nobody reads yet.
    let mut pipe = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut recorder = Recorder::start(options(&path), &beginning()).unwrap();
    let (mut taken, mut stacks, mut lost) = (0, 0, 0);
    while lost == 0 {
        assert!(taken < 4_000_000, "the queue takes whatever comes");
        recorder.take(stack(stacks, "main".to_owned()));
        stacks += 1;
        while !recorder.is_due() {
            recorder.take(acquired(taken));
            taken += 1;
        }
        lost = recorder.send();
    }
    assert_eq!(recorder.lost(), lost);
    assert!(lost < BATCH as u64, "stacks are kept: {lost}");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        // The end is known by what was asked to be written last.
        loop {
            let count = pipe.read(&mut buffer).unwrap();
            bytes.extend(&buffer[..count]);
            if bytes.ends_with(b"that is all") {
                bytes.truncate(bytes.len() - b"that is all".len());
                return bytes;
            }
        }
    });
    let summary = recorder.finish();
    std::fs::write(&path, b"that is all").unwrap();
    let found = inputs(&reading.join().unwrap());
    assert_eq!((summary.error, summary.lost), (None, lost));
    let count = |is: fn(&Input) -> bool| found.iter().filter(|input| is(input)).count() as u64;
    assert_eq!(
        count(|input| matches!(input, Input::Event(_))),
        taken - lost
    );
    assert_eq!(count(|input| matches!(input, Input::Stack { .. })), stacks);
    assert_eq!(count(|input| *input == Input::Lost(None)), 1);
    assert_eq!(found.last(), Some(&Input::Lost(None)));
}

#[test]
fn what_is_too_long_for_a_recording_is_lost_and_marked() {
    let directory = tempfile::tempdir().unwrap();
    for past in [None, Some(1 << 20)] {
        let path = directory.path().join("a.lkt");
        let options = Options {
            past,
            ..options(&path)
        };
        let mut recorder = Recorder::start(options, &beginning()).unwrap();
        let short = stack(1, "main".to_owned());
        let state = vec![
            stack(2, "x".repeat(2 << 20)),
            stack(3, "in a state".to_owned()),
        ];
        recorder.take(short.clone());
        recorder.take(stack(4, "x".repeat(2 << 20)));
        recorder.take(acquired(1));
        if past.is_some() {
            recorder.part(beginning(), state.clone());
        } else {
            for input in &state {
                recorder.take(input.clone());
            }
        }
        recorder.fire();
        let summary = recorder.finish();
        assert_eq!((summary.error, summary.lost), (None, 2));
        let found = inputs(&std::fs::read(&path).unwrap());
        let lost = Input::Lost(None);
        let happened = [short, lost.clone(), acquired(1)];
        // Of the past, the state is that of its beginning.
        let expected = match past {
            None => [&happened[..], &[lost, state[1].clone()]].concat(),
            Some(_) => happened.to_vec(),
        };
        assert_eq!(found, expected, "{past:?}");
    }
}
