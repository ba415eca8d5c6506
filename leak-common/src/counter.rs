//! Counters that the programs keep per CPU.

use crate::wire::StackEnd;

/// What is counted. The number is the index in the counters' array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Counter {
    /// Acquisitions seen.
    Acquired = 0,
    /// Releases seen.
    Released = 1,
    /// Pairs that ended in the young table.
    DiedYoung = 2,
    /// Records written to the ring.
    Emitted = 3,
    /// Loss: the ring was full.
    RingFull = 4,
    /// The young table was full; the acquisition went through the ring instead.
    YoungFull = 5,
    /// Loss of stacks: the site table was full.
    SitesFull = 6,
    /// Loss: the table of calls in flight was full.
    InflightFull = 7,
    /// Loss: the table of traced processes was full.
    TargetsFull = 8,
    /// Loss: the caller's memory could not be read (descriptors written there).
    Unreadable = 9,
    /// Loss: more descriptors in one receive call than are looked at.
    TooManyReceived = 10,
    /// System calls of 32-bit callers, which are not covered.
    Compat = 11,
    /// io_uring closes whose descriptor this kernel does not show.
    UringCloseUnseen = 12,
    /// Stacks of new sites that ended for a reason of [`StackEnd`],
    /// from the second on, in the order of their numbers.
    StackBroken = 13,
    StackUnreadable = 14,
    StackTooDeep = 15,
    StackNotTaken = 16,
    StackNoTable = 17,
    StackEvicted = 18,
    StackLocked = 19,
    /// Loss: the table of failures was full, a failure was not counted.
    FailuresFull = 20,
}

impl Counter {
    /// How many there are.
    pub const COUNT: usize = 21;

    /// Every counter, in the order of their numbers.
    pub const ALL: [Counter; Self::COUNT] = [
        Counter::Acquired,
        Counter::Released,
        Counter::DiedYoung,
        Counter::Emitted,
        Counter::RingFull,
        Counter::YoungFull,
        Counter::SitesFull,
        Counter::InflightFull,
        Counter::TargetsFull,
        Counter::Unreadable,
        Counter::TooManyReceived,
        Counter::Compat,
        Counter::UringCloseUnseen,
        Counter::StackBroken,
        Counter::StackUnreadable,
        Counter::StackTooDeep,
        Counter::StackNotTaken,
        Counter::StackNoTable,
        Counter::StackEvicted,
        Counter::StackLocked,
        Counter::FailuresFull,
    ];

    /// What counts the stacks that ended so; nothing counts complete ones.
    #[must_use]
    pub const fn of_stack(end: StackEnd) -> Option<Counter> {
        match end {
            StackEnd::Complete => None,
            _ => Some(Self::ALL[Counter::StackBroken as usize + end as usize - 1]),
        }
    }

    /// The name of the loss, for those counters that count one.
    #[must_use]
    pub const fn loss(self) -> Option<&'static str> {
        match self {
            Counter::RingFull => Some("ring_full"),
            Counter::SitesFull => Some("sites_full"),
            Counter::InflightFull => Some("inflight_full"),
            Counter::TargetsFull => Some("targets_full"),
            Counter::Unreadable => Some("unreadable_memory"),
            Counter::TooManyReceived => Some("too_many_received"),
            Counter::FailuresFull => Some("failures_full"),
            Counter::Acquired
            | Counter::Released
            | Counter::DiedYoung
            | Counter::Emitted
            | Counter::YoungFull
            | Counter::Compat
            | Counter::UringCloseUnseen
            | Counter::StackBroken
            | Counter::StackUnreadable
            | Counter::StackTooDeep
            | Counter::StackNotTaken
            | Counter::StackNoTable
            | Counter::StackEvicted
            | Counter::StackLocked => None,
        }
    }
}

const _: () = {
    let mut index = 0;
    while index < Counter::COUNT {
        assert!(Counter::ALL[index] as usize == index);
        index += 1;
    }
};

// Kinds of ends are counted by their numbers.
const _: () = {
    let mut index = 1;
    while index < StackEnd::ALL.len() {
        assert!(StackEnd::ALL[index] as usize == index);
        index += 1;
    }
    assert!(matches!(
        Counter::of_stack(StackEnd::Locked),
        Some(Counter::StackLocked)
    ));
};
