//! How much growth it takes to call it a leak: much in a short time, little in a long
//! one. A pool that fills looks like a leak until it is full; these numbers are what
//! pools, caches and start-ups do not reach in such a time, found on the corpus.

use std::fmt;

/// What the time before the growth says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judge) enum Past {
    /// The process began less than a minute before it: it may still be starting up.
    Young,
    /// The process has run for longer than that.
    Settled,
    /// The process held as many from before as this pace makes in its life.
    Persistent,
}

/// Points of (seconds of growth, resources needed from then on). Between two points the
/// number falls evenly on a logarithmic scale; after the last it stays.
type Curve = &'static [(f64, f64)];

const YOUNG: Curve = &[
    (11.0, 75.0),
    (20.0, 75.0),
    (26.0, 48.0),
    (40.0, 16.0),
    (50.0, 8.0),
    (120.0, 6.0),
    (600.0, 5.0),
];

const SETTLED: Curve = &[
    (5.0, 48.0),
    (11.0, 32.0),
    (26.0, 16.0),
    (40.0, 8.0),
    (120.0, 6.0),
    (600.0, 5.0),
];

const PERSISTENT: Curve = &[(4.0, 12.0), (10.0, 8.0), (26.0, 6.0), (600.0, 5.0)];

impl Past {
    fn curve(self) -> Curve {
        match self {
            Past::Young => YOUNG,
            Past::Settled => SETTLED,
            Past::Persistent => PERSISTENT,
        }
    }
}

/// Resources that have to have grown in `seconds`; `None`: no number is enough.
pub(in crate::judge) fn needed(seconds: f64, past: Past) -> Option<f64> {
    let curve = past.curve();
    let after = curve.partition_point(|&(time, _)| time <= seconds);
    let &(from, more) = curve.get(after.checked_sub(1)?)?;
    let Some(&(to, less)) = curve.get(after) else {
        return Some(more);
    };
    let way = (seconds - from) / (to - from);
    Some(more * (less / more).powf(way))
}

/// The growth of `number` in `seconds`, as a share of what it takes for a leak: 1 or more is
/// enough. In so short a time that no number is enough, it is the time that is missing most:
/// the share is then the share of the shortest time that is enough.
pub(in crate::judge) fn share(seconds: f64, number: f64, past: Past, factor: f64) -> f64 {
    let needed = |seconds| needed(seconds, past).map(|needed| needed * factor);
    if let Some(needed) = needed(seconds) {
        return number / needed;
    }
    let (first, _) = past.curve()[0];
    let enough = needed(first).map_or(0.0, |needed| number / needed);
    (seconds / first).clamp(0.0, 0.99) * enough.min(1.0)
}

/// What growth waits for until it is a leak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::judge) struct Wait {
    /// More seconds of it.
    seconds: f64,
    /// More resources.
    resources: f64,
}

/// How much longer growth of `rate` resources a second would have to go on, of which there
/// have been `number` in `seconds`. `None` where it would take more than ten days.
pub(in crate::judge) fn wait(
    seconds: f64,
    number: f64,
    rate: f64,
    factor: f64,
    past: Past,
) -> Option<Wait> {
    let mut time = seconds.max(1.0);
    // Each step adds a twentieth: 280 of them reach ten days.
    for _ in 0..280 {
        let grown = number + rate * (time - seconds).max(0.0);
        if needed(time, past).is_some_and(|needed| grown >= needed * factor) {
            return Some(Wait {
                seconds: (time - seconds).max(1.0),
                resources: (grown - number).max(1.0),
            });
        }
        time *= 1.05;
    }
    None
}

impl Wait {
    /// More seconds of it.
    pub(in crate::judge) fn seconds(self) -> f64 {
        self.seconds
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a leak if it goes on like this for {:.0} s more, {:.0} resources; steady if it stops",
            self.seconds.ceil(),
            self.resources.ceil()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_falls_with_time_and_no_number_is_enough_at_once() {
        for past in [Past::Young, Past::Settled, Past::Persistent] {
            assert_eq!(needed(3.0, past), None);
            let mut last = f64::INFINITY;
            for second in 11..2000 {
                let now = needed(f64::from(second), past).unwrap_or(f64::NAN);
                assert!(now <= last && now >= 5.0, "{past:?} {second} {now}");
                last = now;
            }
        }
        assert_eq!(needed(f64::NAN, Past::Young), None);
    }

    #[test]
    fn the_nearer_to_enough_the_larger_the_share() {
        for past in [Past::Young, Past::Settled, Past::Persistent] {
            let (first, enough) = past.curve()[0];
            let mut last = 0.0;
            for step in 1..20 {
                let seconds = first * f64::from(step) / 20.0;
                let now = share(seconds, enough, past, 1.0);
                assert!(now > last && now < 1.0, "{past:?} {seconds} {now}");
                assert!(share(seconds, enough / 2.0, past, 1.0) < now);
                last = now;
            }
            assert_eq!(share(first, enough, past, 1.0), 1.0);
            assert_eq!(share(first, enough * 3.0, past, 1.5), 2.0);
            assert_eq!(share(f64::NAN, 1.0, past, 1.0).max(0.0), 0.0);
        }
    }

    #[test]
    fn one_waits_for_what_is_needed() {
        let wait = wait(17.0, 17.0, 1.0, 1.0, Past::Young).map(|wait| wait.to_string());
        assert!(wait.is_some_and(|text| text.starts_with("a leak if it goes on like this for ")));
        assert_eq!(super::wait(5.0, 1.0, 0.0, 1.0, Past::Young), None);
    }
}
