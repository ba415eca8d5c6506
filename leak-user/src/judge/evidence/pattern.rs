//! How acquisitions lie in time: throughout, slowing down, or over.

use crate::judge::SECOND;
use crate::model::time::{Nanos, seconds};

/// The acquisitions of what is still held, in a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::judge) struct Pattern {
    /// By the quarter of the period, before weighting.
    pub(in crate::judge) counts: [u64; 4],
    /// Resources.
    pub(in crate::judge) number: f64,
    pub(in crate::judge) start: Nanos,
    pub(in crate::judge) end: Nanos,
    /// Time since the last one.
    silence: Nanos,
    /// The longest time between two.
    pub(in crate::judge) longest_gap: Nanos,
}

impl Pattern {
    /// Of those `times` (ascending) that lie from `start` to `end`, each of which stands
    /// for `weight` resources.
    pub(in crate::judge) fn of(times: &[Nanos], weight: f64, start: Nanos, end: Nanos) -> Pattern {
        let first = times.partition_point(|&time| time < start);
        let last = times.partition_point(|&time| time <= end).max(first);
        let times = &times[first..last];
        let counts = quarters(times.iter().copied(), start, end);
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        Pattern {
            counts,
            number: times.len() as f64 * weight,
            start,
            end,
            silence: end.saturating_sub(times.last().copied().unwrap_or(start)),
            longest_gap: gaps.max().unwrap_or(0),
        }
    }

    pub(in crate::judge) fn span(&self) -> Nanos {
        self.end.saturating_sub(self.start)
    }

    /// Resources a second.
    pub(in crate::judge) fn rate(&self) -> f64 {
        match self.span() {
            0 => 0.0,
            span => self.number / seconds(span),
        }
    }

    /// Quarters in which something was acquired.
    pub(in crate::judge) fn filled(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// Whether it was acquired in all quarters, or in many acquisitions in all but one.
    pub(in crate::judge) fn throughout(&self) -> bool {
        self.filled() == 4 || (self.filled() == 3 && self.number >= 5.0)
    }

    /// Whether nothing came for longer than its pace explains. Where more than four are
    /// missing, chance explains it in one of fifty cases only, unless they come in bursts:
    /// then it has to be longer than the longest pause before. A silence of less than a tenth
    /// of the time (or of 1.5 s) may be a stall of the program.
    pub(in crate::judge) fn stopped(&self) -> bool {
        let missing = self.rate() * seconds(self.silence);
        let long = self.silence >= (self.span() / 10).max(3 * SECOND / 2);
        long && missing > 4.0
            && self.silence > self.longest_gap.saturating_add(self.longest_gap / 2)
    }

    /// Whether far less was acquired in the second half than in the first (more than chance
    /// explains), or far less in the last quarter than in those before: a pool that fills
    /// slows down.
    pub(in crate::judge) fn slows(&self) -> bool {
        let [first, second, third, fourth] = self.counts.map(|count| count as f64);
        let (before, after) = (first + second, third + fourth);
        let halves = after < 0.6 * before - before.sqrt();
        let end = fourth * 6.0 < second + third;
        halves || end
    }

    /// Whether it goes on as a leak does.
    pub(in crate::judge) fn goes_on(&self) -> bool {
        self.throughout() && !self.stopped() && !self.slows()
    }

    /// Whether something is growing, though perhaps not as a leak does.
    pub(in crate::judge) fn grows(&self) -> bool {
        self.number >= 3.0
            && self.filled() >= 2
            && self.counts[3] > 0
            && !self.stopped()
            && self.span() >= SECOND
    }
}

/// How many of `times` are in each quarter from `start` to `end`, both inclusive.
pub(in crate::judge) fn quarters(
    times: impl IntoIterator<Item = Nanos>,
    start: Nanos,
    end: Nanos,
) -> [u64; 4] {
    let mut counts = [0; 4];
    let span = u128::from(end.saturating_sub(start)).max(1);
    for time in times {
        if (start..=end).contains(&time) {
            let index = u128::from(time - start) * 4 / span;
            counts[(index as usize).min(3)] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = f64>, end: f64) -> Pattern {
        let nanos = |time: f64| (time * SECOND as f64) as Nanos;
        let times: Vec<Nanos> = times.into_iter().map(nanos).collect();
        Pattern::of(&times, 1.0, 0, nanos(end))
    }

    #[test]
    fn an_even_pace_goes_on() {
        for every in [0.1, 0.5, 2.0, 4.0] {
            let pattern = of((0..200).map(|n| f64::from(n) * every), 20.0);
            assert!(pattern.goes_on(), "{every} {pattern:?}");
        }
    }

    #[test]
    fn bursts_that_recur_go_on() {
        let times = (0..4)
            .flat_map(|burst| (0..10).map(move |n| f64::from(burst) * 5.0 + f64::from(n) * 0.01));
        assert!(of(times, 17.0).goes_on());
    }

    #[test]
    fn what_ends_before_the_period_does_has_stopped() {
        let pattern = of((0..90).map(|n| f64::from(n) * 0.166), 18.7);
        assert!(pattern.stopped() && !pattern.goes_on() && !pattern.grows());
    }

    #[test]
    fn what_comes_ever_more_slowly_slows() {
        // A pool that fills with a time constant of half the period.
        let times = (1..100).map(|n| -10.0 * (1.0 - f64::from(n) / 100.0_f64).ln());
        assert!(of(times, 20.0).slows());
    }

    #[test]
    fn a_burst_alone_neither_goes_on_nor_grows() {
        let pattern = of((0..50).map(|n| f64::from(n) * 0.01), 20.0);
        assert!(!pattern.goes_on() && !pattern.grows());
    }

    #[test]
    fn nothing_in_no_time_has_no_rate() {
        let pattern = Pattern::of(&[], 1.0, 5, 5);
        assert_eq!(pattern.rate(), 0.0);
        assert!(!pattern.goes_on() && !pattern.grows());
        assert_eq!(Pattern::of(&[7], 1.0, 9, 3).number, 0.0);
    }
}
