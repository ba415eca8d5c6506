//! What writers do when they cannot write, and with what is too long or was kept.

use std::io::{self, Write};

use leak_common::{Kind, ProcessId};

use super::made::{Read, beginning, churn, read, recording};
use crate::{
    analysis::Input,
    ledger::Shown,
    model::{report::Frame, site::SiteId},
    recording::format::{Cause, Encoder, MAX_RECORD, WriteError, Writer, verify},
};

/// A disk that is full for a while: between `full` and `free` bytes asked for.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    asked: usize,
    full: usize,
    free: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = if self.asked >= self.free {
            usize::MAX
        } else {
            self.full.saturating_sub(self.bytes.len())
        };
        let length = bytes.len().min(room);
        if length == 0 {
            self.asked += bytes.len();
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.asked += length;
        self.bytes.extend(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_full_disk_did_not_take_is_missing_and_nothing_else() {
    let inputs = churn(200);
    let whole = recording(&inputs, 40);
    for full in (1000..whole.len() - 100).step_by(97) {
        let disk = Disk {
            full,
            free: full + 1200,
            ..Disk::default()
        };
        let mut writer = Writer::new(disk, &beginning()).unwrap();
        let mut failed = 0;
        for chunk in inputs.chunks(40) {
            for input in chunk {
                writer.input(input).unwrap();
            }
            let whole = writer.bytes() as usize;
            if let Err(error) = writer.flush_segment() {
                assert_eq!(writer.bytes() as usize, whole);
                assert!(matches!(error, WriteError::Io(_)));
                failed += 1;
            }
        }
        let Ok((disk, finished)) = writer.finish() else {
            continue;
        };
        assert_eq!(finished.bytes, disk.bytes.len() as u64);
        let read = read(&disk.bytes).unwrap();
        assert!(failed > 0);
        assert_eq!(read.damages.len(), 1);
        assert_eq!(read.damages[0].frames, Some(failed));
        let lost = read.damages[0].records.unwrap() as usize;
        assert_eq!(read.inputs.len() + lost, inputs.len());
        let before = inputs
            .iter()
            .zip(&read.inputs)
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(read.inputs[before..], inputs[before + lost..]);
    }
}

/// What a process shows that has very many descriptors.
fn long_input(descriptors: u32) -> Input {
    Input::Compared {
        process: ProcessId::new(1, 1),
        shown: Box::new(Shown {
            descriptors: Some(
                (0..descriptors)
                    .map(|number| (number.wrapping_mul(7919), Kind::File))
                    .collect(),
            ),
            ..Shown::default()
        }),
    }
}

#[test]
fn a_record_that_is_longer_than_a_segment_is_divided() {
    let inputs = [
        churn(3),
        vec![long_input(500_000)],
        churn(3),
        vec![long_input(90_000)],
    ]
    .concat();
    let bytes = recording(&inputs, usize::MAX);
    let found = read(&bytes).unwrap();
    assert!(found.inputs == inputs);
    assert_eq!(found.damages, []);
    let verified = verify(&*bytes).unwrap();
    assert!(verified.segments > 5);
    assert_eq!(verified.records, inputs.len() as u64);
}

#[test]
fn a_long_record_without_one_of_its_fragments_is_lost_alone() {
    let inputs = [churn(3), vec![long_input(500_000)], churn(4)].concat();
    let bytes = recording(&inputs, usize::MAX);
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(b"\x89LEAK\r\n\x1a"))
        .collect();
    assert!(starts.len() > 6, "two beginnings, segments, an end");
    for (number, pair) in starts.windows(2).enumerate().skip(2) {
        let mut changed = bytes.clone();
        changed[pair[0] + 200] ^= 1;
        let found = read(&changed).unwrap();
        let lost: u64 = found
            .damages
            .iter()
            .map(|damage| damage.records.unwrap())
            .sum();
        assert_eq!(lost as usize, inputs.len() - found.inputs.len());
        let first_or_last = number == 2 || number == starts.len() - 2;
        if !first_or_last {
            assert_eq!(found.inputs, [churn(3), churn(4)].concat());
            assert_eq!(found.damages.len(), 2);
            assert_eq!(found.damages[1].cause, Cause::Incomplete);
        }
    }
}

#[test]
fn what_is_too_long_is_refused_and_leaves_no_trace() {
    let mut writer = Writer::new(Vec::new(), &beginning()).unwrap();
    let inputs = churn(3);
    writer.input(&inputs[0]).unwrap();
    let descriptors = u32::try_from(MAX_RECORD / 4).unwrap();
    let refused = writer.input(&long_input(descriptors)).unwrap_err();
    assert!(matches!(refused, WriteError::TooLong(long) if long.bytes > MAX_RECORD));
    let frames = vec![
        Frame {
            symbol: "x".repeat(1000),
            ..Frame::default()
        };
        2000
    ];
    let refused = writer
        .input(&Input::Stack {
            site: SiteId(1),
            frames,
        })
        .unwrap_err();
    assert!(matches!(refused, WriteError::TooLong(_)));
    writer.input(&inputs[1]).unwrap();
    let read = read(&writer.finish().unwrap().0).unwrap();
    assert_eq!(read.inputs, inputs[..2]);
    assert_eq!(read.damages, []);
}

#[test]
fn segments_that_were_kept_are_written_later() {
    let inputs = churn(100);
    let mut encoder = Encoder::new(1).unwrap();
    let mut kept = Vec::new();
    for chunk in inputs.chunks(20) {
        for input in chunk {
            encoder.input(input).unwrap();
        }
        encoder.flush();
        kept.extend(std::iter::from_fn(|| encoder.pop()));
    }
    // The oldest were given up in the meantime.
    let mut writer = Writer::new(Vec::new(), &beginning()).unwrap();
    writer.input(&inputs[0]).unwrap();
    for segment in &kept[3..] {
        assert!(segment.bytes() > 0);
        writer.append(segment).unwrap();
    }
    writer.input(&inputs[1]).unwrap();
    let bytes = writer.finish().unwrap().0;
    let expected = Read {
        beginning: Some(beginning()),
        inputs: [&inputs[..1], &inputs[60..], &inputs[1..2]].concat(),
        ..Read::default()
    };
    assert_eq!(read(&bytes).unwrap(), expected);
    assert!(verify(&*bytes).unwrap().intact());
}
