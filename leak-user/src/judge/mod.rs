//! Verdicts on sites: does what a site holds grow and not come down? One rule a
//! file: `growth` for running processes (`merged` where it comes by many ways), `exit`
//! for what was held at an exit, `zombies` for children not reaped, `close_wait` for
//! sockets whose peer has gone, `inherited` for what other programs hold by accident,
//! `watches` for what one descriptor gathers, `named` for what names add.
//!
//! The judge reads the ledger and knows no clock. Nothing it says is certain: a
//! long life is not a leak, and every verdict carries its evidence in words. How sure
//! each is: `confidence`; how much growth it takes: `needed`. What they look at: `site`
//! and, beside growth, `facts`.

mod confidence;
mod facts;
mod named;
mod needed;
mod observed;
mod pattern;
mod rules;
mod series;
mod site;
pub(crate) mod slope;
mod state;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::HashMap};

use leak_common::{Kind, ProcessId};

use crate::ledger::{Ledger, ProcessView, Sample, SiteDetail, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};
use confidence::Trust;
use facts::Facts;
pub use named::{Named, weigh};
use observed::AllSeen;
pub use observed::Observation;
use rules::{exit, growth, merged, watches};
use series::Series;
use site::{Context, Site};
pub use state::Kept;

const SECOND: Nanos = 1_000_000_000;

/// Thresholds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The nursery's age: what is younger is not seen yet.
    pub nursery: Nanos,
    /// How long after that a resource is promoted at the latest.
    pub promotion: Nanos,
    /// From when on a zombie counts.
    pub zombie: Nanos,
    /// From when on a socket counts that waits for its owner's close, if the window is
    /// long enough.
    pub close_wait: Nanos,
    /// From when on a program counts that holds what it inherited.
    pub inherited: Nanos,
    /// Sites followed over time: about 1.6 KiB each.
    pub max_sites: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            nursery: SECOND,
            promotion: 300_000_000,
            zombie: 10 * SECOND,
            close_wait: 10 * SECOND,
            inherited: 3 * SECOND,
            max_sites: 20_000,
        }
    }
}

impl Config {
    /// What was acquired this long ago is seen.
    fn lag(&self) -> Nanos {
        self.nursery.saturating_add(self.promotion)
    }
}

/// A site with a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub key: SiteKey,
    pub process: ProcessId,
    pub kind: Kind,
    pub verdict: Verdict,
    /// 0 to 1: of findings of this confidence, so many are what they are called. Less
    /// where events were lost.
    pub confidence: f64,
    /// All acquisitions here, those that died young included.
    pub acquired: u64,
    pub released: u64,
    /// Outstanding and old, or held at exit.
    pub outstanding: u64,
    pub bytes: u64,
    /// Resources a second, of the rule `watches` watches; 0 where it does not grow.
    pub growth_per_second: f64,
    /// Seconds, at the time of judgement or the process's exit.
    pub oldest_age: f64,
    /// Seconds that the verdict rests on.
    pub observed: f64,
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
    /// The other sites that the verdict rests on, of the same process and kind.
    pub ways: Vec<SiteKey>,
}

impl Judged {
    /// Whether it is about how many there are of its kind, which is what limits count:
    /// the watches of an inotify descriptor are none.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.verdict != Verdict::Steady && self.rule != watches::RULE
    }
}

/// What a rule finds.
struct Opinion {
    verdict: Verdict,
    /// Of the evidence that it takes for a leak, the share there is.
    strength: f64,
    /// Seconds that the opinion rests on.
    observed: f64,
    growth_per_second: f64,
    /// The rule that decided.
    rule: &'static str,
    evidence: Vec<String>,
    waits_for: Option<String>,
}

/// What suspicions wait for that have no number.
struct Waits;

impl Waits {
    const LONGER: &str = "a longer look: a leak if it goes on, steady if it stops";
}

/// Follows sites over time and judges them.
#[derive(Debug)]
pub struct Judge {
    config: Config,
    series: HashMap<SiteKey, Series>,
    /// What processes hold of a kind, what is from before the trace included.
    totals: HashMap<(ProcessId, Kind), Series>,
    seen: AllSeen,
    refused: u64,
}

