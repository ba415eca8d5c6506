//! Growth that does not come down. Of what a site holds, those count that are older than
//! what it releases ever gets; if they were acquired throughout a period that reaches
//! to now, the process as a whole holds more for it, and there are many of them for
//! that time, it is a leak.
//!
//! The period is the whole time observed, or a later part of it where something else
//! happened first. What was acquired less than the nursery's age ago is not seen yet, so
//! periods end that much earlier.

use crate::judge::needed::{Past, needed, share, wait};
use crate::judge::pattern::Pattern;
use crate::judge::series::{Minima, Series};
use crate::judge::slope::slope_of_times;
use crate::judge::{Config, Opinion, SECOND, Waits, list};
use crate::ledger::Lifetimes;
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Of those that reached the age from which on they count, the share that was released
/// after all, at most.
const RELEASED_AFTER_ALL: f64 = 0.1;

/// A process is settled when it has run for so long.
const SETTLED: Nanos = 60 * SECOND;

/// Parts of the time observed that are tried: the whole, and these shares of its end.
/// The small ones need more (see [`factor`]).
const PARTS: [f64; 9] = [
    1.0,
    0.75,
    0.5,
    0.25,
    0.125,
    0.031_25,
    0.007_812_5,
    0.001_953_125,
    0.000_488_281_25,
];

/// What the rule looks at: of one site, or of several that belong together.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Evidence<'a> {
    /// When what is outstanding was acquired, ascending; each time stands for `weight`.
    pub(in crate::judge) times: &'a [Nanos],
    pub(in crate::judge) weight: f64,
    pub(in crate::judge) lifetimes: Lifetimes,
    pub(in crate::judge) outstanding: u64,
    pub(in crate::judge) old_released: u64,
    /// Found in `/proc` only: their times are not known.
    pub(in crate::judge) adopted: u64,
    /// The first acquisition, or the window's start if that is later.
    pub(in crate::judge) start: Nanos,
    pub(in crate::judge) now: Nanos,
    /// How many times the usual growth it takes.
    pub(in crate::judge) factor: f64,
    /// What was outstanding here, and what the process held of the kind, over time.
    pub(in crate::judge) series: Option<&'a Series>,
    pub(in crate::judge) totals: Option<&'a Series>,
    /// When the process began, and what it holds of the kind from before the trace.
    pub(in crate::judge) born: Nanos,
    pub(in crate::judge) preexisting: u64,
    pub(in crate::judge) window_start: Nanos,
}

/// One period, judged.
struct Trial {
    pattern: Pattern,
    past: Past,
    verdict: Verdict,
    /// Of what is needed, the share there is; more than 1 for a leak.
    strength: f64,
    factor: f64,
    /// The process as a whole holds more.
    net: bool,
}

pub(in crate::judge) fn judge(config: &Config, evidence: &Evidence<'_>) -> Opinion {
    let untimed = evidence.adopted * 2 > evidence.outstanding;
    if untimed {
        return by_minima(config, evidence);
    }
    let Some(age) = evidence.counting_age(config) else {
        return evidence.turnover();
    };
    let end = evidence.now.saturating_sub(age);
    let best = PARTS
        .iter()
        .filter_map(|&part| evidence.trial(config, end, part))
        // The whole time speaks, unless a part says worse.
        .reduce(|best, trial| match trial.verdict < best.verdict {
            true => trial,
            false => best,
        });
    match best {
        Some(trial) => trial.opinion(evidence, age),
        None => evidence.too_soon(),
    }
}

