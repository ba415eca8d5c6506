//! What was outstanding at a site over time, in few points.

use super::slope::Slopes;
use crate::model::time::Nanos;

/// Points of a series at most; a full one keeps half of them.
const POINTS: usize = 64;

/// The least and the most that was outstanding since the point before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    time: Nanos,
    least: u64,
    most: u64,
}

/// What a series did since a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::judge) struct Change {
    /// When the point was that is compared with.
    pub(in crate::judge) from: Nanos,
    /// From that point to the last one.
    pub(in crate::judge) time: Nanos,
    /// How much the last point is above it.
    pub(in crate::judge) by: f64,
    /// Twice the usual step from one point to the next: a change of
    /// less than this means nothing.
    pub(in crate::judge) noise: f64,
}

/// At most 64 points in the order of their times.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct Series(Vec<Point>);

/// The least and the most in each quarter of a period, and how far apart they
/// were within one quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judge) struct Minima {
    pub(in crate::judge) least: [u64; 4],
    pub(in crate::judge) most: [u64; 4],
    pub(in crate::judge) noise: u64,
}

impl Minima {
    /// How much more the least is in the last quarter than in the first.
    pub(in crate::judge) fn risen(&self) -> u64 {
        self.least[3].saturating_sub(self.least[0])
    }

    /// Whether the least rises from each quarter to the next, and in the last not far less
    /// than in those before.
    pub(in crate::judge) fn rise(&self) -> bool {
        let steps = [1, 2, 3].map(|n: usize| self.least[n].saturating_sub(self.least[n - 1]));
        steps.iter().all(|&step| step > 0) && steps[2] * 6 >= steps[0] + steps[1]
    }
}

impl Series {
    /// Adds a point; one that does not come after the last is ignored.
    pub(in crate::judge) fn push(&mut self, time: Nanos, count: u64) {
        if self.0.last().is_some_and(|last| last.time >= time) {
            return;
        }
        if self.0.len() >= POINTS {
            // Two become one, at the later time: no minimum is lost.
            let halved = self.0.chunks(2).map(|pair| Point {
                time: pair[pair.len() - 1].time,
                least: pair.iter().map(|point| point.least).min().unwrap_or(0),
                most: pair.iter().map(|point| point.most).max().unwrap_or(0),
            });
            self.0 = halved.collect();
        }
        self.0.push(Point {
            time,
            least: count,
            most: count,
        });
    }

    /// All points: times with the least and the most.
    pub(in crate::judge) fn points(&self) -> Vec<(Nanos, u64, u64)> {
        let points = self.0.iter();
        points.map(|p| (p.time, p.least, p.most)).collect()
    }

    /// The same series again. Points out of order are left out.
    pub(in crate::judge) fn restored(points: &[(Nanos, u64, u64)]) -> Series {
        let mut series = Series::default();
        for &(time, least, most) in points.iter().take(POINTS) {
            if series.0.last().is_none_or(|last| last.time < time) {
                let most = most.max(least);
                series.0.push(Point { time, least, most });
            }
        }
        series
    }

    /// What was outstanding at several sites together, at the times of the one that begins first.
    /// `None` where there is none.
    pub(in crate::judge) fn joined(all: &[&Series]) -> Option<Series> {
        let begins = |series: &&&Series| series.0.first().map_or(Nanos::MAX, |point| point.time);
        let first = all.iter().min_by_key(begins)?;
        let mut before = 0;
        let points = first.0.iter().map(|&Point { time, .. }| {
            let parts = all.iter().map(|series| series.within(before, time));
            let (least, most) = parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
            before = time;
            Point { time, least, most }
        });
        Some(Series(points.collect()))
    }

    /// The least and the most after a time and up to another; what there was before where no
    /// point is in between.
    fn within(&self, after: Nanos, until: Nanos) -> (u64, u64) {
        let known = &self.0[..self.0.partition_point(|point| point.time <= until)];
        let within = &known[known.partition_point(|point| point.time <= after)..];
        let within = if within.is_empty() {
            &known[known.len().saturating_sub(1)..]
        } else {
            within
        };
        let least = within.iter().map(|point| point.least).min();
        let most = within.iter().map(|point| point.most).max();
        (least.unwrap_or(0), most.unwrap_or(0))
    }

    /// What was outstanding at a time; `None` where no point is as early.
    pub(in crate::judge) fn level_at(&self, time: Nanos) -> Option<u64> {
        let until = self.0.partition_point(|point| point.time <= time);
        Some(self.0[..until].last()?.most)
    }

