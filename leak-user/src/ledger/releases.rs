//! The recent history of a descriptor table or a memory. Acquisitions arrive
//! about a second late; what happened to them meanwhile is read from here.

use std::collections::VecDeque;

use super::{addresses::Move, spaces::SpaceId};
use crate::event::Nanos;

/// Changes kept of one space. 64 bytes each: 256 KiB at most, of a space where all
/// of it happens within the nursery.
pub(super) const LOG_ENTRIES: usize = 4096;

/// What happened in a space to acquisitions before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Descriptors or addresses from `first` to `last`, inclusive, went.
    Released { first: u64, last: u64 },
    /// A heap block went.
    Freed { address: u64 },
    /// The shared memory attachment that begins there went.
    Detached { first: u64 },
    /// Descriptors from `first` to `last`, inclusive, close on exec now.
    Marked { first: u64, last: u64 },
    /// Descriptors that close on exec went.
    Executed,
    /// Addresses moved.
    Moved(Move),
    /// The space was copied; `executing` leaves out what closes on exec.
    Copied { to: SpaceId, executing: bool },
    /// Its last holder left it, by its exit or by an exec.
    Ended { at_exit: bool },
}

/// Changes in the order of their times.
#[derive(Debug, Default)]
pub(super) struct Log(VecDeque<(Nanos, Change)>);

impl Log {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= LOG_ENTRIES
    }

    /// Adds a change; a full log gives up its oldest. Says whether it did.
    pub(super) fn record(&mut self, time: Nanos, change: Change) -> bool {
        let overflow = self.is_full();
        if overflow {
            self.0.pop_front();
        }
        // Records of several CPUs arrive almost in order: this rarely steps.
        let mut index = self.0.len();
        while index > 0 && self.0[index - 1].0 > time {
            index -= 1;
        }
        self.0.insert(index, (time, change));
        overflow
    }

    /// All of it, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Nanos, Change)> + '_ {
        self.0.iter().copied()
    }

    /// What happened after `time`, oldest first.
    pub(super) fn after(&self, time: Nanos) -> impl Iterator<Item = (Nanos, Change)> + '_ {
        let first = self.0.partition_point(|&(at, _)| at <= time);
        self.0.range(first..).copied()
    }

    /// Drops what cannot matter to acquisitions after `horizon`.
    pub(super) fn prune(&mut self, horizon: Nanos) {
        while self.0.front().is_some_and(|&(time, _)| time <= horizon) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Change) -> bool) {
        self.0.retain(|(_, change)| keep(change));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(first: u64) -> Change {
        Change::Released { first, last: first }
    }

    #[test]
    fn changes_are_read_in_the_order_of_their_times() {
        let mut log = Log::default();
        for time in [5, 3, 9, 7] {
            assert!(!log.record(time, released(time)));
        }
        let times: Vec<Nanos> = log.after(3).map(|(time, _)| time).collect();
        assert_eq!(times, [5, 7, 9]);
        log.prune(7);
        let times: Vec<Nanos> = log.after(0).map(|(time, _)| time).collect();
        assert_eq!(times, [9]);
    }

    #[test]
    fn a_full_log_gives_up_its_oldest_and_says_so() {
        let mut log = Log::default();
        for time in 1..=LOG_ENTRIES as u64 {
            assert!(!log.record(time, released(time)));
        }
        assert!(log.record(2000, released(1)));
        assert_eq!(log.after(0).next(), Some((2, released(2))));
    }
}
