//! The first failure of each process, by error: kept whatever becomes of the process.

use std::collections::BTreeMap;

use leak_common::ProcessId;

use super::Span;
use crate::model::{
    refusal::Refusal,
    report::Failure,
    time::{Nanos, seconds},
};

/// Failures that are kept: the oldest goes first.
const MAX_FAILURES: usize = 4096;

/// The first time that the kernel refused a process something for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstFailure {
    pub time: Nanos,
    pub process: ProcessId,
    pub error: Refusal,
    /// What the report says of it, without `after_seconds`, which depends on the
    /// report's window. The stack is empty until it is known.
    pub failure: Failure,
}

/// What was told of failures.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// By time first, so that they are in order.
    known: BTreeMap<(Nanos, ProcessId, Refusal), FirstFailure>,
    /// How many were dropped to make room.
    pub(super) dropped: u64,
}

impl Failures {
    /// Takes a failure, or what is known of it by now.
    pub(super) fn take(&mut self, failure: &FirstFailure) {
        let key = (failure.time, failure.process, failure.error);
        self.known.insert(key, failure.clone());
        if self.known.len() > MAX_FAILURES {
            self.known.pop_first();
            self.dropped += 1;
        }
    }

    /// All that are kept, in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = FirstFailure> + '_ {
        self.known.values().cloned()
    }

    /// Those in a time, in their order.
    pub(super) fn within(&self, span: Span) -> Vec<Failure> {
        let within = self
            .known
            .values()
            .filter(|failure| (span.start..=span.end).contains(&failure.time));
        within.map(|failure| report(failure, span)).collect()
    }
}

fn report(first: &FirstFailure, span: Span) -> Failure {
    Failure {
        after_seconds: seconds(first.time - span.start),
        ..first.failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(time: Nanos, pid: u32) -> FirstFailure {
        FirstFailure {
            time,
            process: ProcessId::new(pid, 1),
            error: Refusal::Files,
            failure: Failure {
                pid,
                count: 1,
                ..Failure::default()
            },
        }
    }

    const SPAN: Span = Span {
        start: 1_000_000_000,
        end: 5_000_000_000,
    };

    #[test]
    fn what_is_known_later_replaces_what_was() {
        let mut failures = Failures::default();
        failures.take(&failure(3_000_000_000, 7));
        failures.take(&failure(2_500_000_000, 8));
        let mut later = failure(3_000_000_000, 7);
        later.failure.count = 9;
        failures.take(&later);
        let reported = failures.within(SPAN);
        let of = |failure: &Failure| (failure.pid, failure.after_seconds, failure.count);
        let reported: Vec<_> = reported.iter().map(of).collect();
        assert_eq!(reported, [(8, 1.5, 1), (7, 2.0, 9)]);
    }

    #[test]
    fn failures_of_another_time_are_left_out() {
        let mut failures = Failures::default();
        failures.take(&failure(999_999_999, 7));
        failures.take(&failure(5_000_000_001, 7));
        assert_eq!(failures.within(SPAN), []);
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut failures = Failures::default();
        for time in 0..MAX_FAILURES as u64 + 3 {
            failures.take(&failure(SPAN.start + time, 7));
        }
        assert_eq!(failures.dropped, 3);
        let kept = failures.within(SPAN);
        assert_eq!(kept.len(), MAX_FAILURES);
        assert_eq!(kept[0].after_seconds, seconds(3));
    }
}
