//! Children that exited and were not reaped: a fact that speaks alone, if there are
//! ever more of them. A parent may have something else to do for a while.
//!
//! Those that were dead when the trace began speak too. When each of them died is not known,
//! only when it was started and that it has been dead since the trace began: so they have no
//! rate. They count once, with the children that the same parent left dead during the trace.

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use super::{EXAMPLES, Rule, Subject, example};
use crate::judge::evidence::{round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::judge::{Config, SECOND};
use crate::ledger::{Resource, SiteKey, Zombie};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, born, seconds};

/// This many are a leak, if they did not all die at about the same time.
const SEVERAL: usize = 3;

/// Two are enough when even the last to die has been dead for this long.
const FORGOTTEN: Nanos = 60 * SECOND;

/// What dies within this time died at about the same time.
const TOGETHER: Nanos = 2 * SECOND;

/// In a short window those that were dead when the trace began are a leak if they were started
/// over this time: a parent that reaps from time to time would have come.
const LONG_AGO: Nanos = 60 * SECOND;

/// A silence this many times as long as the longest pause between deaths ends a pace.
const SILENCE: u64 = 3;

/// The zombies by site: those dead for long enough to count, the longest dead first.
#[derive(Default)]
pub(super) struct Zombies(HashMap<SiteKey, Dead>);

/// The dead children of a site.
#[derive(Default)]
struct Dead {
    all: Vec<Zombie>,
    /// Its parent has reaped children that had been dead for half of this.
    patience: Nanos,
}

impl Rule for Zombies {
    fn name() -> &'static str {
        "zombies"
    }

    fn gather(round: &Round<'_>) -> Zombies {
        let mut parents: HashMap<ProcessId, HashMap<SiteKey, Vec<Zombie>>> = HashMap::new();
        for zombie in round.ledger.zombies() {
            if counts(&zombie, round.config, round.now, round.window()) {
                let sites = parents.entry(zombie.parent).or_default();
                let key = round.counted_at(zombie.key);
                sites.entry(key).or_default().push(zombie);
            }
        }
        let mut found = HashMap::new();
        for (parent, mut sites) in parents {
            count_once(&mut sites);
            let patience = round.ledger.reaped_after(parent).saturating_mul(2);
            for (key, mut all) in sites {
                all.sort_unstable_by_key(|zombie| (zombie.since, zombie.handle));
                found.insert(key, Dead { all, patience });
            }
        }
        Zombies(found)
    }

    fn sites(&self) -> Vec<SiteKey> {
        self.0.keys().copied().collect()
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let Some(dead) = self.0.get(&site.key) else {
            return;
        };
        let Some(first) = dead.all.first() else {
            return;
        };
        let longest = site.now.saturating_sub(first.since);
        let verdict = match dead.is_leak(site.now, site.config) {
            true => Verdict::Leak,
            false => Verdict::Suspect,
        };
        let waits_for = "more of them, or their parent's wait(2) for those there are";
        if opinion.worsen(Self::name(), verdict, waits_for) {
            opinion.growth_per_second = dead.pace(site.now, site.config);
        }
        let strength = dead.all.len() as f64 / SEVERAL as f64;
        opinion.support(strength, seconds(longest), dead.sentence(site));
    }

    fn examples(&self, site: SiteKey) -> Vec<Resource> {
        let dead = self.of(site).iter().take(EXAMPLES);
        dead.map(|one| example(began(one), one.handle)).collect()
    }

    fn before_trace(&self, site: SiteKey) -> u64 {
        let before = self.of(site).iter().filter(|one| one.preexisting);
        before.count() as u64
    }

    fn subject(&self, site: SiteKey) -> Option<Subject> {
        Some(Subject {
            process: self.of(site).first()?.parent,
            kind: Kind::Process,
            outstanding: 0,
            samples: Vec::new(),
        })
    }
}

impl Zombies {
    fn of(&self, site: SiteKey) -> &[Zombie] {
        self.0.get(&site).map_or(&[], |dead| dead.all.as_slice())
    }
}

impl Dead {
    fn is_leak(&self, now: Nanos, config: &Config) -> bool {
        // A parent that reaps late may be about to.
        let overdue = |one: &&Zombie| now.saturating_sub(one.since) > self.patience;
        let dead: Vec<&Zombie> = self.all.iter().filter(overdue).collect();
        let (Some(first), Some(last)) = (dead.first(), dead.last()) else {
            return false;
        };
        let apart = last.since.saturating_sub(first.since);
        let ever_more = dead.len() >= SEVERAL && apart >= TOGETHER;
        let forgotten = dead.len() >= 2 && now.saturating_sub(last.since) >= FORGOTTEN;
        ever_more || forgotten || found_many(&dead, now, config)
    }

