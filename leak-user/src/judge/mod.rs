//! Verdicts on sites: does what a site holds grow and not come down? One rule a
//! file: `growth` for running processes, `exit` for what was held at an exit,
//! `zombies` for children not reaped.
//!
//! The judge reads the ledger and knows no clock. Nothing it says is certain: a
//! long life is not a leak, and every verdict carries its evidence in words.

mod confidence;
mod exit;
mod growth;
mod memory;
mod series;
#[cfg(test)]
mod tests;
mod zombies;

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use crate::event::Nanos;
use crate::ledger::{Ledger, Sample, SiteDetail, SiteKey, SiteRecord, Zombie};
use crate::report::model::Verdict;
use confidence::Trust;
use series::Series;

const SECOND: Nanos = 1_000_000_000;

/// Thresholds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The nursery's age: what is younger is not seen yet.
    pub nursery: Nanos,
    /// How long after that a resource is promoted at the latest.
    pub promotion: Nanos,
    /// The shortest observation that a leak is called after; at least three times
    /// the nursery's age is taken.
    pub observation: Nanos,
    /// From when on a zombie counts.
    pub zombie: Nanos,
    /// Sites followed over time: about 1.6 KiB each.
    pub max_sites: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            nursery: SECOND,
            promotion: 300_000_000,
            observation: 5 * SECOND,
            zombie: 10 * SECOND,
            max_sites: 20_000,
        }
    }
}

impl Config {
    /// What was acquired this long ago is seen.
    fn lag(&self) -> Nanos {
        self.nursery.saturating_add(self.promotion)
    }

    fn observation(&self) -> Nanos {
        self.observation.max(self.nursery.saturating_mul(3))
    }
}

/// A site with a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub key: SiteKey,
    pub process: ProcessId,
    pub kind: Kind,
    pub verdict: Verdict,
    /// 0 to 1. Of a leak: 0.5, and more for what grew, for how long it was
    /// observed and for how little was released; less where events were lost.
    pub confidence: f64,
    /// All acquisitions here, those that died young included.
    pub acquired: u64,
    pub released: u64,
    /// Outstanding and old, or held at exit.
    pub outstanding: u64,
    pub bytes: u64,
    /// Resources a second; 0 where it does not grow.
    pub growth_per_second: f64,
    /// Seconds, at the time of judgement or the process's exit.
    pub oldest_age: f64,
    /// The rule that decided.
    pub rule: &'static str,
    /// One plain sentence each.
    pub evidence: Vec<String>,
    /// Of a suspect: what will make it a leak or steady.
    pub waits_for: Option<String>,
    /// What was outstanding at times, in their order; at most 64 points.
    pub history: Vec<(Nanos, u64)>,
    /// The oldest and the newest.
    pub samples: Vec<Sample>,
    /// When the process exited, where this is what it held then.
    pub exited: Option<Nanos>,
}

/// What a rule finds.
struct Opinion {
    verdict: Verdict,
    /// Resources that count as growth.
    grown: f64,
    /// Seconds that the opinion rests on.
    observed: f64,
    growth_per_second: f64,
    /// The rule that decided.
    rule: &'static str,
    evidence: Vec<String>,
    waits_for: Option<String>,
}

/// Follows sites over time and judges them.
#[derive(Debug)]
pub struct Judge {
    config: Config,
    series: HashMap<SiteKey, Series>,
    refused: u64,
}

