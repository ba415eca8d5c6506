//! A round of judging: all rules about each site, then about all sites together.

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use super::evidence::{
    joined::Joined,
    round::Round,
    site::{Known, Site},
};
use super::judged::order;
use super::rules::{Gathered, Subject};
use super::{Judge, Judged, confidence};
use crate::ledger::{Balance, Ledger, Resource, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Findings by their sites.
pub(super) type Findings = HashMap<SiteKey, Judged>;

impl Judge {
    /// Judges every site that holds something, over the time since `window_start`
    /// or the site's first acquisition. Leaks first, then suspects, then steady
    /// ones; by growth, then by number within.
    #[must_use]
    pub fn findings(&self, now: Nanos, window_start: Nanos, ledger: &Ledger) -> Vec<Judged> {
        let round = Round::new(self, now, window_start, ledger);
        let rules = Gathered::at(&round);
        let mut sites = rules.sites();
        let holds = round
            .sites()
            .filter(|(_, record)| record.outstanding > 0 || record.ended_with_its_process());
        sites.extend(holds.map(|(key, _)| key));
        let mut findings: Findings = sites
            .into_iter()
            .filter_map(|key| Some((key, judge(&round, &rules, key)?)))
            .collect();
        rules.compare(&round, &mut findings);
        // What a process closed at its end, and did not grow until then, is nothing to speak of.
        findings
            .retain(|_, judged| judged.verdict != Verdict::Steady || !is_closed(&round, judged));
        let mut findings: Vec<Judged> = findings.into_values().collect();
        findings.sort_by(order);
        findings
    }
}

/// Whether a process closed all that it held of a site at its end.
fn is_closed(round: &Round<'_>, judged: &Judged) -> bool {
    let held = judged
        .exited
        .and_then(|_| round.record(judged.key)?.at_exit());
    held.is_some_and(|held| held.closed == held.count)
}

/// The finding on one site. `None` where the ledger does not know the site, and no rule
/// finds more than that it is steady.
fn judge(round: &Round<'_>, rules: &Gathered, key: SiteKey) -> Option<Judged> {
    let site = round.site(key);
    let mut opinion = rules.opinion(&site);
    let figures = match &site.known {
        // What adds watches acquires no descriptor.
        Some(known) if known.balance.acquired == 0 => match rules.subject(key) {
            Some(_) if opinion.verdict == Verdict::Steady => return None,
            Some(subject) => Figures::of_subject(&subject),
            None => Figures::of_known(&site, known),
        },
        Some(known) => Figures::of_known(&site, known),
        None if opinion.verdict == Verdict::Steady => return None,
        None => Figures::of_subject(&rules.subject(key)?),
    };
    let joined = round.joined(key);
    let sentences = joined.map(Joined::sentences);
    opinion.evidence.extend(sentences.into_iter().flatten());
    let preexisting = rules.before_trace(key);
    let samples = rules.examples(key, figures.shown);
    let oldest = samples.iter().map(|sample| sample.acquired).min();
    let end = figures.exited.unwrap_or(site.now);
    let is_known = site.known.is_some() && matches!(key, SiteKey::Site(_));
    Some(Judged {
        key,
        process: figures.process,
        kind: figures.kind,
        verdict: opinion.verdict,
        confidence: confidence::of(&opinion, round.trust(figures.process), is_known),
        acquired: figures.balance.acquired,
        released: figures.balance.released,
        young: figures.balance.young,
        outstanding: figures.balance.outstanding.saturating_add(preexisting),
        preexisting,
        unaccounted: figures.balance.unaccounted,
        bytes: figures.bytes,
        growth_per_second: opinion.growth_per_second,
        oldest_age: seconds(end.saturating_sub(oldest.unwrap_or(end))),
        observed: opinion.observed,
        rule: opinion.rule,
        evidence: opinion.evidence,
        waits_for: opinion.waits_for,
        history: figures.history,
        samples,
        exited: figures.exited,
        last_user: None,
        ways: Vec::new(),
        part_of: None,
    })
}

/// What a finding tells beside the opinion on its site.
struct Figures {
    process: ProcessId,
    kind: Kind,
    balance: Balance,
    bytes: u64,
    /// Examples, where no rule has better ones.
    shown: Vec<Resource>,
    history: Vec<(Nanos, u64)>,
    exited: Option<Nanos>,
}

impl Figures {
    fn of_known(site: &Site<'_>, known: &Known<'_>) -> Figures {
        let record = known.record;
        let held = site.held();
        let (bytes, shown) = match (held, known.detail) {
            (Some(held), _) => (held.bytes, held.examples()),
            (None, Some(detail)) => (record.bytes, detail.samples.clone()),
            (None, None) => (record.bytes, Vec::new()),
        };
        Figures {
            process: record.process,
            kind: record.kind,
            balance: known.balance,
            bytes,
            shown,
            history: known.history(),
            exited: held.map(|held| held.exit),
        }
    }

    fn of_subject(subject: &Subject) -> Figures {
        Figures {
            process: subject.process,
            kind: subject.kind,
            balance: Balance {
                outstanding: subject.outstanding,
                ..Balance::default()
            },
            bytes: 0,
            shown: Vec::new(),
            history: Vec::new(),
            exited: None,
        }
    }
}
