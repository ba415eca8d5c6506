//! Verdicts that rest on several sites of a process and kind. Each site is a finding of
//! its own, and the largest bears the verdict: it is suppressed where all of them are.

use std::collections::HashSet;

use crate::model::report::Finding;

/// A site, by what findings say of it.
type Key<'a> = (u32, u64, &'a str, u64);

/// How many of the other sites that each verdict rests on are not suppressed, by the
/// index of its finding.
pub(super) fn open_ways(findings: &[Finding], is_suppressed: &[bool]) -> Vec<usize> {
    if findings.iter().all(|finding| finding.ways.is_empty()) {
        return vec![0; findings.len()];
    }
    let both = findings.iter().zip(is_suppressed);
    let suppressed: HashSet<Key<'_>> = both
        .filter(|(_, suppressed)| **suppressed)
        .map(|(finding, _)| key(finding, finding.site))
        .collect();
    let open = |finding: &Finding| {
        let ways = finding.ways.iter();
        ways.filter(|way| !suppressed.contains(&key(finding, **way)))
            .count()
    };
    findings.iter().map(open).collect()
}

fn key(finding: &Finding, site: u64) -> Key<'_> {
    (finding.pid, finding.start_time, &finding.kind, site)
}

/// Why a finding is shown whose own stack is suppressed.
pub(super) fn sentence(open: usize) -> String {
    match open {
        1 => "this place is suppressed, but not the other one that counts here".to_owned(),
        _ => format!("this place is suppressed, but not {open} others that count here"),
    }
}