impl Judge {
    /// A judge who has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Judge {
        Judge {
            config,
            series: HashMap::new(),
            refused: 0,
        }
    }

    /// Notes what is outstanding at every site. To be called at every interval; a
    /// time that does not come after the last one is ignored.
    pub fn sample(&mut self, now: Nanos, ledger: &Ledger) {
        self.series.retain(|&key, _| ledger.site(key).is_some());
        for (key, record) in ledger.sites() {
            if let Some(series) = self.series.get_mut(&key) {
                series.push(now, record.outstanding);
            } else if record.outstanding > 0 {
                if self.series.len() >= self.config.max_sites {
                    self.refused += 1;
                    continue;
                }
                let mut series = Series::default();
                series.push(now, record.outstanding);
                self.series.insert(key, series);
            }
        }
    }

    /// How often a site was not followed for want of room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Judges every site that holds something, over the time since `window_start`
    /// or the site's first acquisition. Leaks first, then suspects, then steady
    /// ones; by growth, then by number within.
    #[must_use]
    pub fn findings(&self, now: Nanos, window_start: Nanos, ledger: &Ledger) -> Vec<Judged> {
        let holds = |key: SiteKey| {
            ledger
                .site(key)
                .is_some_and(|record| record.outstanding > 0)
        };
        let details = ledger.details(holds);
        let mut zombies = zombies::by_site(ledger, now, self.config.zombie);
        let mut trusts: HashMap<ProcessId, Trust> = HashMap::new();
        let mut findings = Vec::new();
        for (key, record) in ledger.sites() {
            let dead = zombies.remove(&key).unwrap_or_default();
            if record.outstanding == 0 && record.held.is_none() && dead.is_empty() {
                continue;
            }
            let trust = *trusts
                .entry(record.process)
                .or_insert_with(|| Trust::of(ledger, record.process));
            let site = Site {
                key,
                record,
                detail: details.get(&key),
                series: self.series.get(&key),
                start: record.first_seen.max(window_start),
                window_start,
                now,
            };
            findings.push(self.judge(&site, ledger, &dead, trust));
        }
        for (key, dead) in zombies {
            if let Some(first) = dead.first() {
                let trust = Trust::of(ledger, first.parent);
                findings.push(zombies::alone(key, &dead, now, trust));
            }
        }
        findings.sort_by(order);
        findings
    }

    fn judge(&self, site: &Site<'_>, ledger: &Ledger, dead: &[Zombie], trust: Trust) -> Judged {
        let Site { key, record, .. } = *site;
        let held = record.held.as_deref().filter(|_| record.outstanding == 0);
        let mut opinion = match held {
            Some(held) => {
                let born = ledger
                    .process(record.process)
                    .map_or(record.first_seen, |process| {
                        process.executed.unwrap_or(process.first_seen)
                    });
                exit::judge(held, born.max(site.window_start), record.release_ratio())
            }
            None => growth::judge(&self.config, site),
        };
        if !dead.is_empty() {
            zombies::judge(dead, site.now, &mut opinion);
        }
        if record.kind == Kind::Mapping {
            memory::temper(&mut opinion, held.is_some());
        }
        let known = matches!(key, SiteKey::Site(_));
        let ratio = record.release_ratio();
        let (outstanding, bytes, samples, end) = match held {
            Some(held) => (held.count, held.bytes, exit::examples(held), held.exit),
            None => (
                record.outstanding,
                record.bytes,
                site.detail.map_or_else(Vec::new, |d| d.samples.clone()),
                site.now,
            ),
        };
        let oldest = samples.first().map_or(end, |sample| sample.acquired);
        Judged {
            key,
            process: record.process,
            kind: record.kind,
            verdict: opinion.verdict,
            confidence: confidence::of(&opinion, ratio, trust, known),
            acquired: record.acquired(),
            released: record.released(),
            outstanding,
            bytes,
            growth_per_second: opinion.growth_per_second,
            oldest_age: seconds(end.saturating_sub(oldest)),
            rule: opinion.rule,
            evidence: opinion.evidence,
            waits_for: opinion.waits_for,
            history: site.series.map_or_else(Vec::new, Series::history),
            samples,
            exited: held.map(|held| held.exit),
        }
    }
}

/// All that the rules look at.
struct Site<'a> {
    key: SiteKey,
    record: &'a SiteRecord,
    detail: Option<&'a SiteDetail>,
    series: Option<&'a Series>,
    /// The first acquisition, or the window's start if that is later.
    start: Nanos,
    window_start: Nanos,
    now: Nanos,
}

fn order(a: &Judged, b: &Judged) -> std::cmp::Ordering {
    a.verdict
        .cmp(&b.verdict)
        .then_with(|| b.growth_per_second.total_cmp(&a.growth_per_second))
        .then_with(|| b.outstanding.cmp(&a.outstanding))
        .then_with(|| a.key.cmp(&b.key))
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / SECOND as f64
}

/// How many of `times` are in each quarter from `start` to `end`, both inclusive.
fn quarters(times: impl IntoIterator<Item = Nanos>, start: Nanos, end: Nanos) -> [u64; 4] {
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

/// Whether growth goes on in the last quarter: a pool that fills slows down.
fn goes_on(counts: [u64; 4]) -> bool {
    counts[3] > 0 && counts[3] * 6 >= counts[1] + counts[2]
}

fn list(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    words.join(", ")
}
