//! One leak that is reached by many ways: each way is a site of its own, and none of
//! them grows enough to be seen. Those whose innermost frames are the same are judged
//! together, and the largest of them speaks for all. Where that finds nothing, all sites
//! of a process and kind are, which takes more growth.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use leak_common::{Kind, ProcessId};

use super::growth::{self, Evidence};
use crate::judge::{Config, Opinion};
use crate::ledger::{Ledger, Lifetimes, SiteDetail, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::Nanos;

/// Innermost frames that have to be the same: the call into the kernel, and who made it.
const SAME_FRAMES: usize = 3;

/// How much more growth it takes for all sites of a process: several pools that fill are
/// well.
const PROCESS_FACTOR: f64 = 1.3;

/// What sites have in common that are judged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::judge) struct Place {
    process: ProcessId,
    kind: Kind,
    /// `None`: all sites of the process and kind, whatever their frames. A program that
    /// executes itself again has other addresses each time.
    frames: Option<[u64; SAME_FRAMES]>,
}

impl Place {
    /// Whether the sites are ways to the same call.
    pub(in crate::judge) fn is_call(&self) -> bool {
        self.frames.is_some()
    }
}

/// The sites that hold something, by place, calls before processes; those that stand
/// alone are left out.
pub(in crate::judge) fn places(
    ledger: &Ledger,
    details: &HashMap<SiteKey, SiteDetail>,
) -> BTreeMap<Reverse<Place>, Vec<SiteKey>> {
    let mut places: BTreeMap<Reverse<Place>, Vec<SiteKey>> = BTreeMap::new();
    for &key in details.keys() {
        let Some(record) = ledger.site(key) else {
            continue;
        };
        // Memory is mapped in many places of a program that is well.
        if record.kind == Kind::Mapping {
            continue;
        }
        let of_process = Place {
            process: record.process,
            kind: record.kind,
            frames: None,
        };
        places.entry(Reverse(of_process)).or_default().push(key);
        if let Some(&[first, second, third]) = record.frames.get(..SAME_FRAMES) {
            let call = Place {
                frames: Some([first, second, third]),
                ..of_process
            };
            places.entry(Reverse(call)).or_default().push(key);
        }
    }
    places.retain(|_, keys| keys.len() > 1);
    for keys in places.values_mut() {
        let outstanding = |key: &SiteKey| ledger.site(*key).map_or(0, |record| record.outstanding);
        keys.sort_by_key(|key| (Reverse(outstanding(key)), *key));
    }
    places
}

/// Judges sites together, of which `evidence` is that of the largest. `None` where they
/// are no leak either.
pub(in crate::judge) fn judge(
    config: &Config,
    ledger: &Ledger,
    details: &HashMap<SiteKey, SiteDetail>,
    (place, keys): (Place, &[SiteKey]),
    evidence: &Evidence<'_>,
) -> Option<Opinion> {
    let mut times: Vec<Nanos> = Vec::new();
    let mut lifetimes = Lifetimes::default();
    let (mut outstanding, mut old_released, mut adopted, mut timed) = (0, 0, 0, 0);
    let mut start = evidence.start;
    for key in keys {
        let (Some(record), Some(detail)) = (ledger.site(*key), details.get(key)) else {
            continue;
        };
        times.extend_from_slice(&detail.times);
        timed += detail.count.saturating_sub(record.adopted);
        lifetimes.merge(&record.lifetimes);
        outstanding += record.outstanding;
        old_released += record.old_released;
        adopted += record.adopted;
        start = start.min(record.first_seen);
    }
    times.sort_unstable();
    let together = Evidence {
        weight: (timed as f64 / times.len().max(1) as f64).max(1.0),
        times: &times,
        lifetimes,
        outstanding,
        old_released,
        adopted,
        start: start.max(evidence.window_start),
        series: None,
        factor: match place.is_call() {
            true => evidence.factor,
            false => evidence.factor * PROCESS_FACTOR,
        },
        ..evidence.clone()
    };
    let mut opinion = growth::judge(config, &together);
    if opinion.verdict != Verdict::Leak {
        return None;
    }
    opinion.rule = "growth-by-many-ways";
    let others = keys.len() - 1;
    opinion.evidence.push(match place.is_call() {
        true => {
            format!("together with {others} other ways to the same call; this one holds the most")
        }
        false => {
            format!("together with {others} other places in this process; this one holds the most")
        }
    });
    Some(opinion)
}
