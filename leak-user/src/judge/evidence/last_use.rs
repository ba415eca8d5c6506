//! Whether what a site holds is used: a leaked thing is not used again, and what a server holds
//! for clients that talk is.

use std::collections::HashMap;

use leak_common::Kind;

use crate::judge::SECOND;
use crate::ledger::{Ledger, Lifetimes, SiteKey};
use crate::model::site::SiteId;
use crate::model::time::{Nanos, seconds};

/// Sites remembered at most: about 1 KiB each.
const MAX_SITES: usize = 4096;

/// A look is of no use any more after this time.
const STALE: Nanos = 30 * SECOND;

/// The last uses of fewer resources than this say nothing.
const LEAST: usize = 8;

/// What was used less than this ago may be between two uses.
const BETWEEN_USES: Nanos = 10 * SECOND;

/// An age from which on it can be said that something is used again.
const GROWN_UP: Nanos = 4 * SECOND;

/// Uses up to this age are those that it was acquired for.
const FIRST_USES: Nanos = 2 * SECOND;

/// How much less growth it takes where nothing is used again.
const SUPPORT: f64 = 0.7;

/// Servers' loads grow for up to about this time, in seconds.
const RAMP: f64 = 60.0;

/// When resources of a site were used last, as far as the kernel tells: of connections the last
/// data that was sent or received, of files and threads the last look that found them moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUses {
    pub time: Nanos,
    pub site: SiteId,
    /// Connections that others opened to this process: an idle client is not a leak.
    pub accepted: bool,
    /// A sample, evenly over their age: when each was acquired, and when it was used last,
    /// which is the same where it never was.
    pub resources: Vec<(Nanos, Nanos)>,
}

impl LastUses {
    /// Looks at several sites as one at the first of them. `None` where there is none.
    pub(in crate::judge) fn joined<'a>(
        mut all: impl Iterator<Item = &'a LastUses>,
    ) -> Option<LastUses> {
        let mut joined = all.next()?.clone();
        for uses in all {
            joined.time = joined.time.max(uses.time);
            joined.accepted |= uses.accepted;
            joined.resources.extend_from_slice(&uses.resources);
        }
        Some(joined)
    }
}

/// What the uses of a site's resources say of its growth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::judge) enum LastUse {
    /// Nothing.
    #[default]
    Unknown,
    /// Most are not used again.
    Unused {
        of: usize,
        unused: usize,
        /// The latest age at which one of those was used.
        until: Nanos,
        /// The age of the oldest of those.
        oldest: Nanos,
    },
    /// Many are used again and again.
    Alive { of: usize, alive: usize },
}

impl LastUse {
    /// What a look says. `kind` is the site's, `lifetimes` those of what it released.
    pub(in crate::judge) fn of(uses: &LastUses, kind: Kind, lifetimes: &Lifetimes) -> LastUse {
        let ages = uses.resources.iter().map(|&(acquired, last)| {
            let last = last.max(acquired);
            let age = uses.time.saturating_sub(acquired);
            (age, uses.time.saturating_sub(last), last - acquired)
        });
        let ages: Vec<(Nanos, Nanos, Nanos)> = ages.collect();
        let usual = lifetimes.half_ended_by().unwrap_or(0).saturating_mul(2);
        let grown_up = ages.iter().filter(|(age, ..)| *age >= GROWN_UP);
        let of = grown_up.clone().count();
        let alive = grown_up
            .filter(|(age, ago, used_at)| {
                *ago < age / 4 && *used_at > usual && *used_at > FIRST_USES
            })
            .count();
        if of >= LEAST && alive * 2 >= of {
            return LastUse::Alive { of, alive };
        }
        // Files are read and mapped without moving; threads wait for work.
        if uses.accepted || kind != Kind::Socket {
            return LastUse::Unknown;
        }
        let old = ages
            .iter()
            .filter(|(age, ..)| *age >= BETWEEN_USES + FIRST_USES);
        let of = old.clone().count();
        let unused: Vec<_> = old
            .filter(|(age, ago, _)| *ago >= BETWEEN_USES && *ago > age / 2)
            .collect();
        if of < LEAST || unused.len() * 5 < of * 4 {
            return LastUse::Unknown;
        }
        LastUse::Unused {
            of,
            unused: unused.len(),
            until: unused.iter().map(|one| one.2).max().unwrap_or(0),
            oldest: unused.iter().map(|one| one.0).max().unwrap_or(0),
        }
    }

    /// How many times the usual growth it takes for a leak.
    pub(in crate::judge) fn factor(self) -> f64 {
        match self {
            LastUse::Unused { .. } => SUPPORT,
            LastUse::Unknown | LastUse::Alive { .. } => 1.0,
        }
    }

    /// How many times the usual time it takes, and at least how many seconds: a load that
    /// grows is not a leak.
    pub(in crate::judge) fn patience(self) -> Option<(f64, f64)> {
        match self {
            LastUse::Alive { .. } => Some((2.0, RAMP)),
            LastUse::Unknown | LastUse::Unused { .. } => None,
        }
    }

