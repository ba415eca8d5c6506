//! Which site of one report is which of the other.

use std::collections::BTreeMap;

use super::{
    Amounts, Change, Site, change,
    site::{self, Identity, Precision},
};
use crate::model::report::{Finding, Report, Verdict};

/// Findings of the same identity.
type Groups<'a> = BTreeMap<Identity, Vec<&'a Finding>>;

/// A report whose findings are to be matched.
#[derive(Clone, Copy)]
struct Side<'a>(&'a Report);

/// All sites of both.
pub(super) fn sites(base: &Report, new: &Report) -> Vec<Site> {
    let sides = [Side(base), Side(new)];
    let shorter = base.window.seconds.min(new.window.seconds);
    let mut sites = Vec::new();
    let exact = sides.map(|side| side.groups(side.0.findings.iter(), Precision::Exact));
    let left = pair(exact, |identity, findings| {
        sites.push(site(identity, sides, findings, shorter));
    });
    let [left_base, left_new] = left;
    let rough = [
        sides[0].groups(left_base.into_iter(), Precision::Rough),
        sides[1].groups(left_new.into_iter(), Precision::Rough),
    ];
    // What has no counterpart now has none: it is reported as finely as it can be told apart.
    let [gone, fresh] = pair(rough, |identity, findings| {
        sites.push(site(identity, sides, findings, shorter));
    });
    for (identity, findings) in sides[0].groups(gone.into_iter(), Precision::Exact) {
        sites.push(site(&identity, sides, [findings, Vec::new()], shorter));
    }
    for (identity, findings) in sides[1].groups(fresh.into_iter(), Precision::Exact) {
        sites.push(site(&identity, sides, [Vec::new(), findings], shorter));
    }
    sites
}

/// Passes on what both have, and returns what only one has.
fn pair<'a>(
    [base, mut new]: [Groups<'a>; 2],
    mut both: impl FnMut(&Identity, [Vec<&'a Finding>; 2]),
) -> [Vec<&'a Finding>; 2] {
    let mut only_base = Vec::new();
    for (identity, findings) in base {
        match new.remove(&identity) {
            Some(others) => both(&identity, [findings, others]),
            None => only_base.extend(findings),
        }
    }
    [only_base, new.into_values().flatten().collect()]
}

impl<'a> Side<'a> {
    fn groups(
        self,
        findings: impl Iterator<Item = &'a Finding>,
        precision: Precision,
    ) -> Groups<'a> {
        let mut groups = Groups::new();
        for finding in findings {
            let identity = Identity::of(self.0, finding, precision);
            groups.entry(identity).or_default().push(finding);
        }
        groups
    }

    fn amounts(self, findings: &[&Finding]) -> Option<Amounts> {
        let seconds = self.0.window.seconds;
        let mut amounts = Amounts {
            verdict: findings.iter().map(|finding| finding.verdict).min()?,
            findings: findings.len() as u64,
            ..Amounts::default()
        };
        for finding in findings {
            let add = |sum: &mut u64, more| *sum = sum.saturating_add(more);
            add(&mut amounts.acquired, finding.acquired);
            add(&mut amounts.released, finding.released);
            add(&mut amounts.young, finding.young);
            add(&mut amounts.unaccounted, finding.unaccounted);
            add(&mut amounts.outstanding, finding.outstanding);
            add(&mut amounts.bytes, finding.bytes);
            amounts.growth_per_second += finding.growth_per_second;
        }
        if seconds > 0.0 {
            amounts.acquired_per_second = amounts.acquired as f64 / seconds;
        }
        Some(amounts)
    }
}

fn site(
    identity: &Identity,
    sides: [Side<'_>; 2],
    findings: [Vec<&Finding>; 2],
    shorter: f64,
) -> Site {
    let base = sides[0].amounts(&findings[0]);
    let new = sides[1].amounts(&findings[1]);
    let change = match (&base, &new) {
        (Some(base), Some(new)) => change::between(base, new, shorter),
        (None, _) => Change::New,
        (_, None) => Change::Gone,
    };
    // What stopped because it could not go on is not better.
    let grew = base.is_some_and(|base| base.verdict != Verdict::Steady);
    let refused = match change {
        Change::Shrank | Change::Gone if grew => site::refused(sides[1].0, identity),
        _ => None,
    };
    let change = if refused.is_some() {
        Change::Same
    } else {
        change
    };
    // The worst of the newer ones: findings are in the order of urgency.
    let shown = findings[1].first().or(findings[0].first());
    Site {
        change,
        kind: identity.kind.clone(),
        program: identity.program.clone(),
        base,
        new,
        stack: shown
            .map(|finding| finding.stack.clone())
            .unwrap_or_default(),
        hint: shown.and_then(|finding| finding.hint.clone()),
        refused,
    }
}
