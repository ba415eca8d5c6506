//! A pool of connections that runs dry: it lends them, some are not given back, and in the end
//! everybody waits. What it holds does not grow, so counting says nothing.
//!
//! That all connections stopped being used, one after the other, is no verdict: so ends the day of
//! a healthy pool. It becomes a suspicion where somebody asks for them meanwhile: the process works
//! on, or requests to it wait for an answer. It is a leak where one stack was the last user of
//! nearly all of them that makes a small part of the borrows, or where three requests have waited
//! for a minute. Another use of any connection takes it all back.

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use super::{EXAMPLES, Rule, Subject, example};
use crate::judge::SECOND;
use crate::judge::evidence::{
    pool::{Dry, Pooled},
    round::Round,
    site::Site,
};
use crate::judge::findings::Findings;
use crate::judge::opinion::Opinion;
use crate::ledger::{Resource, SiteKey};
use crate::model::report::Verdict;
use crate::model::site::SiteId;
use crate::model::time::{Nanos, seconds};

/// So many requests that have waited for so long have nothing to wait for.
const WAITING: usize = 3;
const LONG: Nanos = 60 * SECOND;

/// Pools that ran dry, by the site that opened most of their connections.
#[derive(Default)]
pub(super) struct PoolRanDry(HashMap<SiteKey, Dried>);

/// A pool that ran dry.
struct Dried {
    process: ProcessId,
    dry: Dry,
    peer: String,
    connections: Vec<Pooled>,
}

impl Rule for PoolRanDry {
    fn name() -> &'static str {
        "pool-ran-dry"
    }

    /// The number of connections is not what is wrong.
    fn counts() -> bool {
        false
    }

    fn gather(round: &Round<'_>) -> PoolRanDry {
        let mut dried = HashMap::new();
        for pool in round.pools.lately(round.now) {
            let uses = &pool.latest;
            let process = ProcessId(uses.process);
            let site = match uses.site {
                SiteId::UNKNOWN => SiteKey::Unknown(process, Kind::Socket),
                site => round.counted_at(SiteKey::Site(site)),
            };
            let holds = match round.ledger.site(site) {
                Some(record) => record.outstanding > 0,
                None => uses.site == SiteId::UNKNOWN,
            };
            if let Some(dry) = pool.dry().filter(|_| holds) {
                let dry = Dried {
                    process,
                    dry,
                    peer: uses.peer.clone(),
                    connections: uses.connections.clone(),
                };
                dried.insert(site, dry);
            }
        }
        PoolRanDry(dried)
    }

    fn sites(&self) -> Vec<SiteKey> {
        self.0.keys().copied().collect()
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let Some(Dried { dry, peer, .. }) = self.0.get(&site.key) else {
            return;
        };
        let long = site.now.saturating_sub(LONG);
        let have_waited = dry.waiting.iter().filter(|arrived| **arrived <= long);
        let is_stuck = have_waited.count() >= WAITING;
        let verdict = match (dry.keeps.is_some() || is_stuck, is_asked_for(dry)) {
            (true, _) => Verdict::Leak,
            (false, true) => Verdict::Suspect,
            (false, false) => return,
        };
        let waits_for = "another use of any of them, which takes this back; or one stack that used most of \
                         them last, or three requests that have waited for a minute";
        opinion.worsen(Self::name(), verdict, waits_for);
        let quiet = site.now.saturating_sub(dry.last);
        let strength = match verdict {
            Verdict::Leak => 1.0 + dry.keeps.map_or(0.0, |keeps| -keeps.chance.log10() / 8.0),
            Verdict::Suspect | Verdict::Steady => 0.6,
        };
        let sentence = format!(
            "all {} connections to {peer} stopped being used, one after the other over {:.1} s, and none was \
             used again for {:.0} s",
            dry.connections,
            seconds(dry.last - dry.first),
            seconds(quiet)
        );
        opinion.support(strength, seconds(quiet), sentence);
        opinion.evidence.extend(sentences(dry, site.now));
    }

    fn examples(&self, site: SiteKey) -> Vec<Resource> {
        let connections = self.0.get(&site).map(|dried| dried.connections.iter());
        let some = connections.into_iter().flatten().take(EXAMPLES);
        some.map(|one| example(one.acquired, one.handle)).collect()
    }

    /// What was opened out of sight was there before, as far as it is known.
    fn before_trace(&self, site: SiteKey) -> u64 {
        match (self.0.get(&site), site) {
            (Some(dried), SiteKey::Unknown(..)) => dried.connections.len() as u64,
            _ => 0,
        }
    }

    fn subject(&self, site: SiteKey) -> Option<Subject> {
        let dried = self.0.get(&site)?;
        Some(Subject {
            process: dried.process,
            kind: Kind::Socket,
            outstanding: 0,
            samples: self.examples(site),
        })
    }

    fn compare(&self, _round: &Round<'_>, findings: &mut Findings) {
        for (site, dried) in &self.0 {
            let judged = findings.get_mut(site);
            if let Some(judged) = judged.filter(|judged| judged.verdict != Verdict::Steady) {
                judged.last_user = dried.dry.borrower.map(|(borrower, _)| borrower);
            }
        }
    }
}

/// Whether somebody may want a connection.
fn is_asked_for(dry: &Dry) -> bool {
    dry.is_busy || !dry.waiting.is_empty()
}

/// What else speaks for it.
fn sentences(dry: &Dry, now: Nanos) -> Vec<String> {
    let mut sentences = Vec::new();
    if let (Some((_, of)), Some(keeps)) = (dry.borrower, dry.keeps) {
        sentences.push(format!(
            "one stack was the last user of {of} of them, and made {} of the {} borrows since the first was \
             missing: it does not give them back",
            keeps.own, keeps.borrows
        ));
    }
    if let Some(oldest) = dry.waiting.iter().min() {
        let count = dry.waiting.len();
        let (requests, wait) = match count {
            1 => ("request", "waits"),
            _ => ("requests", "wait"),
        };
        sentences.push(format!(
            "{count} {requests} that arrived since {wait} for an answer, the longest for {:.0} s",
            seconds(now.saturating_sub(*oldest))
        ));
    }
    if dry.is_busy {
        sentences.push("the process goes on working as it did while they were used".to_owned());
    }
    sentences
}
