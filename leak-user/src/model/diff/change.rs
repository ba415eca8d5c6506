//! When a site grew or shrank: more than chance makes it from run to run.

use super::{Amounts, Change};
use crate::model::report::Verdict;

/// Less than a quarter more is chance.
const FACTOR: f64 = 1.25;

/// Where nothing grows, fewer more than this are chance.
const COUNT: f64 = 5.0;

/// Where something grows, fewer more than this, acquired in the shorter of both windows, are chance. Example: in a
/// window of 10 s, paces that differ by less than 0.2/s are the same.
const STEPS: f64 = 2.0;

/// Growth per second below which nothing grows.
const STILL: f64 = 0.01;

/// What became of a site that both reports have; `shorter` is the shorter window in seconds.
///
/// A worse verdict is growth and a better one is not, whatever the numbers. With the same verdict, the pace of growth
/// is compared, which does not depend on how long was traced; where neither grows, what is outstanding.
pub(super) fn between(base: &Amounts, new: &Amounts, shorter: f64) -> Change {
    match new.verdict.cmp(&base.verdict) {
        std::cmp::Ordering::Less => return Change::Grew,
        std::cmp::Ordering::Greater => return Change::Shrank,
        std::cmp::Ordering::Equal => {}
    }
    let growing = |amounts: &Amounts| {
        amounts.verdict != Verdict::Steady && amounts.growth_per_second >= STILL
    };
    let (before, after, least) = if growing(base) || growing(new) {
        let least = if shorter > 0.0 { STEPS / shorter } else { 0.0 };
        (
            base.growth_per_second.max(0.0),
            new.growth_per_second.max(0.0),
            least,
        )
    } else {
        (base.outstanding as f64, new.outstanding as f64, COUNT)
    };
    let more = |a: f64, b: f64| b > a * FACTOR && b - a >= least;
    if more(before, after) {
        Change::Grew
    } else if more(after, before) {
        Change::Shrank
    } else {
        Change::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(growth_per_second: f64, outstanding: u64) -> Amounts {
        Amounts {
            verdict: Verdict::Leak,
            outstanding,
            growth_per_second,
            ..Amounts::default()
        }
    }

    fn steady(outstanding: u64) -> Amounts {
        Amounts {
            outstanding,
            ..Amounts::default()
        }
    }

    #[test]
    fn the_pace_of_a_leak_counts_and_not_how_long_it_was_watched() {
        assert_eq!(
            between(&leak(5.0, 50), &leak(5.1, 3000), 10.0),
            Change::Same
        );
        assert_eq!(
            between(&leak(5.0, 50), &leak(10.0, 100), 10.0),
            Change::Grew
        );
        assert_eq!(
            between(&leak(10.0, 100), &leak(5.0, 3000), 10.0),
            Change::Shrank
        );
    }

    #[test]
    fn one_event_more_or_less_is_chance() {
        assert_eq!(between(&leak(0.1, 1), &leak(0.2, 2), 10.0), Change::Same);
        assert_eq!(
            between(&leak(0.1, 60), &leak(0.2, 120), 600.0),
            Change::Grew
        );
        assert_eq!(between(&steady(1), &steady(5), 10.0), Change::Same);
    }

    #[test]
    fn a_pool_that_is_larger_grew() {
        assert_eq!(between(&steady(10), &steady(20), 10.0), Change::Grew);
        assert_eq!(between(&steady(100), &steady(110), 10.0), Change::Same);
    }

    #[test]
    fn a_worse_verdict_is_growth() {
        assert_eq!(between(&steady(100), &leak(0.2, 2), 10.0), Change::Grew);
        assert_eq!(between(&leak(0.2, 2), &steady(100), 10.0), Change::Shrank);
    }

    #[test]
    fn a_leak_that_stands_still_is_compared_by_what_it_holds() {
        assert_eq!(between(&leak(0.0, 5), &leak(0.0, 50), 10.0), Change::Grew);
    }
}
