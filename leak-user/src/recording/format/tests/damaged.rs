//! Damage of every sort: nothing panics, nothing is read that was not written, and
//! every change is reported.

use proptest::{collection::vec, prelude::*};

use super::made::{Read, beginning, churn, read, recording};
use crate::{analysis::Input, recording::format::verify};

/// A recording of some KiB, and what is in it.
fn small() -> (Vec<Input>, Vec<u8>) {
    let events = churn(120);
    let bytes = recording(&events, 30);
    assert!((2 << 10..8 << 10).contains(&bytes.len()), "{}", bytes.len());
    (events, bytes)
}

/// Whether `some` are among `all`, in the same order.
fn is_subsequence(some: &[Input], all: &[Input]) -> bool {
    let mut all = all.iter();
    some.iter().all(|event| all.any(|other| other == event))
}

/// Checks what must hold of any change; returns what was read.
fn check(changed: &[u8], events: &[Input]) -> Option<Read> {
    let verified = verify(changed);
    let Ok(read) = read(changed) else {
        // Nothing of it is intact.
        assert!(verified.is_err());
        return None;
    };
    assert!(!read.damages.is_empty(), "a change was not noticed");
    assert!(!verified.unwrap().intact());
    assert!(is_subsequence(&read.inputs, events));
    assert_eq!(read.unknown, []);
    let known: Option<u64> = read.damages.iter().map(|damage| damage.records).sum();
    if let Some(lost) = known {
        assert_eq!(read.inputs.len() as u64 + lost, events.len() as u64);
    }
    Some(read)
}

#[test]
fn no_flipped_byte_goes_unnoticed() {
    let (events, bytes) = small();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        // One bit and all bits, in turn.
        changed[at] ^= if at % 2 == 0 { 1 << (at / 2 % 8) } else { 0xff };
        let read = check(&changed, &events).expect("one frame is damaged at most");
        // No more than one segment is lost, and the beginning is there twice.
        assert!(read.inputs.len() + 30 >= events.len(), "byte {at}");
        assert_eq!(read.beginning.as_ref(), Some(&beginning()));
        assert_eq!(read.damages.len(), 1);
        let damage = read.damages[0];
        assert!(damage.offset <= at as u64 && at as u64 <= damage.offset + damage.length);
    }
}

#[test]
fn no_cut_goes_unnoticed() {
    let (events, bytes) = small();
    for length in 0..bytes.len() {
        if let Some(read) = check(&bytes[..length], &events) {
            assert!(events.starts_with(&read.inputs));
        }
    }
}

#[test]
fn no_missing_beginning_goes_unnoticed() {
    let (events, bytes) = small();
    for start in 1..bytes.len() {
        if let Some(read) = check(&bytes[start..], &events) {
            assert!(events.ends_with(&read.inputs));
        }
    }
}

proptest! {
    #[test]
    fn no_corruption_goes_unnoticed(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let (events, bytes) = small();
        let mut changed = bytes.clone();
        for (at, byte) in changes {
            changed[at.index(bytes.len())] = byte;
        }
        prop_assume!(changed != bytes);
        check(&changed, &events);
    }

    #[test]
    fn nothing_removed_doubled_or_moved_goes_unnoticed(
        from: prop::sample::Index, length in 1..2000usize, to: prop::sample::Index, doubled: bool,
    ) {
        let (events, bytes) = small();
        let from = from.index(bytes.len());
        let piece = &bytes[from..(from + length).min(bytes.len())];
        let mut changed = bytes.clone();
        if !doubled {
            changed.drain(from..from + piece.len());
        }
        let to = to.index(changed.len() + 1);
        changed.splice(to..to, piece.iter().copied());
        if changed != bytes {
            check(&changed, &events);
        }
        let mut removed = bytes.clone();
        removed.drain(from..from + piece.len());
        check(&removed, &events);
    }
}