impl Evidence<'_> {
    /// The age from which on resources count: few of those that reached it were
    /// released. `None` where too many are, at any age.
    fn counting_age(&self, config: &Config) -> Option<Nanos> {
        let lag = config.lag();
        if self.lifetimes.released_after(0) == 0 {
            return Some(lag);
        }
        let older = |age: Nanos| {
            let until = self.now.saturating_sub(age);
            self.times.partition_point(|&time| time <= until) as f64 * self.weight
        };
        // Twice the age: they had the time to be released.
        Lifetimes::ages()
            .map(|age| (age, age.saturating_mul(2)))
            .skip_while(|&(_, twice)| twice < lag)
            .find(|&(age, twice)| {
                let held = older(twice);
                let released = self.lifetimes.released_after(age) as f64;
                held > 0.0 && released <= RELEASED_AFTER_ALL * (held + released)
            })
            .map(|(_, twice)| twice)
    }

    fn trial(&self, config: &Config, end: Nanos, part: f64) -> Option<Trial> {
        let whole = end.checked_sub(self.start)?;
        let span = (whole as f64 * part) as Nanos;
        let shortest = if part < 1.0 { 5 * SECOND } else { 0 };
        if span < shortest {
            return None;
        }
        let pattern = Pattern::of(self.times, self.weight, end - span, end);
        let past = self.past(&pattern);
        let factor = factor(part) * self.factor;
        let net = self.net(config, &pattern);
        let strength = share(seconds(span), pattern.number, past, factor);
        let long_enough = part >= 1.0 || needed(seconds(span), past).is_some();
        let verdict = if !net {
            Verdict::Steady
        } else if pattern.goes_on() && strength >= 1.0 {
            Verdict::Leak
        } else if pattern.grows() && long_enough && (part >= 1.0 || strength >= 0.5) {
            Verdict::Suspect
        } else {
            Verdict::Steady
        };
        Some(Trial {
            pattern,
            past,
            verdict,
            strength,
            factor,
            net,
        })
    }

    fn past(&self, pattern: &Pattern) -> Past {
        let before = self.window_start.saturating_sub(self.born);
        let pace = pattern.rate() * seconds(before);
        let held = self.preexisting as f64;
        if before >= SETTLED && held >= 50.0 && held >= 0.5 * pace {
            Past::Persistent
        } else if pattern.start.saturating_sub(self.born) >= SETTLED {
            Past::Settled
        } else {
            Past::Young
        }
    }

    /// Whether the process holds more of the kind for it: not where as many are
    /// released elsewhere, as those from before the trace. What it goes up and down
    /// anyhow is no reason for either.
    fn net(&self, config: &Config, pattern: &Pattern) -> bool {
        let from = pattern.start.saturating_add(config.lag());
        let Some(change) = self.totals.and_then(|totals| totals.change(from)) else {
            return true;
        };
        let expected = pattern.rate() * seconds(change.time);
        change.by + change.noise >= 0.5 * expected
    }

    fn turnover(&self) -> Opinion {
        let mut evidence = vec![self.balance()];
        evidence.push("they are released at every age they reach".to_owned());
        self.steady(evidence)
    }

    fn too_soon(&self) -> Opinion {
        let mut opinion = self.steady(vec![self.balance()]);
        opinion
            .evidence
            .push("acquired too lately to tell".to_owned());
        opinion
    }

    fn steady(&self, evidence: Vec<String>) -> Opinion {
        Opinion {
            verdict: Verdict::Steady,
            rule: "growth",
            strength: 0.0,
            observed: seconds(self.now.saturating_sub(self.start)),
            growth_per_second: 0.0,
            evidence,
            waits_for: None,
        }
    }

    fn balance(&self) -> String {
        let (old, gone) = (self.outstanding, self.old_released);
        if self.adopted > 0 {
            return format!("{old} held, {} of them found in /proc only", self.adopted);
        }
        let all = old + gone;
        let over = seconds(self.now.saturating_sub(self.start));
        match gone {
            0 => format!("{all} acquired over {over:.1} s and none released"),
            _ => {
                format!("{all} that outlived the nursery over {over:.1} s, {gone} of them released")
            }
        }
    }

    /// Resources a second: the slope of what is held, else of the acquisitions.
    fn pace(&self, pattern: &Pattern) -> f64 {
        let slope = self
            .series
            .and_then(|series| series.slope(pattern.start, self.now));
        match slope {
            Some(slope) if slope > 0.0 => slope,
            _ => {
                let first = self.times.partition_point(|&time| time < pattern.start);
                slope_of_times(&self.times[first..], self.weight)
            }
        }
    }
}

