//! Counters that the programs keep per processor, and which of them count a loss. User space
//! adds them up and reports losses by the names given here.

use crate::{numbered::numbered, wire::StackEnd};

numbered! {
    /// What is counted. The number is the index in the counters' array.
    pub enum Counter: u32 {
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
        // Stacks of new sites, by why they ended: the reasons of `StackEnd` from the second
        // on, in the order of their numbers.
        StackBroken = 13,
        StackUnreadable = 14,
        StackTooDeep = 15,
        StackNotTaken = 16,
        StackNoTable = 17,
        StackEvicted = 18,
        StackLocked = 19,
        /// Loss: the table of failures was full, a failure was not counted.
        FailuresFull = 20,
        /// Loss: a row of the table of system calls has a number that the programs do not
        /// know. It cannot happen while both sides are built together.
        UnknownRow = 21,
        /// Loss: the table of borrows was full, a borrow of a pooled connection was not counted.
        BorrowsFull = 22,
    }
}

impl Counter {
    /// The counter of the stacks that ended so; nothing counts complete ones.
    #[must_use]
    pub const fn of_stack(end: StackEnd) -> Option<Counter> {
        match end {
            StackEnd::Complete => None,
            StackEnd::Broken => Some(Counter::StackBroken),
            StackEnd::Unreadable => Some(Counter::StackUnreadable),
            StackEnd::TooDeep => Some(Counter::StackTooDeep),
            StackEnd::NotTaken => Some(Counter::StackNotTaken),
            StackEnd::NoTable => Some(Counter::StackNoTable),
            StackEnd::Evicted => Some(Counter::StackEvicted),
            StackEnd::Locked => Some(Counter::StackLocked),
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
            Counter::UnknownRow => Some("unknown_row"),
            Counter::BorrowsFull => Some("borrows_full"),
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

// The programs have the end as a number, and add the distance between the two enums to it.
const _: () = {
    let mut index = 0;
    while index < StackEnd::COUNT {
        let end = StackEnd::ALL[index];
        match Counter::of_stack(end) {
            None => assert!(matches!(end, StackEnd::Complete)),
            Some(counter) => assert!(
                counter as usize
                    == Counter::StackBroken as usize + end as usize - StackEnd::Broken as usize
            ),
        }
        index += 1;
    }
};
