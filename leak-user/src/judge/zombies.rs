//! Children that exited long ago and were not reaped: a fact that speaks alone.

use std::collections::HashMap;

use leak_common::Kind;

use super::confidence::{self, Trust};
use super::{Judged, Opinion, seconds};
use crate::event::Nanos;
use crate::ledger::{Ledger, Sample, SiteKey, Zombie};
use crate::report::model::Verdict;

/// Zombies examples of one finding show.
const EXAMPLES: usize = 5;

/// Those dead for at least `age`, longest first.
pub(super) fn by_site(ledger: &Ledger, now: Nanos, age: Nanos) -> HashMap<SiteKey, Vec<Zombie>> {
    let mut sites: HashMap<SiteKey, Vec<Zombie>> = HashMap::new();
    for zombie in ledger.zombies() {
        if now.saturating_sub(zombie.since) >= age {
            sites.entry(zombie.key).or_default().push(zombie);
        }
    }
    for dead in sites.values_mut() {
        dead.sort_unstable_by_key(|zombie| (zombie.since, zombie.handle));
    }
    sites
}

/// Adds to an opinion what zombies say: one may still be reaped, several are not.
pub(super) fn judge(dead: &[Zombie], now: Nanos, opinion: &mut Opinion) {
    let verdict = if dead.len() > 1 {
        Verdict::Leak
    } else {
        Verdict::Suspect
    };
    if verdict < opinion.verdict {
        opinion.rule = "zombies";
    }
    opinion.verdict = opinion.verdict.min(verdict);
    opinion.grown = opinion.grown.max(dead.len() as f64);
    let longest = dead.first().map_or(0, |z| now.saturating_sub(z.since));
    opinion.observed = opinion.observed.max(seconds(longest));
    let (subject, verb) = match dead.len() {
        1 => ("child", "is"),
        _ => ("children", "are"),
    };
    opinion.evidence.push(format!(
        "{} {subject} exited and {verb} not reaped, for {:.1} s at the longest",
        dead.len(),
        seconds(longest)
    ));
}

/// A finding for zombies whose forks were not seen.
pub(super) fn alone(key: SiteKey, dead: &[Zombie], now: Nanos, trust: Trust) -> Judged {
    let mut opinion = Opinion {
        verdict: Verdict::Steady,
        grown: 0.0,
        observed: 0.0,
        growth_per_second: 0.0,
        rule: "zombies",
        evidence: Vec::new(),
        waits_for: None,
    };
    judge(dead, now, &mut opinion);
    let samples: Vec<Sample> = dead
        .iter()
        .take(EXAMPLES)
        .map(|zombie| Sample {
            acquired: zombie.acquired,
            handle: zombie.handle,
            size: 0,
        })
        .collect();
    let oldest = dead.iter().map(|zombie| zombie.acquired).min();
    Judged {
        key,
        process: dead
            .first()
            .map_or(leak_common::ProcessId::NONE, |z| z.parent),
        kind: Kind::Process,
        verdict: opinion.verdict,
        confidence: confidence::of(&opinion, 0.0, trust, false),
        acquired: 0,
        released: 0,
        outstanding: dead.len() as u64,
        bytes: 0,
        growth_per_second: 0.0,
        oldest_age: seconds(now.saturating_sub(oldest.unwrap_or(now))),
        rule: opinion.rule,
        evidence: opinion.evidence,
        waits_for: opinion.waits_for,
        history: Vec::new(),
        samples,
        exited: None,
    }
}
