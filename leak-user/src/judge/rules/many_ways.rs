//! One leak that is reached by many ways: each way is a site of its own, and none of
//! them grows enough to be seen. Those whose innermost frames are the same are judged
//! together, and the largest of them speaks for all. Where that finds nothing, all sites
//! of a process and kind are, which takes more growth.
//!
//! It speaks when each site has been judged, as it needs to know which of them are leaks
//! alone.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use leak_common::{Kind, ProcessId};

use super::{Rule, growth};
use crate::judge::confidence;
use crate::judge::evidence::{account::Account, round::Round};
use crate::judge::findings::Findings;
use crate::judge::opinion::Opinion;
use crate::ledger::{Ledger, Lifetimes, SiteDetail, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::Nanos;

/// Innermost frames that have to be the same: the call into the kernel, and its callers.
const SAME_FRAMES: usize = 3;

/// How much more growth it takes for all sites of a process together than for one: a
/// healthy program has several pools that fill.
const PROCESS_FACTOR: f64 = 1.3;

/// Judges sites together.
#[derive(Default)]
pub(super) struct ManyWays;

impl Rule for ManyWays {
    fn name() -> &'static str {
        "growth-by-many-ways"
    }

    fn compare(&self, round: &Round<'_>, findings: &mut Findings) {
        for (Reverse(meeting), ways) in meetings(round.ledger, &round.details) {
            let is_leak = |key: &SiteKey| {
                let found = findings.get(key);
                found.is_some_and(|judged| judged.verdict == Verdict::Leak)
            };
            let Some(&largest) = ways.first().filter(|_| !ways.iter().any(is_leak)) else {
                continue;
            };
            let opinion = judge(round, meeting, &ways);
            if let (Some(opinion), Some(judged)) = (opinion, findings.get_mut(&largest)) {
                judged.confidence = confidence::of(&opinion, round.trust(judged.process), true);
                judged.verdict = opinion.verdict;
                judged.growth_per_second = opinion.growth_per_second;
                judged.observed = opinion.observed;
                judged.rule = opinion.rule;
                judged.evidence = opinion.evidence;
                judged.waits_for = None;
                judged.ways = ways[1..].to_vec();
            }
        }
    }
}

/// Where ways meet: what the sites have in common that are judged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct WaysMeet {
    process: ProcessId,
    kind: Kind,
    /// The call that all of them make. `None`: all sites of the process and kind, whatever
    /// their frames. A program that executes itself again has other addresses each time.
    call: Option<[u64; SAME_FRAMES]>,
}

/// The sites that hold something, by where their ways meet: calls before processes, and
/// the largest site of each first. Sites that stand alone are left out.
fn meetings(
    ledger: &Ledger,
    details: &HashMap<SiteKey, SiteDetail>,
) -> BTreeMap<Reverse<WaysMeet>, Vec<SiteKey>> {
    let mut meetings: BTreeMap<Reverse<WaysMeet>, Vec<SiteKey>> = BTreeMap::new();
    for &key in details.keys() {
        let Some(record) = ledger.site(key) else {
            continue;
        };
        // A healthy program maps memory in many places.
        if record.kind == Kind::Mapping {
            continue;
        }
        let in_process = WaysMeet {
            process: record.process,
            kind: record.kind,
            call: None,
        };
        meetings.entry(Reverse(in_process)).or_default().push(key);
        if let Some(&[first, second, third]) = record.frames.get(..SAME_FRAMES) {
            let in_call = WaysMeet {
                call: Some([first, second, third]),
                ..in_process
            };
            meetings.entry(Reverse(in_call)).or_default().push(key);
        }
    }
    meetings.retain(|_, ways| ways.len() > 1);
    for ways in meetings.values_mut() {
        let outstanding = |key: &SiteKey| ledger.site(*key).map_or(0, |record| record.outstanding);
        ways.sort_by_key(|key| (Reverse(outstanding(key)), *key));
    }
    meetings
}

/// Judges sites together, of which the first is the largest. `None` where they are no leak
/// either.
fn judge(round: &Round<'_>, meeting: WaysMeet, ways: &[SiteKey]) -> Option<Opinion> {
    let largest = round.site(*ways.first()?);
    let account = largest.account()?;
    let mut times: Vec<Nanos> = Vec::new();
    let mut lifetimes = Lifetimes::default();
    let (mut outstanding, mut old_released, mut adopted, mut timed) = (0, 0, 0, 0);
    let mut released = 0;
    let mut start = account.start;
    for key in ways {
        let site = round.site(*key);
        let (Some(known), Some(detail)) = (site.known, round.details.get(key)) else {
            continue;
        };
        let record = known.record;
        times.extend_from_slice(&detail.times);
        timed += detail.count.saturating_sub(record.adopted);
        lifetimes.merge(&record.lifetimes);
        outstanding += record.outstanding;
        old_released += record.old_released;
        released += known.balance.released;
        adopted += record.adopted;
        start = start.min(record.first_seen);
    }
    times.sort_unstable();
    let factor = match meeting.call {
        Some(_) => account.factor,
        None => account.factor * PROCESS_FACTOR,
    };
    let together = Account {
        weight: (timed as f64 / times.len().max(1) as f64).max(1.0),
        times: &times,
        lifetimes,
        outstanding,
        old_released,
        released,
        adopted,
        start: start.max(account.window_start),
        series: None,
        factor,
        ..account
    };
    let mut opinion = growth::judge(round.config, &together);
    if opinion.verdict != Verdict::Leak {
        return None;
    }
    opinion.rule = ManyWays::name();
    let others = ways.len() - 1;
    let what = match meeting.call {
        Some(_) => "ways to the same call",
        None => "places in this process",
    };
    opinion.evidence.push(format!(
        "together with {others} other {what}; this one holds the most"
    ));
    Some(opinion)
}
