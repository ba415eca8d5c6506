//! When what is used will reach its limit, from samples of it: a robust slope, and
//! no forecast where use does not clearly go up.

use crate::{
    judge::{Slopes, ends_level},
    model::time::Nanos,
};

/// Fewer samples than this tell nothing.
pub(super) const LEAST_SAMPLES: usize = 5;

/// Growth of something, and when it hits its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Forecast {
    /// 0 where it does not grow.
    pub(super) growth_per_second: f64,
    /// From the last sample on; `None` where it does not grow.
    pub(super) exhaustion_seconds: Option<f64>,
}

/// Forecasts from samples of what is used, earliest first, for a limit of which `used`
/// is used now.
///
/// The slope is the median of those between all pairs of samples (Theil and Sen). It
/// grows where three quarters of the pairs go up: neither one jump nor a start that
/// then stays flat does that, nor what comes down again. What was level lately does not grow.
pub(super) fn forecast(samples: &[(Nanos, u64)], used: u64, limit: u64) -> Forecast {
    let growth = growth(samples);
    let left = limit.saturating_sub(used) as f64;
    Forecast {
        growth_per_second: growth,
        exhaustion_seconds: (growth > 0.0)
            .then(|| left / growth)
            .filter(|seconds| seconds.is_finite()),
    }
}

/// Whether there are samples enough to say that use does not go up: what is always used
/// is no more in the last quarter than it was in the first.
pub(super) fn does_not_rise(samples: &[(Nanos, u64)]) -> bool {
    let quarter = samples.len() / 4;
    let floor = |part: &[(Nanos, u64)]| part.iter().map(|(_, used)| *used).min();
    samples.len() >= LEAST_SAMPLES
        && floor(&samples[samples.len() - quarter.max(1)..]) <= floor(&samples[..quarter.max(1)])
}

/// Units a second, 0 where it does not grow.
fn growth(samples: &[(Nanos, u64)]) -> f64 {
    if samples.len() < LEAST_SAMPLES {
        return 0.0;
    }
    let points: Vec<(Nanos, f64)> = samples.iter().map(|&(t, used)| (t, used as f64)).collect();
    let slopes = Slopes::of(&points);
    if slopes.lower_quartile() > 0.0 && !ends_level(samples) {
        slopes.median()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn every_second(used: impl IntoIterator<Item = u64>) -> Vec<(Nanos, u64)> {
        let times = (1..).map(|n| n * SECOND);
        times.zip(used).collect()
    }

    #[test]
    fn a_steady_pace_is_forecast_from_where_use_is_now() {
        let samples = every_second((0..10).map(|n| 100 + 5 * n));
        let found = forecast(&samples, 145, 1024);
        assert!((found.growth_per_second - 5.0).abs() < 1e-9);
        assert!((found.exhaustion_seconds.unwrap() - 879.0 / 5.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_used_up_is_used_up_now() {
        let samples = every_second(0..10);
        assert_eq!(forecast(&samples, 20, 10).exhaustion_seconds, Some(0.0));
    }

    #[test]
    fn warming_up_jumps_and_sawteeth_are_no_growth() {
        let warm = every_second([0, 30, 60, 90, 90, 90, 90, 90, 90, 90, 90]);
        let jump = every_second((0..20).map(|n| if n < 10 { 5 } else { 500 }));
        let teeth = every_second((0..40).map(|n| n % 10));
        let falling = every_second((0..10).map(|n| 100 - n));
        let few = every_second([1, 2, 3, 4]);
        for samples in [warm, jump, teeth, falling, few, Vec::new()] {
            assert_eq!(
                forecast(&samples, 9, 1000),
                Forecast::default(),
                "{samples:?}"
            );
        }
    }

    #[test]
    fn a_pool_that_is_full_since_a_third_of_the_time_brings_no_limit_nearer() {
        for (size, sessions) in [(120, 0), (120, 5), (60, 1)] {
            let full = |n: u64| (n * size / 40).min(size) + n * 7 % (sessions + 1);
            let samples = every_second((0..64).map(full));
            assert!(forecast(&samples[..40], size, 1024).growth_per_second > 0.0);
            assert_eq!(forecast(&samples, size, 1024), Forecast::default());
        }
    }

    #[test]
    fn flat_falling_and_swinging_use_does_not_rise_and_a_slow_leak_does() {
        let flat = every_second([7; 8]);
        let falling = every_second((0..10).map(|n| 100 - n));
        let teeth = every_second((0..40).map(|n| n % 10));
        for samples in [flat, falling, teeth] {
            assert!(does_not_rise(&samples), "{samples:?}");
        }
        let slow = every_second((0..40).map(|n| n % 10 + n / 9));
        let few = every_second([7; 4]);
        for samples in [slow, few, Vec::new()] {
            assert!(!does_not_rise(&samples), "{samples:?}");
        }
    }

    #[test]
    fn one_outlier_does_not_move_it() {
        let mut samples = every_second((0..20).map(|n| 3 * n));
        samples[7].1 = 100_000;
        let found = forecast(&samples, 57, 1000).growth_per_second;
        assert!((found - 3.0).abs() < 0.2, "{found}");
    }

    prop_compose! {
        fn samples()(steps in prop::collection::vec((0..20 * SECOND, any::<u64>()), 0..24)) -> Vec<(Nanos, u64)> {
            let mut time: Nanos = 0;
            let at = |(step, used): (Nanos, u64)| { time += step; (time, used) };
            steps.into_iter().map(at).collect()
        }
    }

    proptest! {
        #[test]
        fn it_is_never_negative_nor_no_number(
            samples in samples(), used in any::<u64>(), limit in any::<u64>(),
        ) {
            let found = forecast(&samples, used, limit);
            prop_assert!(found.growth_per_second.is_finite() && found.growth_per_second >= 0.0);
            if let Some(seconds) = found.exhaustion_seconds {
                prop_assert!(seconds.is_finite() && seconds >= 0.0);
                prop_assert!(found.growth_per_second > 0.0);
            }
        }

        #[test]
        fn what_does_not_rise_has_none(start in 0..u64::MAX, mut falls in prop::collection::vec(0..1000_u64, 0..30)) {
            let mut used = start;
            falls.iter_mut().for_each(|fall| { used = used.saturating_sub(*fall); *fall = used; });
            prop_assert_eq!(forecast(&every_second(falls), 1, u64::MAX), Forecast::default());
        }

        #[test]
        fn more_room_lasts_longer_and_a_faster_pace_less_long(
            pace in 1..1000_u64, used in 0..1000_u64, room in 1..100_000_u64, more in 1..1000_u64,
        ) {
            let at = |pace: u64| every_second((0..10).map(|n| n * pace));
            let lasts = |pace, limit| forecast(&at(pace), used, limit).exhaustion_seconds.unwrap();
            prop_assert!(lasts(pace, used + room) < lasts(pace, used + room + more));
            prop_assert!(lasts(pace + more, used + room) < lasts(pace, used + room));
        }
    }
}
