//! One leak that is reached by many ways: each way is a site of its own, and none of
//! them grows enough to be seen. Those whose innermost frames are the same are judged
//! together, and the largest of them speaks for all. Where that finds nothing, all sites
//! of a process and kind are, which takes more growth.
//!
//! It speaks when each site has been judged, as it needs to know which of them are leaks
//! alone.

use std::{cmp::Reverse, collections::BTreeMap};

use leak_common::{Kind, ProcessId};

use super::{Rule, exit, growth, wall};
use crate::judge::confidence;
use crate::judge::evidence::{
    account::Account, joined::is_unread, last_use::LastUse, round::Round, site::Site,
};
use crate::judge::findings::Findings;
use crate::judge::opinion::Opinion;
use crate::ledger::{Lifetimes, SiteKey, SiteRecord};
use crate::model::report::Verdict;
use crate::model::time::Nanos;

/// Innermost frames that have to be the same: the call into the kernel, and its callers.
const SAME_FRAMES: usize = 3;

/// The part of an address that stays the same wherever a file is mapped: pages have at least 4 KiB.
const IN_PAGE: u64 = 0xfff;

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
        for (Reverse(meeting), ways) in meetings(round) {
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
                judged.ways.extend_from_slice(&ways[1..]);
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
fn meetings(round: &Round<'_>) -> BTreeMap<Reverse<WaysMeet>, Vec<SiteKey>> {
    let mut meetings: BTreeMap<Reverse<WaysMeet>, Vec<SiteKey>> = BTreeMap::new();
    for (key, record) in round.sites() {
        if held(record) == 0 {
            continue;
        }
        let in_process = WaysMeet {
            process: record.process,
            kind: record.kind,
            call: None,
        };
        // A healthy program maps memory in many places: only those that make the same call are
        // judged together, and what they may be is said by names (rule `allocator`).
        if record.kind != Kind::Mapping {
            meetings.entry(Reverse(in_process)).or_default().push(key);
        }
        if let Some(&[first, second, third]) = record.frames.get(..SAME_FRAMES) {
            // Each time that a process executes itself, its code is elsewhere, by whole pages.
            let bits = match round.ledger.generation(record.process) {
                0 => u64::MAX,
                _ => IN_PAGE,
            };
            let place = |frame: u64| match round.is_generated(record.process, frame) {
                true => 0,
                false => frame & bits,
            };
            let in_call = WaysMeet {
                call: Some([place(first), place(second), place(third)]),
                ..in_process
            };
            meetings.entry(Reverse(in_call)).or_default().push(key);
        }
    }
    meetings.retain(|_, ways| ways.len() > 1);
    for ways in meetings.values_mut() {
        let outstanding = |key: &SiteKey| round.record(*key).map_or(0, held);
        // A stack that was not read says least.
        let is_read = |key: &SiteKey| round.record(*key).is_some_and(|one| !is_unread(one));
        ways.sort_by_key(|key| (!is_read(key), Reverse(outstanding(key)), *key));
    }
    meetings
}

/// What a site holds, or held until its process's end.
fn held(record: &SiteRecord) -> u64 {
    match record.outstanding {
        0 => record.held_at_exit(),
        outstanding => outstanding,
    }
}

/// Judges sites together, of which the first is the largest. `None` where they are no leak
/// either.
fn judge(round: &Round<'_>, meeting: WaysMeet, ways: &[SiteKey]) -> Option<Opinion> {
    let sites: Vec<Site<'_>> = ways.iter().map(|key| round.site(*key)).collect();
    let largest = sites.first()?;
    let account = largest.account()?;
    let mut times: Vec<Nanos> = Vec::new();
    let mut lifetimes = Lifetimes::default();
    let (mut outstanding, mut released, mut old_released, mut adopted) = (0, 0, 0, 0);
    let (mut start, mut now, mut series_end) = (account.start, account.now, account.series_end);
    for way in sites.iter().filter_map(Site::account) {
        times.extend_from_slice(way.times);
        lifetimes.merge(&way.lifetimes);
        outstanding += way.outstanding;
        released += way.released;
        old_released += way.old_released;
        adopted += way.adopted;
        start = start.min(way.start);
        // What begins to close at its process's end ends the growth of all.
        now = now.min(way.now);
        series_end = series_end.min(way.series_end);
    }
    times.sort_unstable();
    let factor = match meeting.call {
        Some(_) => account.factor,
        None => account.factor * PROCESS_FACTOR,
    };
    let timed = outstanding.saturating_sub(adopted);
    let together = Account {
        weight: (timed as f64 / times.len().max(1) as f64).max(1.0),
        times: &times,
        lifetimes,
        outstanding,
        old_released,
        released,
        adopted,
        start,
        now,
        series_end,
        series: None,
        // How one of many places uses what it holds says little of the others.
        last_use: match (meeting.call, account.last_use) {
            (None, LastUse::Unused { .. }) => LastUse::Unknown,
            (_, last_use) => last_use,
        },
        factor,
        ..account
    };
    let held = largest.held();
    let config = held.map_or(*round.config, |held| {
        exit::config_at_the_end(round.config, held)
    });
    let grown = Some(growth::judge(&config, &together));
    let mut opinion = grown
        .filter(|grown| grown.verdict == Verdict::Leak)
        .or_else(|| {
            let refused = round.refused.wall(meeting.process, meeting.kind)?;
            wall::judge_up_to(&refused, largest, &together)
        })?;
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
