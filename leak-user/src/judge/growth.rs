//! Growth that does not come down: the time observed is cut into four quarters,
//! and either the least that was held rises from each to the next, or what is
//! outstanding was acquired throughout and hardly any was released.
//!
//! What was acquired less than the nursery's age ago is not seen yet, so the
//! quarters of acquisitions end that much earlier.

use super::series::{Minima, slope_of_times};
use super::{Config, Opinion, SECOND, Site, goes_on, list, quarters, seconds};
use crate::event::Nanos;
use crate::ledger::SiteKey;
use crate::report::model::Verdict;

/// Fewer resources than this are not growth.
const LEAST_GROWTH: f64 = 3.0;

/// The same where it is not known who acquires.
const LEAST_GROWTH_UNKNOWN: f64 = 6.0;

/// Of what lived long, the share that is released where something leaks, at most.
const LEAK_RATIO: f64 = 0.2;

/// The same for a suspicion.
const SUSPECT_RATIO: f64 = 0.5;

/// What the rule looks at.
struct Growth {
    /// Outstanding acquisitions in each quarter.
    counts: [u64; 4],
    /// Resources of all quarters, and of all but the first.
    grown: f64,
    later: f64,
    minima: Option<Minima>,
    /// What the minima rose by from the first quarter to the last.
    risen: u64,
    ratio: f64,
    observed: Nanos,
    least: f64,
    /// Acquisition times are real.
    timed: bool,
}

pub(super) fn judge(config: &Config, site: &Site<'_>) -> Opinion {
    let growth = Growth::of(config, site);
    let needed = config.observation();
    let pattern = growth.acquired_throughout() || growth.minima_rise();
    let verdict = if pattern && growth.observed >= needed {
        Verdict::Leak
    } else if (pattern && growth.observed >= SECOND) || growth.looks_odd() {
        Verdict::Suspect
    } else {
        Verdict::Steady
    };
    Opinion {
        verdict,
        grown: growth.grown.max(growth.risen as f64),
        observed: seconds(growth.observed),
        growth_per_second: growth_per_second(site, verdict),
        rule: "growth",
        evidence: growth.evidence(config, site, verdict, pattern),
        waits_for: None,
    }
}

impl Growth {
    fn of(config: &Config, site: &Site<'_>) -> Growth {
        let lag = config.lag();
        let end = site.now.saturating_sub(lag);
        let times = site.detail.map_or(&[][..], |detail| &detail.times);
        let counts = quarters(times.iter().copied(), site.start, end);
        let weight = weight(site);
        let minima = site
            .series
            .and_then(|series| series.minima(site.start.saturating_add(lag), site.now));
        let known = matches!(site.key, SiteKey::Site(_));
        Growth {
            counts,
            grown: counts.iter().sum::<u64>() as f64 * weight,
            later: counts[1..].iter().sum::<u64>() as f64 * weight,
            minima,
            risen: minima.map_or(0, |m| m.least[3].saturating_sub(m.least[0])),
            ratio: site.record.release_ratio(),
            observed: end.saturating_sub(site.start),
            least: if known {
                LEAST_GROWTH
            } else {
                LEAST_GROWTH_UNKNOWN
            },
            timed: site.record.adopted == 0,
        }
    }

