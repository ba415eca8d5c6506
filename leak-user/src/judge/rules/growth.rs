//! Growth that does not come down.
//!
//! Of what a site holds, only the resources count that are older than what it releases ever
//! gets. It is a leak if these were acquired throughout a period that reaches to now, if the
//! process as a whole holds more because of them, and if there are many of them for a period
//! of that length.
//!
//! The period is the whole time observed, or a later part of it where something else
//! happened first. What was acquired less than the nursery's age ago is not seen yet, so
//! periods end that much earlier.

use super::Rule;
use crate::judge::evidence::{
    account::Account,
    level::{is_level, stretch},
    needed::{Past, needed, share, wait},
    pattern::Pattern,
    series::Minima,
    site::Site,
    slope::slope_of_times,
};
use crate::judge::opinion::{LONGER, Opinion, list};
use crate::judge::{Config, SECOND};
use crate::ledger::Lifetimes;
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Resources count from an age on at which few are released after all: at most this
/// share of those that reached it.
const RELEASED_AFTER_ALL: f64 = 0.1;

/// A process that has run for this long has started up.
const SETTLED: Nanos = 60 * SECOND;

/// The parts of the time observed that are tried: the whole, then these shares of it, each
/// at its end. The smaller ones need more growth (see [`factor`]).
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

/// Judges what a site holds.
#[derive(Default)]
pub(super) struct Growth;

impl Rule for Growth {
    fn name() -> &'static str {
        "growth"
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        if let (Some(account), None) = (site.account(), site.held()) {
            *opinion = judge(site.config, &account);
        }
    }
}

/// One period, judged.
struct Trial {
    pattern: Pattern,
    /// The age from which on resources count.
    age: Nanos,
    past: Past,
    verdict: Verdict,
    /// Its growth as a share of what is needed: 1 or more for a leak.
    strength: f64,
    /// How many times the usual growth it takes.
    factor: f64,
    /// Whether the process as a whole holds more of the kind than before.
    net: bool,
    /// Whether it has ended since, although that is not yet seen in what is old enough to count.
    full: bool,
    /// It would be a leak, were what is held not in use.
    is_used: bool,
}

/// Judges one site, or several that belong together.
pub(super) fn judge(config: &Config, account: &Account<'_>) -> Opinion {
    let untimed = account.adopted * 2 > account.outstanding;
    if untimed {
        return by_minima(config, account);
    }
    if account.counting_age(config, 1.0).is_none() {
        return account.turnover();
    }
    let best = PARTS
        .iter()
        .filter_map(|&part| account.trial(config, part))
        // The whole time decides, unless a part of it is worse.
        .reduce(|best, trial| match trial.verdict < best.verdict {
            true => trial,
            false => best,
        });
    match best {
        Some(trial) => trial.opinion(config, account),
        None => account.too_soon(),
    }
}