    /// In a sentence, if it says anything.
    pub(in crate::judge) fn sentence(self) -> Option<String> {
        match self {
            LastUse::Unknown => None,
            LastUse::Alive { of, alive } => Some(format!(
                "{alive} of {of} looked at are in use: a load that grows, or a leak of what is used"
            )),
            LastUse::Unused {
                of,
                unused,
                until,
                oldest,
            } => {
                let oldest = seconds(oldest);
                Some(match (unused == of, until <= FIRST_USES) {
                    (true, true) => format!(
                        "none of {of} looked at was used since it was acquired, the oldest {oldest:.0} s ago"
                    ),
                    (true, false) => format!(
                        "none of {of} looked at was used later than {:.0} s after it was acquired, the oldest {oldest:.0} s ago",
                        seconds(until).ceil()
                    ),
                    (false, _) => format!(
                        "{unused} of {of} looked at were not used since the first half of their time, the oldest acquired {oldest:.0} s ago"
                    ),
                })
            }
        }
    }
}

/// The latest look at each site.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct AllLastUses {
    sites: HashMap<SiteId, LastUses>,
    /// Looks at further sites.
    dropped: u64,
}

impl AllLastUses {
    pub(in crate::judge) fn take(&mut self, uses: &LastUses) {
        if self.sites.len() < MAX_SITES || self.sites.contains_key(&uses.site) {
            self.sites.insert(uses.site, uses.clone());
        } else {
            self.dropped += 1;
        }
    }

    /// Looks that are not remembered because there was no room.
    pub(in crate::judge) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The look at a site, unless it is long ago.
    pub(in crate::judge) fn at(&self, key: SiteKey, now: Nanos) -> Option<&LastUses> {
        let SiteKey::Site(site) = key else {
            return None;
        };
        let uses = self.sites.get(&site)?;
        (now.saturating_sub(uses.time) <= STALE).then_some(uses)
    }

    /// Forgets sites that the ledger does not know any more.
    pub(in crate::judge) fn forget(&mut self, ledger: &Ledger) {
        self.sites
            .retain(|&site, _| ledger.site(SiteKey::Site(site)).is_some());
    }

    pub(in crate::judge) fn iter(&self) -> impl Iterator<Item = &LastUses> {
        self.sites.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resources acquired each second for `count` seconds until now, with the time of their
    /// last use by their age in seconds.
    fn look(count: u64, last: impl Fn(u64) -> u64) -> LastUses {
        let now = 1000 * SECOND;
        let resources = (1..=count).map(|age| {
            let used = last(age).min(age);
            (now - age * SECOND, now - (age - used) * SECOND)
        });
        LastUses {
            time: now,
            site: SiteId(1),
            accepted: false,
            resources: resources.collect(),
        }
    }

    fn of(uses: &LastUses) -> LastUse {
        LastUse::of(uses, Kind::Socket, &Lifetimes::default())
    }

    #[test]
    fn what_is_opened_and_forgotten_is_unused() {
        let unused = of(&look(30, |_| 0));
        let says = unused.sentence().unwrap_or_default();
        assert_eq!(
            says,
            "none of 19 looked at was used since it was acquired, the oldest 30 s ago"
        );
        assert_eq!(unused.factor(), 0.7);
        // A use for five seconds, then forgotten.
        let says = of(&look(60, |_| 5)).sentence().unwrap_or_default();
        assert!(
            says.starts_with("46 of 49 looked at were not used since"),
            "{says}"
        );
    }

    #[test]
    fn clients_that_talk_are_in_use() {
        let alive = of(&look(30, |age| age - 1));
        assert_eq!(alive, LastUse::Alive { of: 27, alive: 26 });
        assert_eq!(alive.factor(), 1.0);
        assert!(alive.patience().is_some());
    }

    #[test]
    fn idle_clients_files_and_threads_are_never_called_unused() {
        let mut idle = look(30, |_| 0);
        assert_ne!(of(&idle), LastUse::Unknown);
        for kind in [Kind::File, Kind::Thread] {
            let use_of = LastUse::of(&idle, kind, &Lifetimes::default());
            assert_eq!(use_of, LastUse::Unknown);
        }
        idle.accepted = true;
        assert_eq!(of(&idle), LastUse::Unknown);
    }

    #[test]
    fn few_or_mixed_say_nothing() {
        assert_eq!(of(&look(18, |_| 0)), LastUse::Unknown);
        let mixed = look(40, |age| if age % 3 == 0 { age } else { 0 });
        assert_eq!(of(&mixed), LastUse::Unknown);
    }

    #[test]
    fn a_use_within_the_usual_life_is_no_second_use() {
        let uses = look(30, |age| age - 1);
        let mut lifetimes = Lifetimes::default();
        for _ in 0..10 {
            lifetimes.add(20 * SECOND);
        }
        let use_of = LastUse::of(&uses, Kind::Socket, &lifetimes);
        assert_eq!(use_of, LastUse::Unknown);
    }

    #[test]
    fn an_old_look_says_nothing() {
        let mut all = AllLastUses::default();
        all.take(&look(30, |_| 0));
        let key = SiteKey::Site(SiteId(1));
        assert!(all.at(key, 1010 * SECOND).is_some());
        assert!(all.at(key, 1031 * SECOND).is_none());
    }

    #[test]
    fn looks_that_find_no_room_are_counted() {
        let mut all = AllLastUses::default();
        for site in 0..MAX_SITES as u64 + 2 {
            let site = SiteId(site);
            all.take(&LastUses {
                site,
                ..look(8, |_| 0)
            });
        }
        all.take(&look(8, |_| 0));
        assert_eq!(all.dropped(), 2);
    }
}
