//! Whether what is held still goes up at a pace, or has become level.
//!
//! A site whose old resources came at a pace may be full since: the young ones beside them, which
//! come and go, hide that. What is held shows it.

use crate::model::time::{Nanos, seconds};

/// Points that show nothing, if there are fewer.
const LEAST_POINTS: usize = 4;

/// It is level where it goes up by less than this share of what the pace would make.
const SHARE: f64 = 0.4;

/// Whether the last part of a history is level: it goes up by far less than `pace`, in resources
/// a second, would make in that time. What the number goes up and down, and what chance makes of
/// a few, counts as growth: a slow leak beside a large pool does not show in what is held. `points`
/// are times with what was held then, in the order of the times. Few points show nothing.
pub(in crate::judge) fn is_level(points: &[(Nanos, u64)], pace: f64) -> bool {
    let (Some(&(start, first)), Some(&(end, last))) = (points.first(), points.last()) else {
        return false;
    };
    let expected = pace * seconds(end.saturating_sub(start));
    let by = last as f64 - first as f64;
    let (earlier, later) = points.split_at(points.len() / 2);
    let noise = spread(earlier).max(spread(later)) as f64;
    points.len() >= LEAST_POINTS && by + noise + expected.sqrt() < SHARE * expected
}

/// Whether what was held became level at the end of its time, beside its pace in all of it: in the
/// last third, or as long as it takes to see two of the pauses between one rise and the next. A
/// rise is a twentieth of the whole, and the longest pause is left out: what ends it may be a few
/// more by chance.
pub(crate) fn ends_level(points: &[(Nanos, u64)]) -> bool {
    let (Some(&(start, first)), Some(&(end, last))) = (points.first(), points.last()) else {
        return false;
    };
    let pace = (last as f64 - first as f64) / seconds(end.saturating_sub(start)).max(1e-3);
    let step = (last.saturating_sub(first) / 20).max(1);
    let mut most = first;
    let (mut rise, mut pauses) = (start, Vec::new());
    for &(time, held) in points {
        if held >= most.saturating_add(step) {
            pauses.push(time.saturating_sub(rise));
            (rise, most) = (time, held);
        }
    }
    pauses.sort_unstable();
    let pause = pauses.iter().rev().nth(1).copied().unwrap_or(0);
    let from = end.saturating_sub(stretch(start, end, pause));
    is_level(
        &points[points.partition_point(|&(time, _)| time < from)..],
        pace,
    )
}

/// How much of the time from `start` to `end` it takes to see whether something goes on that makes
/// such pauses.
pub(in crate::judge) fn stretch(start: Nanos, end: Nanos, pause: Nanos) -> Nanos {
    let whole = end.saturating_sub(start);
    (whole / 3).max(pause.saturating_mul(2)).min(whole)
}

/// How far apart the least and the most are.
fn spread(points: &[(Nanos, u64)]) -> u64 {
    let held = points.iter().map(|&(_, held)| held);
    let most = held.clone().max().unwrap_or(0);
    most - held.min().unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::SECOND;

    fn every_second(held: impl IntoIterator<Item = u64>) -> Vec<(Nanos, u64)> {
        let times = (1..).map(|n| n * SECOND);
        times.zip(held).collect()
    }

    #[test]
    fn what_stays_is_level_at_any_pace_that_would_show() {
        let flat = every_second([140; 20]);
        assert!(is_level(&flat, 4.0) && is_level(&flat, 1.0));
        // Three in this time may be late by chance.
        assert!(!is_level(&flat, 3.0 / 19.0));
        assert!(is_level(&every_second((0..20).map(|n| 140 - n)), 1.0));
    }

    #[test]
    fn what_goes_up_at_its_pace_or_half_of_it_is_not() {
        let rises = every_second((0..20).map(|n| 100 + 4 * n));
        assert!(!is_level(&rises, 4.0) && !is_level(&rises, 8.0));
        assert!(is_level(&rises, 40.0));
    }

    #[test]
    fn what_goes_up_and_down_hides_a_slow_pace_and_not_a_fast_one() {
        let swings = every_second((0..20).map(|n| 1000 + n * 7 % 10));
        assert!(!is_level(&swings, 1.0));
        assert!(is_level(&swings, 10.0));
    }

    #[test]
    fn the_end_of_a_history_is_level_where_a_fill_is_over_and_steps_do_not_end_it() {
        let full = every_second((0..60).map(|n| 4 * n.min(35)));
        let one_more = every_second((0..60).map(|n| 20 * n.min(35) + n / 57 * 37));
        assert!(ends_level(&one_more));
        assert!(ends_level(&full) && !ends_level(&full[..40]));
        let steps = every_second((0..58).map(|n| n / 15 * 60));
        assert!((31..58).all(|end| !ends_level(&steps[..end])));
        assert!(!ends_level(&[]) && !ends_level(&full[..1]));
    }

    #[test]
    fn few_points_and_no_pace_show_nothing() {
        assert!(!is_level(&[], 4.0));
        assert!(!is_level(&every_second([5; 3]), 40.0));
        assert!(!is_level(&every_second([5; 30]), 0.0));
        assert!(!is_level(&every_second([u64::MAX, 0, u64::MAX, 0]), 1.0));
        assert!(!is_level(&every_second([1; 9]), f64::NAN));
    }
}