impl Judge {
    /// A judge who has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Judge {
        Judge {
            config,
            series: HashMap::new(),
            totals: HashMap::new(),
            seen: AllSeen::default(),
            refused: 0,
        }
    }

    /// Notes what is outstanding at every site, and what each of the processes that run
    /// holds. To be called at every interval; a time that does not come after the last
    /// one is ignored.
    pub fn sample(&mut self, now: Nanos, ledger: &Ledger, running: &[ProcessView]) {
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
        self.sample_totals(now, running);
        self.seen.forget(ledger);
    }

    fn sample_totals(&mut self, now: Nanos, running: &[ProcessView]) {
        let mut all = std::mem::take(&mut self.totals);
        for view in running {
            for kind in Kind::ALL {
                let total = view.outstanding.get(kind) + view.preexisting.get(kind);
                let before = all.remove(&(view.id, kind));
                if total == 0 && before.is_none() || self.totals.len() >= self.config.max_sites {
                    continue;
                }
                let mut series = before.unwrap_or_default();
                series.push(now, total);
                self.totals.insert((view.id, kind), series);
            }
        }
    }

    /// Takes note of what a look at a process showed.
    pub fn observe(&mut self, observation: &Observation) {
        self.seen.take(observation);
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
        let mut facts = self.facts(now, window_start, ledger);
        let mut context = Context::new(ledger, now, window_start);
        let mut findings = HashMap::new();
        for (key, record) in ledger.sites() {
            let facts = facts.remove(&key).unwrap_or_default();
            if record.outstanding == 0 && record.held.is_none() && facts.is_empty() {
                continue;
            }
            let site = self.site(&mut context, key, record, details.get(&key));
            findings.insert(
                key,
                self.judge(&site, &facts, context.trust(record.process)),
            );
        }
        for (key, facts) in facts {
            if let Some(judged) = self.alone(&mut context, key, &facts) {
                findings.insert(key, judged);
            }
        }
        self.merge(&mut context, &details, &mut findings);
        let mut findings: Vec<Judged> = findings.into_values().collect();
        findings.sort_by(order);
        findings
    }

    fn judge(&self, site: &Site<'_>, facts: &Facts, trust: Trust) -> Judged {
        let Site { key, record, .. } = *site;
        let held = record.held.as_deref().filter(|_| record.outstanding == 0);
        let mut opinion = match held {
            Some(held) => {
                let born = site.born.max(site.window_start);
                exit::judge(record.kind, held, born, record.release_ratio())
            }
            None => growth::judge(&self.config, &site.evidence(&self.config)),
        };
        facts.judge(
            &self.config,
            site.start,
            site.window_start,
            site.now,
            &mut opinion,
        );
        let (outstanding, bytes, samples, end) = match held {
            Some(held) => (held.count, held.bytes, exit::examples(held), held.exit),
            None => (
                record.outstanding,
                record.bytes,
                site.detail.map_or_else(Vec::new, |d| d.samples.clone()),
                site.now,
            ),
        };
        let samples = facts.samples(samples);
        let oldest = samples.iter().map(|sample| sample.acquired).min();
        Judged {
            key,
            process: record.process,
            kind: record.kind,
            verdict: opinion.verdict,
            confidence: confidence::of(&opinion, trust, matches!(key, SiteKey::Site(_))),
            acquired: record.acquired(),
            released: record.released(),
            outstanding,
            bytes,
            growth_per_second: opinion.growth_per_second,
            oldest_age: seconds(end.saturating_sub(oldest.unwrap_or(end))),
            observed: opinion.observed,
            rule: opinion.rule,
            evidence: opinion.evidence,
            waits_for: opinion.waits_for,
            history: site.series.map_or_else(Vec::new, Series::history),
            samples,
            exited: held.map(|held| held.exit),
            ways: Vec::new(),
        }
    }

    /// A finding for facts on what was acquired out of sight. `None` where it is no
    /// more than steady.
    fn alone(&self, context: &mut Context<'_>, key: SiteKey, facts: &Facts) -> Option<Judged> {
        let (process, kind, outstanding) = facts.subject()?;
        let mut opinion = Opinion {
            verdict: Verdict::Steady,
            strength: 0.0,
            observed: 0.0,
            growth_per_second: 0.0,
            rule: "growth",
            evidence: Vec::new(),
            waits_for: None,
        };
        let Context {
            now, window_start, ..
        } = *context;
        facts.judge(&self.config, window_start, window_start, now, &mut opinion);
        if opinion.verdict == Verdict::Steady {
            return None;
        }
        let samples = facts.samples(Vec::new());
        let oldest = samples.iter().map(|sample| sample.acquired).min();
        Some(Judged {
            key,
            process,
            kind,
            verdict: opinion.verdict,
            confidence: confidence::of(&opinion, context.trust(process), false),
            acquired: 0,
            released: 0,
            outstanding,
            bytes: 0,
            growth_per_second: opinion.growth_per_second,
            oldest_age: seconds(now.saturating_sub(oldest.unwrap_or(now))),
            observed: opinion.observed,
            rule: opinion.rule,
            evidence: opinion.evidence,
            waits_for: opinion.waits_for,
            history: Vec::new(),
            samples,
            exited: None,
            ways: Vec::new(),
        })
    }

    /// Judges those sites together that are ways to the same call.
    fn merge(
        &self,
        context: &mut Context<'_>,
        details: &HashMap<SiteKey, SiteDetail>,
        findings: &mut HashMap<SiteKey, Judged>,
    ) {
        for (Reverse(place), keys) in merged::places(context.ledger, details) {
            let leak = |key: &SiteKey| {
                let found = findings.get(key);
                found.is_some_and(|judged| judged.verdict == Verdict::Leak)
            };
            let Some(&first) = keys.first().filter(|_| !keys.iter().any(leak)) else {
                continue;
            };
            let Some(record) = context.ledger.site(first) else {
                continue;
            };
            let site = self.site(context, first, record, details.get(&first));
            let evidence = site.evidence(&self.config);
            let together = (place, keys.as_slice());
            let opinion = merged::judge(&self.config, context.ledger, details, together, &evidence);
            if let (Some(opinion), Some(judged)) = (opinion, findings.get_mut(&first)) {
                judged.confidence = confidence::of(&opinion, context.trust(record.process), true);
                judged.verdict = opinion.verdict;
                judged.growth_per_second = opinion.growth_per_second;
                judged.observed = opinion.observed;
                judged.rule = opinion.rule;
                judged.evidence = opinion.evidence;
                judged.waits_for = None;
                judged.ways = keys[1..].to_vec();
            }
        }
    }
}

fn order(a: &Judged, b: &Judged) -> std::cmp::Ordering {
    a.verdict
        .cmp(&b.verdict)
        .then_with(|| b.growth_per_second.total_cmp(&a.growth_per_second))
        .then_with(|| b.outstanding.cmp(&a.outstanding))
        .then_with(|| a.key.cmp(&b.key))
}

fn list(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    words.join(", ")
}
