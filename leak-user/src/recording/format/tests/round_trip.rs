//! What is written is read.

use proptest::{collection::vec, prelude::*};

use super::made::{Read, beginning, churn, input, read, recording};
use crate::{
    analysis::Input,
    judge::Observation,
    model::site::SiteId,
    recording::format::{Index, Reader, Version, Writer, inputs, verify},
};
use leak_common::{Handle, ProcessId};

proptest! {
    #[test]
    fn every_input_is_read_as_it_was_written(
        inputs in vec(input(), 0..60), flushes in 1..20usize,
    ) {
        let expected = Read {
            beginning: Some(beginning()),
            inputs: inputs.clone(),
            ..Read::default()
        };
        prop_assert_eq!(read(&recording(&inputs, flushes)).unwrap(), expected);
    }
}

#[test]
fn a_record_ends_behind_the_last_added_field_that_says_something() {
    let handle = Handle(7);
    let lengths =
        [(false, false), (true, false), (false, true), (true, true)].map(|(third, last)| {
            let observed = Input::Observed(Box::new(Observation {
                time: 1,
                process: ProcessId(2),
                close_wait: Vec::new(),
                watches: vec![(handle, 3)],
                stacks: if third { vec![(handle, 4)] } else { Vec::new() },
                adders: if last {
                    vec![(handle, SiteId(5))]
                } else {
                    Vec::new()
                },
            }));
            let mut record = Vec::new();
            let (kind, _) = inputs::put(&mut record, &observed).unwrap();
            assert_eq!(inputs::get(kind, &record), Some(observed));
            record.len()
        });
    let [neither, third, last, both] = lengths;
    // An empty list is one byte: it is there only where another one follows.
    assert!(neither < third);
    assert_eq!(both, third + last - neither - 1);
}

#[test]
fn many_segments_are_read_in_their_order() {
    let events = churn(200_000);
    let bytes = recording(&events, usize::MAX);
    let read = read(&bytes).unwrap();
    assert_eq!(read.inputs.len(), events.len());
    assert!(read.inputs == events);
    assert_eq!(read.damages, []);
    let verified = verify(&*bytes).unwrap();
    assert!(verified.intact());
    assert!(verified.segments > 3, "{verified:?}");
    assert_eq!(verified.records, events.len() as u64);
    assert_eq!(verified.version, Version::CURRENT);
}

#[test]
fn a_writer_that_is_killed_loses_what_was_not_flushed() {
    let events = churn(50);
    let mut writer = Writer::new(Vec::new(), &beginning()).unwrap();
    for event in &events[..60] {
        writer.input(event).unwrap();
    }
    writer.flush_segment().unwrap();
    for event in &events[60..] {
        writer.input(event).unwrap();
    }
    let read = read(writer.get_ref()).unwrap();
    assert_eq!(read.inputs, events[..60]);
    assert_eq!(read.damages.len(), 1);
    assert_eq!(read.damages[0].frames, None);
}

#[test]
fn the_end_tells_where_segments_are() {
    let events = churn(100);
    let bytes = recording(&events, 20);
    let index = Index::read(std::io::Cursor::new(&bytes)).unwrap().unwrap();
    assert_eq!(index.records, events.len() as u64);
    assert_eq!(index.chain, verify(&*bytes).unwrap().chain);
    assert_eq!(index.entries.len(), events.len().div_ceil(20));
    for (number, entry) in index.entries.iter().enumerate() {
        assert_eq!(entry.first_record, number as u64 * 20);
        assert_eq!(bytes[entry.offset as usize..][..8], *b"\x89LEAK\r\n\x1a");
    }
    let cut = Index::read(std::io::Cursor::new(&bytes[..bytes.len() - 1])).unwrap();
    assert_eq!(cut, None);
}

#[test]
fn a_reader_iterates() {
    let events = churn(10);
    let bytes = recording(&events, 4);
    let items: Result<Vec<_>, _> = Reader::new(&*bytes).unwrap().collect();
    assert_eq!(items.unwrap().len(), events.len());
}
