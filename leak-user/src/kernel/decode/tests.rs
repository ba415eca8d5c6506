//! Records as the kernel side writes them, whole and damaged.
#![allow(clippy::unwrap_used, reason = "tests")]

use leak_common::wire::StackEnd;
use proptest::prelude::*;

use super::*;
use crate::event::{Message, Site};

fn head(record: RecordType, kind: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((record as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(7u64.to_ne_bytes());
    bytes.extend(ProcessId::new(42, 9).0.to_ne_bytes());
    bytes
}

fn messages(record: &[u8]) -> Result<Vec<Message>, DecodeError> {
    let mut messages = Vec::new();
    decode(record, &mut |message| messages.push(message))?;
    Ok(messages)
}

/// Of a record that tells nothing else.
fn events(record: &[u8]) -> Result<Vec<Event>, DecodeError> {
    let events = messages(record)?.into_iter().map(|message| match message {
        Message::Event(event) => event,
        other => panic!("{other:?}"),
    });
    Ok(events.collect())
}

#[test]
fn a_site_has_its_frames() {
    let mut record = head(RecordType::Site, Kind::File as u32);
    record.extend(0xabcu64.to_ne_bytes());
    record.extend(43u32.to_ne_bytes());
    record.extend(2u16.to_ne_bytes());
    record.extend((StackEnd::Broken as u16).to_ne_bytes());
    record.extend(1u64.to_ne_bytes());
    record.extend(2u64.to_ne_bytes());
    let expected = Event::Site(Site {
        time: 7,
        process: ProcessId::new(42, 9),
        kind: Kind::File,
        id: SiteId(0xabc),
        tid: 43,
        frames: [1, 2].into(),
        end: StackEnd::Broken,
    });
    assert_eq!(events(&record).unwrap(), [expected]);
    for length in 0..record.len() {
        assert_eq!(events(&record[..length]), Err(DecodeError::Short));
    }
}

#[test]
fn a_message_is_several_acquisitions() {
    let mut record = head(RecordType::Received, Kind::Socket as u32);
    record.extend(5u64.to_ne_bytes());
    record.extend(acquired::CLOSE_ON_EXEC.to_ne_bytes());
    record.extend(2u32.to_ne_bytes());
    record.extend(10u32.to_ne_bytes());
    record.extend(11u32.to_ne_bytes());
    let events = events(&record).unwrap();
    let descriptors: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Acquired(acquired) => {
                assert!(acquired.close_on_exec && acquired.kind_guessed);
                acquired.handle.descriptor().unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(descriptors, [10, 11]);
}

#[test]
fn a_failure_says_what_was_called_and_what_for() {
    let record = |call: u32, error: u32| {
        let mut record = head(RecordType::Failed, Kind::Mapping as u32);
        record.extend(0xabcu64.to_ne_bytes());
        record.extend(8192u64.to_ne_bytes());
        record.extend([call, error, 43, 0].into_iter().flat_map(u32::to_ne_bytes));
        record
    };
    let expected = |call, error| {
        Message::Failed(Failed {
            time: 7,
            process: ProcessId::new(42, 9),
            kind: Kind::Mapping,
            site: SiteId(0xabc),
            size: 8192,
            call,
            error,
            tid: 43,
        })
    };
    assert_eq!(
        messages(&record(9, 12)).unwrap(),
        [expected(Call::System(9), Refusal::Memory)]
    );
    assert_eq!(
        messages(&record(wire::FAILED_URING | 18, 24)).unwrap(),
        [expected(Call::Uring(18), Refusal::Files)]
    );
    assert_eq!(
        messages(&record(9, 13)),
        Err(DecodeError::Unknown("error", 13))
    );
    let whole = record(9, 12);
    assert_eq!(whole.len(), size_of::<wire::Failed>());
    for length in 0..whole.len() {
        assert_eq!(messages(&whole[..length]), Err(DecodeError::Short));
    }
}

#[test]
fn numbers_that_mean_nothing_are_refused() {
    assert!(matches!(
        events(&head(RecordType::Exited, 0)).unwrap()[..],
        [Event::Exited { time: 7, .. }]
    ));
    let mut record = head(RecordType::Exited, 0);
    record[0] = 99;
    assert_eq!(
        events(&record),
        Err(DecodeError::Unknown("record type", 99))
    );
    let record = head(RecordType::Acquired, 77);
    assert_eq!(events(&record), Err(DecodeError::Unknown("kind", 77)));
}

proptest! {
    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode(&bytes, &mut |_| {});
        decode_batch(&bytes, |_| {});
    }

    #[test]
    fn a_damaged_batch_loses_only_what_is_damaged(cut in 0usize..60) {
        let mut batch = Vec::new();
        push_record(&mut batch, &head(RecordType::Exited, 0));
        push_record(&mut batch, &head(RecordType::Exited, 0));
        let mut count = 0;
        let undecodable = decode_batch(&batch[..cut.min(batch.len())], |_| count += 1);
        let whole = cut.min(batch.len()) / 28;
        prop_assert_eq!(count, whole);
        prop_assert_eq!(undecodable, u64::from(cut.min(batch.len()) % 28 != 0));
    }
}
