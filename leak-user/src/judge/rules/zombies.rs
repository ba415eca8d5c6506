//! Children that exited and were not reaped: a fact that speaks alone, if there are
//! ever more of them. A parent may have something else to do for a while.

use std::collections::HashMap;

use leak_common::Kind;

use super::{EXAMPLES, Rule, Subject, example};
use crate::judge::SECOND;
use crate::judge::evidence::{round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::ledger::{Resource, SiteKey, Zombie};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// This many are a leak, if they did not all die at about the same time.
const SEVERAL: usize = 3;

/// Two are enough when even the last to die has been dead for this long.
const FORGOTTEN: Nanos = 60 * SECOND;

/// The zombies by site: those dead for long enough to count, the longest dead first.
#[derive(Default)]
pub(super) struct Zombies(HashMap<SiteKey, Vec<Zombie>>);

impl Rule for Zombies {
    fn name() -> &'static str {
        "zombies"
    }

    fn gather(round: &Round<'_>) -> Zombies {
        let mut sites: HashMap<SiteKey, Vec<Zombie>> = HashMap::new();
        for zombie in round.ledger.zombies() {
            if round.now.saturating_sub(zombie.since) >= round.config.zombie {
                sites.entry(zombie.key).or_default().push(zombie);
            }
        }
        for dead in sites.values_mut() {
            dead.sort_unstable_by_key(|zombie| (zombie.since, zombie.handle));
        }
        Zombies(sites)
    }

    fn sites(&self) -> Vec<SiteKey> {
        self.0.keys().copied().collect()
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let dead = self.of(site.key);
        let (Some(first), Some(last)) = (dead.first(), dead.last()) else {
            return;
        };
        let longest = site.now.saturating_sub(first.since);
        let apart = last.since.saturating_sub(first.since);
        let ever_more = dead.len() >= SEVERAL && apart >= 2 * SECOND;
        let forgotten = dead.len() >= 2 && site.now.saturating_sub(last.since) >= FORGOTTEN;
        let verdict = match ever_more || forgotten {
            true => Verdict::Leak,
            false => Verdict::Suspect,
        };
        let waits_for = "more of them, or their parent's wait(2) for those there are";
        if opinion.worsen(Self::name(), verdict, waits_for) && apart > 0 {
            opinion.growth_per_second = (dead.len() - 1) as f64 / seconds(apart);
        }
        let strength = dead.len() as f64 / SEVERAL as f64;
        let sentence = sentence(dead.len(), site.config.zombie, longest);
        opinion.support(strength, seconds(longest), sentence);
    }

    fn examples(&self, site: SiteKey) -> Vec<Resource> {
        let dead = self.of(site).iter().take(EXAMPLES);
        dead.map(|one| example(one.acquired, one.handle)).collect()
    }

    fn subject(&self, site: SiteKey) -> Option<Subject> {
        let dead = self.of(site);
        Some(Subject {
            process: dead.first()?.parent,
            kind: Kind::Process,
            outstanding: dead.len() as u64,
            samples: Vec::new(),
        })
    }
}

impl Zombies {
    fn of(&self, site: SiteKey) -> &[Zombie] {
        self.0.get(&site).map_or(&[], Vec::as_slice)
    }
}

fn sentence(dead: usize, age: Nanos, longest: Nanos) -> String {
    let (subject, verb, them) = match dead {
        1 => ("child has", "is", "it"),
        _ => ("children have", "are", "the first"),
    };
    format!(
        "{dead} {subject} been dead for {:.0} s or more and {verb} not reaped: {them} died {:.1} s ago",
        seconds(age),
        seconds(longest)
    )
}