    /// Deaths a second, of those that were seen: 0 where there is no more than one, or they
    /// have ceased.
    fn pace(&self, now: Nanos, config: &Config) -> f64 {
        let seen = self.all.iter().filter(|one| !one.found_dead);
        let times: Vec<Nanos> = seen.map(|one| one.since).collect();
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return 0.0;
        };
        let longest = times.windows(2).map(|two| two[1] - two[0]).max();
        // Those that died last do not count yet.
        let silent = now.saturating_sub(*last).saturating_sub(config.zombie);
        let pause = longest.unwrap_or(0).max(SECOND);
        match last - first {
            0 => 0.0,
            _ if silent > pause.saturating_mul(SILENCE) => 0.0,
            apart => (times.len() - 1) as f64 / seconds(apart),
        }
    }

    fn sentence(&self, site: &Site<'_>) -> String {
        let ago = |time: Nanos| seconds(site.now.saturating_sub(time));
        let found = self.all.iter().filter(|one| one.found_dead).count();
        let started = self.all.iter().map(began).min().unwrap_or(site.now);
        match (found, self.all.len() - found) {
            (0, dead) => {
                let (subject, verb, them) = match dead {
                    1 => ("child has", "is", "it"),
                    _ => ("children have", "are", "the first"),
                };
                let age = seconds(site.config.zombie);
                let since = self.all.first().map_or(site.now, |one| one.since);
                let since = ago(since);
                format!(
                    "{dead} {subject} been dead for {age:.0} s or more and {verb} not reaped: \
                     {them} died {since:.1} s ago"
                )
            }
            (found, later) => {
                let (subject, verb, them) = match found + later {
                    1 => ("child", "is", "it"),
                    _ => ("children", "are", "the first"),
                };
                let when = match later {
                    0 => "dead since before the trace".to_owned(),
                    _ => format!("dead, {found} of them since before the trace,"),
                };
                format!(
                    "{} {subject} {verb} {when} and not reaped: {them} was started {:.1} s ago",
                    found + later,
                    ago(started)
                )
            }
        }
    }
}

/// Whether one has been dead for long enough.
fn counts(zombie: &Zombie, config: &Config, now: Nanos, window: Nanos) -> bool {
    let dead = now.saturating_sub(zombie.since);
    if !zombie.found_dead {
        return dead >= config.zombie;
    }
    // It was dead for a while when it was found: nobody knows for how long.
    let seen = config.zombie.min((window / 3).max(3 * SECOND));
    dead >= seen && now.saturating_sub(began(zombie)) >= config.zombie
}

/// Whether those that were dead when the trace began are enough: they were not started
/// together, so they need not have died together, and nobody has come for them since.
fn found_many(dead: &[&Zombie], now: Nanos, config: &Config) -> bool {
    let found = || dead.iter().filter(|one| one.found_dead);
    let (Some(first), Some(last)) = (
        found().map(|one| began(one)).min(),
        found().map(|one| began(one)).max(),
    ) else {
        return false;
    };
    let seen = found().all(|one| now.saturating_sub(one.since) >= config.zombie);
    let over = if seen { TOGETHER } else { LONG_AGO };
    found().count() >= SEVERAL && last - first >= over
}

/// Has what a parent left dead before the trace count at the one of its sites that leaves
/// most: the stack of it is not known, and it is the same parent that does not wait.
fn count_once(sites: &mut HashMap<SiteKey, Vec<Zombie>>) {
    let known = sites.iter().filter(|(key, _)| key.is_known());
    let Some(most) = known.max_by_key(|(key, dead)| (dead.len(), **key)) else {
        return;
    };
    let most = *most.0;
    let mut before = Vec::new();
    for dead in sites.values_mut() {
        before.extend(dead.extract_if(.., |one| one.preexisting));
    }
    sites.entry(most).or_default().append(&mut before);
    sites.retain(|_, dead| !dead.is_empty());
}

/// When a child was forked; of one from before the trace, when it was started.
fn began(zombie: &Zombie) -> Nanos {
    match zombie.preexisting {
        true => born(zombie.handle.as_task().unwrap_or(ProcessId::NONE)).min(zombie.acquired),
        false => zombie.acquired,
    }
}
