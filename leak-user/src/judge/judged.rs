//! A site with a verdict: what the judge answers.

use leak_common::{Kind, ProcessId};

use super::rules;
use crate::ledger::{Resource, SiteKey};
use crate::model::{report::Verdict, site::SiteId, time::Nanos};

/// A site with a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub key: SiteKey,
    pub process: ProcessId,
    pub kind: Kind,
    pub verdict: Verdict,
    /// 0 to 1: the share of findings with this confidence that are what they are called.
    /// Less where events were lost.
    pub confidence: f64,
    /// All acquisitions here, those that died young included.
    pub acquired: u64,
    pub released: u64,
    /// Younger than the nursery's age.
    pub young: u64,
    /// Outstanding and old, or held at exit.
    pub outstanding: u64,
    /// Of those, what is from before the trace: it is not among what was acquired.
    pub preexisting: u64,
    /// Neither released nor young nor outstanding, as far as is known: records were lost.
    pub unaccounted: u64,
    pub bytes: u64,
    /// Resources a second; watches a second where the rule that decided counts watches;
    /// 0 where nothing grows.
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
    pub samples: Vec<Resource>,
    /// When the process exited, where this is what it held then.
    pub exited: Option<Nanos>,
    /// The stack that used most of the resources last, where that tells.
    pub last_user: Option<SiteId>,
    /// The other sites that the verdict rests on, of the same process and kind.
    pub ways: Vec<SiteKey>,
    /// The site whose finding tells of this one: what is held here goes with what is held
    /// there.
    pub part_of: Option<SiteKey>,
}

impl Judged {
    /// Whether it is about how many resources there are of its kind, which is what limits
    /// count. A finding on the watches of an inotify descriptor is not: the descriptor is
    /// one, however many watches it has.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.verdict != Verdict::Steady && rules::counts(self.rule)
    }
}

/// Leaks first, then suspects, then what is steady; by growth, then by number within.
pub(super) fn order(a: &Judged, b: &Judged) -> std::cmp::Ordering {
    a.verdict
        .cmp(&b.verdict)
        .then_with(|| b.growth_per_second.total_cmp(&a.growth_per_second))
        .then_with(|| b.outstanding.cmp(&a.outstanding))
        .then_with(|| a.key.cmp(&b.key))
}
