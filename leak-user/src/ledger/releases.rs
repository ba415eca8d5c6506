//! The recent history of a descriptor table or a memory. Acquisitions arrive
//! about a second late; what happened to them meanwhile is read from here.

use std::collections::VecDeque;

use super::{addresses::Move, spaces::SpaceId};
use crate::model::hash::Set;
use crate::model::time::Nanos;

/// Changes kept of one space, 64 bytes each. So a log takes at most 256 KiB, which only
/// a space does where this much happens within the nursery's age.
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

/// This many new changes make it worth looking for dispensable ones again; and as many
/// of the newest are left out of that, as a change from another CPU may still belong
/// between them.
const NEWEST: usize = LOG_ENTRIES / 4;

/// Changes in the order of their times.
#[derive(Debug, Default)]
pub(super) struct Log {
    changes: VecDeque<(Nanos, Change)>,
    /// Changes recorded since it was looked through.
    since: usize,
}

impl Log {
    /// Whether it is worth a look for what is dispensable.
    pub(super) fn wants_room(&self) -> bool {
        self.changes.len() >= LOG_ENTRIES && self.since >= NEWEST
    }

    /// Drops copies of which `is_gone` is true, and releases that are repeated later: a
    /// loop that opens and closes releases the same few numbers again and again.
    pub(super) fn make_room(&mut self, is_gone: impl Fn(SpaceId) -> bool) {
        self.since = 0;
        self.changes
            .retain(|(_, change)| !matches!(change, Change::Copied { to, .. } if is_gone(*to)));
        let newest = self.changes.len().saturating_sub(NEWEST);
        let mut repeated = Set::default();
        let mut stays = vec![true; newest];
        for (index, (_, change)) in self.changes.range(..newest).enumerate().rev() {
            match *change {
                Change::Released { first, last } => stays[index] = repeated.insert((first, last)),
                // A key that no range has: no range ends before it begins.
                Change::Freed { address } => stays[index] = repeated.insert((address, 0)),
                // A later release does not stand for one before this: what went before
                // is not in the copy, or has not moved.
                Change::Copied { .. } | Change::Moved(_) => repeated.clear(),
                Change::Detached { .. }
                | Change::Marked { .. }
                | Change::Executed
                | Change::Ended { .. } => {}
            }
        }
        let mut index = 0;
        self.changes.retain(|_| {
            index += 1;
            stays.get(index - 1).is_none_or(|&stays| stays)
        });
    }

    /// Adds a change; a full log gives up its oldest. Says whether it did.
    pub(super) fn record(&mut self, time: Nanos, change: Change) -> bool {
        self.since += 1;
        let overflow = self.changes.len() >= LOG_ENTRIES;
        if overflow {
            self.changes.pop_front();
        }
        // Records of several CPUs arrive almost in order: this loop rarely takes a
        // step.
        let mut index = self.changes.len();
        while index > 0 && self.changes[index - 1].0 > time {
            index -= 1;
        }
        self.changes.insert(index, (time, change));
        overflow
    }

    /// All of it, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Nanos, Change)> + '_ {
        self.changes.iter().copied()
    }

    /// What happened after `time`, oldest first.
    pub(super) fn after(&self, time: Nanos) -> impl Iterator<Item = (Nanos, Change)> + '_ {
        let first = self.changes.partition_point(|&(at, _)| at <= time);
        self.changes.range(first..).copied()
    }

    /// Drops what cannot matter to acquisitions after `horizon`.
    pub(super) fn prune(&mut self, horizon: Nanos) {
        while self
            .changes
            .front()
            .is_some_and(|&(time, _)| time <= horizon)
        {
            self.changes.pop_front();
        }
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_loop_that_opens_and_closes_takes_no_room() {
        let mut log = Log::default();
        let mut lost = 0;
        for time in 1..=10 * LOG_ENTRIES as u64 {
            if log.wants_room() {
                log.make_room(|_| false);
            }
            lost += u64::from(log.record(time, released(time % 7)));
        }
        assert_eq!(lost, 0);
        // Each number was released last when it was.
        let last = 10 * LOG_ENTRIES as u64;
        assert_eq!(log.after(last - 1).count(), 1);
        assert_eq!(log.after(last - 7).count(), 7);
    }

    #[test]
    fn what_was_released_before_a_copy_stays_so() {
        let mut log = Log::default();
        let copied = Change::Copied {
            to: SpaceId(9),
            executing: false,
        };
        log.record(1, released(3));
        log.record(2, copied);
        log.record(3, released(3));
        log.record(4, released(3));
        for time in 5..5 + NEWEST as u64 {
            log.record(time, released(time));
        }
        log.make_room(|_| false);
        let times: Vec<Nanos> = log.after(0).map(|(time, _)| time).take(4).collect();
        assert_eq!(times, [1, 2, 4, 5]);
        log.make_room(|to| to == SpaceId(9));
        let times: Vec<Nanos> = log.after(0).map(|(time, _)| time).take(3).collect();
        assert_eq!(times, [4, 5, 6]);
    }

    /// Whether what was acquired as `slot` at `time` is gone, and the copies it reached.
    fn fate(log: &Log, slot: u64, time: Nanos) -> (bool, Vec<SpaceId>) {
        let mut copies = Vec::new();
        for (_, change) in log.after(time) {
            match change {
                Change::Released { first, last } if (first..=last).contains(&slot) => {
                    return (true, copies);
                }
                Change::Copied { to, .. } => copies.push(to),
                _ => {}
            }
        }
        (false, copies)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn nothing_fares_otherwise_for_the_room(
            changes in prop::collection::vec((0..40u64, 0..3u64), 2 * NEWEST)
        ) {
            let mut log = Log::default();
            for (time, &(what, more)) in (1..).zip(&changes) {
                let change = match what {
                    0 => Change::Copied { to: SpaceId(time), executing: false },
                    first => Change::Released { first, last: first + more },
                };
                log.record(time, change);
            }
            let whole = Log { changes: log.changes.clone(), since: 0 };
            log.make_room(|_| false);
            prop_assert!(log.changes.len() < whole.changes.len());
            for time in 0..2 * NEWEST as u64 {
                for slot in [1, 2, 20, 41] {
                    prop_assert_eq!(fate(&log, slot, time), fate(&whole, slot, time));
                }
            }
        }
    }
}