impl Account<'_> {
    /// The age from which on resources count, in the last part of the time: few of those
    /// that reached it were released. `None` where too many are, at any age.
    ///
    /// What was acquired before that part does not count: beside a large pool from the start,
    /// any releases are few.
    fn counting_age(&self, config: &Config, part: f64) -> Option<Nanos> {
        let lag = config.lag();
        if self.lifetimes.released_after(0) == 0 {
            return Some(lag);
        }
        let older = |age: Nanos| {
            let until = self.now.saturating_sub(age);
            let from = match part < 1.0 {
                true => until - (until.saturating_sub(self.start) as f64 * part) as Nanos,
                false => 0,
            };
            let before = self.times.partition_point(|&time| time < from);
            let reached = self.times.partition_point(|&time| time <= until);
            reached.saturating_sub(before) as f64 * self.weight
        };
        // Those held that are twice as old had the time to be released at that age.
        Lifetimes::ages()
            .map(|age| (age, age.saturating_mul(2)))
            .skip_while(|&(_, twice)| twice < lag)
            .find(|&(age, twice)| {
                let held = older(twice);
                let released = self.lifetimes.released_after(age) as f64 * part;
                held > 0.0 && released <= RELEASED_AFTER_ALL * (held + released)
            })
            .map(|(_, twice)| twice)
    }

    /// The period that is this part of the time observed; `None` where that is too short.
    fn trial(&self, config: &Config, part: f64) -> Option<Trial> {
        let age = self.counting_age(config, part)?;
        let end = self.now.saturating_sub(age);
        let whole = end.checked_sub(self.start)?;
        let span = (whole as f64 * part) as Nanos;
        let shortest = if part < 1.0 { 5 * SECOND } else { 0 };
        if span < shortest {
            return None;
        }
        let pattern = Pattern::of(self.times, self.weight, end - span, end);
        let past = self.past(&pattern);
        let factor = factor(part) * self.factor * self.last_use.factor();
        let net = self.net(config, &pattern);
        let full = self.is_full(config, &pattern);
        let strength = share(seconds(span), pattern.number, past, factor);
        let long_enough = part >= 1.0 || needed(seconds(span), past).is_some();
        let is_enough = pattern.goes_on() && strength >= 1.0;
        let is_used = is_enough && !self.outlasts_a_ramp(seconds(span), &pattern, past, factor);
        let verdict = if !net || full {
            Verdict::Steady
        } else if is_enough && !is_used {
            Verdict::Leak
        } else if pattern.grows() && long_enough && (part >= 1.0 || strength >= 0.5) {
            Verdict::Suspect
        } else {
            Verdict::Steady
        };
        Some(Trial {
            pattern,
            age,
            past,
            verdict,
            strength,
            factor,
            net,
            full,
            is_used,
        })
    }

    /// Whether growth of what is in use has gone on for longer than a load grows: half of it
    /// would be enough in half of its time.
    fn outlasts_a_ramp(&self, span: f64, pattern: &Pattern, past: Past, factor: f64) -> bool {
        self.last_use.patience().is_none_or(|(times, least)| {
            let part = share(span / times, pattern.number / times, past, factor);
            span >= least && part >= 1.0
        })
    }

    /// What the time before a period says of it.
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

    /// Whether the process holds more of the kind because of a period's growth. It does
    /// not where as many are released elsewhere: a server that replaces connections
    /// from before the trace holds no more of them than it did. It does if the process
    /// grew by at least half as much as the site, give or take what its number usually
    /// goes up and down.
    fn net(&self, config: &Config, pattern: &Pattern) -> bool {
        let from = pattern.start.saturating_add(config.lag());
        let Some(change) = self
            .totals
            .and_then(|totals| totals.change(from, self.series_end))
        else {
            return true;
        };
        let expected = pattern.rate() * seconds(change.time);
        change.by + change.noise >= 0.5 * expected
    }

    /// How the process can hold hardly more of the kind although this was acquired; `None` where
    /// too little was acquired since for others to have been released.
    fn released_meanwhile(&self, config: &Config, pattern: &Pattern) -> Option<String> {
        let from = pattern.start.saturating_add(config.lag());
        let change = self.totals?.change(from, self.series_end)?;
        // What was young at the point that is compared with is not counted there.
        let young = change.from.saturating_sub(config.nursery);
        let known = self.times.partition_point(|&time| time <= young);
        // Where a time stands for several, one of them may be of before.
        let times = (self.times.len() - known).saturating_sub(usize::from(self.weight > 1.0));
        let acquired = (times as f64 * self.weight).floor();
        match change.by {
            by if by >= acquired => None,
            by if by <= 0.0 => Some(
                "as many were released meanwhile: the process holds no more than before".to_owned(),
            ),
            by => Some(format!(
                "others were released meanwhile: the process holds only {by} more than before"
            )),
        }
    }

    /// Whether the growth of a period has ended since. The period ends long before now where
    /// what the site releases gets old; what came later shows whether more and more stays:
    ///
    /// * of what has reached half of the counting age, few are released later. So those that were
    ///   acquired up to then go on as those of the period do, if it is a leak;
    /// * the site and the process hold ever more.
    fn is_full(&self, config: &Config, pattern: &Pattern) -> bool {
        let age = self.now.saturating_sub(pattern.end);
        if age > config.lag() {
            let later = Pattern::of(self.times, self.weight, pattern.start, self.now - age / 2);
            if later.stopped() || later.slows() {
                return true;
            }
        }
        self.is_level(pattern.start, pattern.rate(), pattern.longest_gap)
    }

    /// Whether what the site or the process holds is level at the end of the time since `start`,
    /// beside this pace: in the last third of it, or as long as it takes to see two of the pauses
    /// that there are.
    fn is_level(&self, start: Nanos, pace: f64, pause: Nanos) -> bool {
        let from = self.now.saturating_sub(stretch(start, self.now, pause));
        let histories = [self.series, self.totals];
        histories
            .into_iter()
            .flatten()
            .any(|series| is_level(&series.between(from, self.now), pace))
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
        let observed = seconds(self.now.saturating_sub(self.start));
        Opinion::steady(Growth::name(), observed, evidence)
    }

    fn balance(&self) -> String {
        let (old, gone) = (self.outstanding, self.old_released);
        if self.adopted > 0 {
            return format!("{old} held, {} of them found in /proc only", self.adopted);
        }
        let all = old + gone;
        let over = seconds(self.now.saturating_sub(self.start));
        match (gone, self.released) {
            (0, 0) => format!("{all} acquired over {over:.1} s and none released"),
            (0, _) => format!("{all} outlived the nursery over {over:.1} s, none of them released"),
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
    fn opinion(&self, config: &Config, of: &Account<'_>) -> Opinion {
        let mut opinion = of.steady(vec![of.balance()]);
        opinion.verdict = self.verdict;
        // What is in use is not enough, however much it is.
        opinion.strength = match self.is_used {
            true => self.strength.min(0.99),
            false => self.strength,
        };
        opinion.observed = seconds(self.pattern.span());
        if self.verdict != Verdict::Steady {
            opinion.growth_per_second = of.pace(&self.pattern);
        }
        if of.old_released > 0 && self.verdict != Verdict::Steady {
            opinion.evidence.push(self.released_sooner(of));
        }
        opinion.evidence.push(self.spread(of));
        if self.verdict != Verdict::Steady {
            opinion.evidence.extend(of.last_use.sentence());
        }
        if self.past == Past::Persistent && self.verdict != Verdict::Steady {
            opinion.evidence.push(format!(
                "{} were there before the trace: no less than half of what this pace makes since the \
                 process began",
                of.preexisting
            ));
        }
        if !self.net && self.pattern.grows() {
            opinion
                .evidence
                .extend(of.released_meanwhile(config, &self.pattern));
        }
        if self.net && self.full && self.pattern.grows() {
            opinion
                .evidence
                .push("it does not go on at that pace: it looks full".to_owned());
        }
        if self.verdict == Verdict::Suspect {
            opinion.waits_for = Some(self.waits_for(of));
        }
        opinion
    }

    fn released_sooner(&self, of: &Account<'_>) -> String {
        let most = of.lifetimes.most_ended_by().unwrap_or(0);
        let how_many = match of.lifetimes.released_after(most) {
            0 => "is released",
            _ => "is nearly all released",
        };
        let most = seconds(most);
        format!(
            "what it releases {how_many} within {most:.1} s; {:.0} have been held for longer than {:.1} s",
            self.pattern.number,
            seconds(self.age)
        )
    }

    fn spread(&self, of: &Account<'_>) -> String {
        let Pattern { counts, .. } = self.pattern;
        let span = seconds(self.pattern.span());
        let counted: u64 = counts.iter().sum();
        match self.pattern.filled() {
            0 => format!(
                "none has been held for longer than {:.1} s",
                seconds(self.age)
            ),
            // Few times of many are kept: each stands for several.
            _ if of.weight > 1.0 => format!(
                "outstanding by the quarter of {span:.1} s they were acquired in, about: {}",
                list(&counts.map(|count| (count as f64 * of.weight).round() as u64))
            ),
            1 if counts[0] > 0 && counted == of.times.len() as u64 => format!(
                "all outstanding were acquired in the first {:.1} s, none since",
                span / 4.0
            ),
            1 if counts[0] > 0 => format!(
                "those held for longer than {:.1} s were acquired in the first {:.1} s",
                seconds(self.age),
                span / 4.0
            ),
            _ => format!(
                "outstanding by the quarter of {span:.1} s they were acquired in: {}",
                list(&counts)
            ),
        }
    }

    fn waits_for(&self, of: &Account<'_>) -> String {
        let span = seconds(self.pattern.span());
        if let (true, Some((times, least))) = (self.pattern.goes_on(), of.last_use.patience()) {
            let (number, rate) = (self.pattern.number, self.pattern.rate());
            let part = wait(span / times, number / times, rate, self.factor, self.past);
            let more = part.map_or(span, |part| part.seconds() * times);
            return format!(
                "a leak if it goes on like this for {:.0} s more, although it is in use; steady if it stops",
                more.max(least - span).ceil()
            );
        }
        if !self.pattern.goes_on() {
            return format!(
                "whether it goes on evenly: it came in fits or slowed down in these {span:.1} s"
            );
        }
        let rate = self.pattern.rate();
        match wait(span, self.pattern.number, rate, self.factor, self.past) {
            Some(wait) => wait.to_string(),
            None => LONGER.to_owned(),
        }
    }
}

/// How many times the usual growth a part of the time observed has to show. The more
/// parts are tried, the likelier one of them looks like a leak by chance: so small
/// parts need more.
fn factor(part: f64) -> f64 {
    match part {
        part if part >= 0.5 => 1.0,
        part if part >= 0.125 => 1.5,
        _ => 3.0,
    }
}

/// Judges where the times of acquisitions are not known. The least that is held has to
/// rise from each quarter to the next, and in all by at least half of what the number
/// goes up and down within a quarter. The most that is held has to rise too: where a
/// turnover only becomes more even, the least rises alone.
fn by_minima(config: &Config, of: &Account<'_>) -> Opinion {
    let from = of.start.saturating_add(config.lag());
    let mut opinion = of.steady(vec![of.balance()]);
    let minima = of.series.and_then(|series| series.minima(from, of.now));
    let Some(minima) = minima else {
        return opinion;
    };
    let Minima { least, most, noise } = minima;
    let risen = minima.risen();
    let rises = minima.rise()
        && risen.saturating_mul(2) >= noise
        && most[3].saturating_sub(most[0]).saturating_mul(2) >= risen;
    let span = of.now.saturating_sub(from);
    opinion.strength = share(seconds(span), risen as f64, Past::Young, 2.0);
    opinion.observed = seconds(span);
    let pace = risen as f64 / (seconds(span) * 0.75).max(1e-3);
    let rises = rises && !of.is_level(from, pace, 0);
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
        opinion.growth_per_second = pace;
        if opinion.verdict == Verdict::Suspect {
            let rate = opinion.growth_per_second;
            let wait = wait(seconds(span), risen as f64, rate, 2.0, Past::Young);
            opinion.waits_for = Some(wait.map_or(LONGER.to_owned(), |wait| wait.to_string()));
        }
    }
    opinion
}