    /// The least that was outstanding between two times; `None` where no point tells.
    pub(in crate::judge) fn least_between(&self, start: Nanos, end: Nanos) -> Option<u64> {
        let known = &self.0[..self.0.partition_point(|point| point.time <= end)];
        let after = known.partition_point(|point| point.time <= start);
        // The first point after it may speak of the time before, too.
        let later = known.get(after + 1..)?;
        later.iter().map(|point| point.least).min()
    }

    /// What was outstanding, at the times that are kept.
    pub(in crate::judge) fn history(&self) -> Vec<(Nanos, u64)> {
        self.0
            .iter()
            .map(|point| (point.time, point.most))
            .collect()
    }

    /// The change since the last point before `start`, or the first one, up to the last
    /// point that is not after `end`. `None` where there are not two.
    pub(in crate::judge) fn change(&self, start: Nanos, end: Nanos) -> Option<Change> {
        let known = &self.0[..self.0.partition_point(|point| point.time <= end)];
        let after = known.partition_point(|point| point.time <= start);
        let points = &known[after.saturating_sub(1)..];
        let (first, last) = (points.first()?, points.last()?);
        let steps = points.windows(2);
        let mut steps: Vec<u64> = steps
            .map(|pair| pair[0].most.abs_diff(pair[1].most))
            .collect();
        steps.sort_unstable();
        Some(Change {
            from: first.time,
            time: last.time.saturating_sub(first.time),
            by: last.most as f64 - first.most as f64,
            noise: 2.0 * *steps.get(steps.len() / 2)? as f64,
        })
    }

    /// What was outstanding at the points from a time to another.
    pub(in crate::judge) fn between(&self, start: Nanos, end: Nanos) -> Vec<(Nanos, u64)> {
        let points = self.0.iter();
        points
            .filter(|point| (start..=end).contains(&point.time))
            .map(|point| (point.time, point.most))
            .collect()
    }

    /// `None` where a quarter has no point.
    pub(in crate::judge) fn minima(&self, start: Nanos, end: Nanos) -> Option<Minima> {
        let span = u128::from(end.checked_sub(start)?).max(1);
        let mut found: [Option<(u64, u64)>; 4] = [None; 4];
        for point in &self.0 {
            if (start..=end).contains(&point.time) {
                let index = (u128::from(point.time - start) * 4 / span) as usize;
                let (least, most) = found[index.min(3)].get_or_insert((point.least, point.most));
                *least = point.least.min(*least);
                *most = point.most.max(*most);
            }
        }
        let mut minima = Minima {
            least: [0; 4],
            most: [0; 4],
            noise: 0,
        };
        for (index, found) in found.into_iter().enumerate() {
            let (least, most) = found?;
            minima.least[index] = least;
            minima.most[index] = most;
            minima.noise = minima.noise.max(most - least);
        }
        Some(minima)
    }

    /// Robust slope in resources a second, if there are enough points for one.
    pub(in crate::judge) fn slope(&self, start: Nanos, end: Nanos) -> Option<f64> {
        let points: Vec<(Nanos, f64)> = self
            .0
            .iter()
            .filter(|point| (start..=end).contains(&point.time))
            .map(|point| (point.time, point.least as f64))
            .collect();
        let (first, last) = (points.first()?, points.last()?);
        let covers = (last.0 - first.0).saturating_mul(2) >= end.saturating_sub(start);
        (points.len() >= 5 && covers).then(|| Slopes::of(&points).median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_series_keeps_its_minima() {
        let mut series = Series::default();
        for time in 1..=1000 {
            series.push(time, if time == 500 { 1 } else { 10 });
        }
        assert!(series.0.len() <= POINTS);
        assert_eq!(series.0.iter().map(|point| point.least).min(), Some(1));
        assert_eq!(series.0.last().map(|point| point.time), Some(1000));
    }

    #[test]
    fn a_change_is_told_from_what_goes_up_and_down() {
        let mut series = Series::default();
        for time in 0..20 {
            series.push(time + 1, 100 + time % 2 * 10);
        }
        let change = series
            .change(5, Nanos::MAX)
            .unwrap_or_else(|| panic!("there are points"));
        assert_eq!((change.time, change.noise), (15, 20.0));
        assert!(change.by.abs() <= 10.0);
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let mut series = Series::default();
        series.push(10, 1);
        series.push(5, 2);
        series.push(10, 3);
        assert_eq!(series.0.len(), 1);
        assert_eq!(series.minima(10, 5), None);
        assert_eq!(series.change(0, Nanos::MAX), None);
    }
}