    fn filled(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// Whether what is outstanding was acquired in all quarters, or in many
    /// acquisitions in all but one, and goes on being.
    fn acquired_throughout(&self) -> bool {
        let spread = self.filled() == 4 || (self.filled() == 3 && self.grown >= 5.0);
        let came_down = self.minima.is_some() && self.risen == 0;
        self.timed
            && spread
            && goes_on(self.counts)
            && self.later >= self.least
            && self.ratio < LEAK_RATIO
            && !came_down
    }

    /// Whether the least held rose from each quarter to the next, by more than
    /// what it goes up and down anyhow, and the most held with it: where turnover
    /// evens out, only the least rises.
    fn minima_rise(&self) -> bool {
        let Some(Minima { least, most, noise }) = self.minima else {
            return false;
        };
        let rises = least.is_sorted_by(|a, b| a < b);
        rises
            && self.risen as f64 >= self.least
            && self.risen.saturating_mul(2) >= noise
            && most[3].saturating_sub(most[0]).saturating_mul(2) >= self.risen
            && goes_on([
                0,
                least[1].saturating_sub(least[0]),
                least[2].saturating_sub(least[1]),
                least[3].saturating_sub(least[2]),
            ])
    }

    /// Whether there is growth, but not as a leak's.
    fn looks_odd(&self) -> bool {
        let acquired = self.timed
            && self.filled() >= 2
            && self.counts[3] > 0
            && self.later >= LEAST_GROWTH
            && self.ratio < SUSPECT_RATIO
            && self.observed >= 2 * SECOND;
        let rose = self.minima.is_some_and(|minima| {
            minima.least.is_sorted()
                && self.risen as f64 >= LEAST_GROWTH
                && minima.least[3] > minima.least[2]
                && self.risen >= minima.noise
        });
        acquired || rose
    }

    fn evidence(
        &self,
        config: &Config,
        site: &Site<'_>,
        verdict: Verdict,
        pattern: bool,
    ) -> Vec<String> {
        let mut evidence = vec![self.balance(site)];
        if let Some(minima) = self.minima {
            let least = list(&minima.least);
            evidence.push(if minima.least.is_sorted_by(|a, b| a < b) {
                format!("the minimum held rose in each quarter of the window: {least}")
            } else {
                format!("the minimum held in each quarter of the window: {least}")
            });
        }
        if self.timed && self.grown > 0.0 {
            evidence.push(self.spread());
        }
        match verdict {
            Verdict::Leak => {}
            Verdict::Suspect if pattern => evidence.push(format!(
                "observed for {:.1} s: a verdict needs {:.1} s",
                seconds(self.observed),
                seconds(config.observation())
            )),
            Verdict::Suspect => evidence.push(
                "it grows, but not evenly over the time observed: a longer trace will tell"
                    .to_owned(),
            ),
            Verdict::Steady if self.observed < SECOND => {
                evidence.push(format!("observed for {:.1} s only", seconds(self.observed)))
            }
            Verdict::Steady => {}
        }
        evidence
    }

    fn balance(&self, site: &Site<'_>) -> String {
        let record = site.record;
        let (old, gone) = (record.outstanding, record.old_released);
        if record.adopted > 0 {
            return format!("{old} held, {} of them found in /proc only", record.adopted);
        }
        let all = old + gone;
        let over = seconds(site.now.saturating_sub(site.start));
        match gone {
            0 => format!("{all} acquired over {over:.1} s and none released"),
            _ => {
                format!("{all} that outlived the nursery over {over:.1} s, {gone} of them released")
            }
        }
    }

    fn spread(&self) -> String {
        let counts = list(&self.counts);
        match self.filled() {
            1 if self.counts[0] > 0 => format!(
                "all outstanding were acquired in the first {:.1} s, none since",
                seconds(self.observed / 4)
            ),
            _ => format!("outstanding by the quarter they were acquired in: {counts}"),
        }
    }
}

/// How many resources each acquisition time stands for.
fn weight(site: &Site<'_>) -> f64 {
    match site.detail {
        Some(detail) if !detail.times.is_empty() => {
            let timed = detail.count.saturating_sub(site.record.adopted);
            (timed as f64 / detail.times.len() as f64).max(1.0)
        }
        _ => 1.0,
    }
}

fn growth_per_second(site: &Site<'_>, verdict: Verdict) -> f64 {
    let slope = site
        .series
        .and_then(|series| series.slope(site.start, site.now));
    match (slope, verdict) {
        (Some(slope), _) if slope > 0.0 => slope,
        (_, Verdict::Steady) => 0.0,
        (_, Verdict::Leak | Verdict::Suspect) => site.detail.map_or(0.0, |detail| {
            let first = detail.times.partition_point(|&time| time < site.start);
            slope_of_times(&detail.times[first..], weight(site))
        }),
    }
}