impl Trial {
    fn opinion(&self, of: &Evidence<'_>, age: Nanos) -> Opinion {
        let mut opinion = of.steady(vec![of.balance()]);
        opinion.verdict = self.verdict;
        opinion.strength = self.strength;
        opinion.observed = seconds(self.pattern.span());
        if self.verdict != Verdict::Steady {
            opinion.growth_per_second = of.pace(&self.pattern);
        }
        if of.old_released > 0 && self.verdict != Verdict::Steady {
            opinion.evidence.push(self.released_sooner(of, age));
        }
        opinion.evidence.push(self.spread());
        if self.past == Past::Persistent && self.verdict != Verdict::Steady {
            opinion.evidence.push(format!(
                "{} were there before the trace: as many as this pace makes since the process began",
                of.preexisting
            ));
        }
        if !self.net && self.pattern.grows() {
            opinion.evidence.push(
                "as many were released elsewhere in the process: it holds no more than before"
                    .to_owned(),
            );
        }
        if self.verdict == Verdict::Suspect {
            opinion.waits_for = Some(self.waits_for());
        }
        opinion
    }

    fn released_sooner(&self, of: &Evidence<'_>, age: Nanos) -> String {
        let most = of.lifetimes.most_ended_by().map_or(0.0, seconds);
        format!(
            "what it releases is released within {most:.1} s; {:.0} have been held for longer than {:.1} s",
            self.pattern.number,
            seconds(age)
        )
    }

    fn spread(&self) -> String {
        let Pattern { counts, .. } = self.pattern;
        let span = seconds(self.pattern.span());
        match self.pattern.filled() {
            0 => "none was acquired lately".to_owned(),
            1 if counts[0] > 0 => format!(
                "all outstanding were acquired in the first {:.1} s, none since",
                span / 4.0
            ),
            _ => format!(
                "outstanding by the quarter of {span:.1} s they were acquired in: {}",
                list(&counts)
            ),
        }
    }

    fn waits_for(&self) -> String {
        let span = seconds(self.pattern.span());
        if !self.pattern.goes_on() {
            return format!(
                "whether it goes on evenly: it came in fits or slowed down in these {span:.1} s"
            );
        }
        let rate = self.pattern.rate();
        match wait(span, self.pattern.number, rate, self.factor, self.past) {
            Some(wait) => wait.to_string(),
            None => Waits::LONGER.to_owned(),
        }
    }
}

/// How much more growth a small part of the time observed has to show: the more parts
/// there are, the likelier one of them looks like a leak by chance.
fn factor(part: f64) -> f64 {
    match part {
        part if part >= 0.5 => 1.0,
        part if part >= 0.125 => 1.5,
        _ => 3.0,
    }
}

/// Where times are not known: the least held rises from each quarter to the next, by
/// more than what it goes up and down anyhow, and the most held with it (where
/// turnover evens out, only the least rises).
fn by_minima(config: &Config, of: &Evidence<'_>) -> Opinion {
    let from = of.start.saturating_add(config.lag());
    let mut opinion = of.steady(vec![of.balance()]);
    let minima = of.series.and_then(|series| series.minima(from, of.now));
    let Some(Minima { least, most, noise }) = minima else {
        return opinion;
    };
    let risen = least[3].saturating_sub(least[0]);
    let steps = [1, 2, 3].map(|n: usize| least[n].saturating_sub(least[n - 1]));
    let rises = steps.iter().all(|&step| step > 0)
        && risen.saturating_mul(2) >= noise
        && most[3].saturating_sub(most[0]).saturating_mul(2) >= risen
        && steps[2] * 6 >= steps[0] + steps[1];
    let span = of.now.saturating_sub(from);
    opinion.strength = share(seconds(span), risen as f64, Past::Young, 2.0);
    opinion.observed = seconds(span);
    let numbers = list(&least);
    opinion.evidence.push(match rises {
        true => format!("the minimum held rose in each quarter of the window: {numbers}"),
        false => format!("the minimum held in each quarter of the window: {numbers}"),
    });
    if rises && risen >= 6 {
        opinion.verdict = match opinion.strength >= 1.0 {
            true => Verdict::Leak,
            false => Verdict::Suspect,
        };
        opinion.growth_per_second = risen as f64 / (seconds(span) * 0.75).max(1e-3);
        if opinion.verdict == Verdict::Suspect {
            let rate = opinion.growth_per_second;
            let wait = wait(seconds(span), risen as f64, rate, 2.0, Past::Young);
            opinion.waits_for =
                Some(wait.map_or(Waits::LONGER.to_owned(), |wait| wait.to_string()));
        }
    }
    opinion
}
