//! A robust slope: the median of the slopes of all pairs of points (Theil and Sen). One
//! outlier in four does not move it.

use crate::model::time::{Nanos, seconds};

/// The slopes per second of all pairs of points, ascending.
pub(crate) struct Slopes(Vec<f64>);

impl Slopes {
    /// Of points in the order of their times; pairs at the same time have none.
    pub(crate) fn of(points: &[(Nanos, f64)]) -> Slopes {
        let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
        for (index, first) in points.iter().enumerate() {
            for second in &points[index + 1..] {
                let apart = seconds(second.0.saturating_sub(first.0));
                if apart > 0.0 {
                    slopes.push((second.1 - first.1) / apart);
                }
            }
        }
        slopes.sort_unstable_by(f64::total_cmp);
        Slopes(slopes)
    }

    /// 0 where there is none.
    pub(crate) fn median(&self) -> f64 {
        self.at(self.0.len() / 2)
    }

    /// Three quarters of the pairs rise at least this fast; 0 where there is none.
    pub(crate) fn lower_quartile(&self) -> f64 {
        self.at(self.0.len() / 4)
    }

    fn at(&self, index: usize) -> f64 {
        self.0.get(index).copied().unwrap_or(0.0)
    }
}

/// The slope of a cumulative count of `times`, in resources a second, each time
/// standing for `weight` resources.
pub(in crate::judge) fn slope_of_times(times: &[Nanos], weight: f64) -> f64 {
    // 64 points make 2016 pairs: enough for a median.
    let step = times.len().div_ceil(64).max(1);
    let points: Vec<(Nanos, f64)> = times
        .iter()
        .enumerate()
        .step_by(step)
        .map(|(index, &time)| (time, index as f64 * weight))
        .collect();
    Slopes::of(&points).median().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_does_not_move_the_slope() {
        let mut points: Vec<(Nanos, f64)> = (0..20)
            .map(|n| (n * crate::judge::SECOND, n as f64 * 2.0))
            .collect();
        points[7].1 = 1000.0;
        assert!((Slopes::of(&points).median() - 2.0).abs() < 1e-9);
        assert_eq!(Slopes::of(&[]).median(), 0.0);
        assert_eq!(Slopes::of(&[(5, 1.0), (5, 2.0)]).median(), 0.0);
    }
}
