//! Pools of connections: whether their members stopped being used one after the other, and who
//! used them last.

use std::collections::HashMap;

use leak_common::{Handle, ProcessId};

use crate::judge::SECOND;
use crate::ledger::Ledger;
use crate::model::site::SiteId;
use crate::model::time::Nanos;

/// Pools remembered at most: about 8 KiB each.
const MAX_POOLS: usize = 256;

/// Looks at a pool that are remembered.
const MAX_LOOKS: usize = 64;

/// A look is of no use any more after this time.
const STALE: Nanos = 30 * SECOND;

/// Fewer connections than this are no pool.
const LEAST: usize = 4;

/// What was used less than this ago may be between two uses; and less than so many times the
/// usual time between two uses of a connection.
const BETWEEN_USES: Nanos = 10 * SECOND;
const GAPS: u64 = 10;

/// Last uses within this time are one moment: a burst ended, or a load.
const MOMENT: Nanos = SECOND;

/// How rare it has to be by chance that one stack was the last user of so many.
const CHANCE: f64 = 1e-4;

/// A process that works for at least this share of the time that it worked for before is busy.
const BUSY: f64 = 0.5;

/// What a look at the connections of a process to one other end showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolUses {
    pub time: Nanos,
    /// The process, as the number of its identity.
    pub process: u64,
    /// The other end, as text.
    pub peer: String,
    /// Where most of the connections were opened; [`SiteId::UNKNOWN`] where that was out of sight.
    pub site: SiteId,
    /// A bounded number of them, the oldest.
    pub connections: Vec<Pooled>,
    /// When the others were used last, 0 where there are none.
    pub others: Nanos,
    /// How often stacks borrowed.
    pub borrows: Vec<Borrows>,
    /// How long the process has been on processors.
    pub worked: Nanos,
    /// When requests arrived that the process has not answered, the oldest first: a bounded
    /// number.
    pub waiting: Vec<Nanos>,
}

/// A connection of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooled {
    pub handle: Handle,
    pub acquired: Nanos,
    /// The last data that it sent; of one that sent nothing, when it was acquired.
    pub used: Nanos,
    /// The stack that sent them; [`SiteId::UNKNOWN`] where that was not seen.
    pub borrower: SiteId,
}

/// How often a stack borrowed from a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Borrows {
    pub borrower: SiteId,
    pub count: u64,
    /// Of those, after how many the same connection was borrowed again.
    pub followed: u64,
}

/// What is kept of a look: when it was, how long the process had worked, how often stacks had
/// borrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::judge) struct Look {
    pub(in crate::judge) time: Nanos,
    pub(in crate::judge) worked: Nanos,
    pub(in crate::judge) borrows: Vec<(SiteId, u64)>,
}

/// The looks at a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::judge) struct Pool {
    pub(in crate::judge) latest: PoolUses,
    /// In their order, the latest among them.
    pub(in crate::judge) looks: Vec<Look>,
}

/// A pool that nobody uses any more, whose connections stopped being used one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::judge) struct Dry {
    pub(in crate::judge) connections: usize,
    /// The first and the last of the last uses.
    pub(in crate::judge) first: Nanos,
    pub(in crate::judge) last: Nanos,
    /// The stack that was the last user of most of those that were seen in use, and of how many.
    pub(in crate::judge) borrower: Option<(SiteId, usize)>,
    /// Set where it does not give back what it borrows.
    pub(in crate::judge) keeps: Option<Keeps>,
    /// When requests arrived since that were not answered.
    pub(in crate::judge) waiting: Vec<Nanos>,
    /// The process works as it did while the pool was used.
    pub(in crate::judge) is_busy: bool,
}

/// That a stack keeps what it borrows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::judge) struct Keeps {
    /// Of how many borrows, from the time on when the first connection was not given back.
    pub(in crate::judge) borrows: u64,
    /// How many of those it made.
    pub(in crate::judge) own: u64,
    /// How likely that is by chance.
    pub(in crate::judge) chance: f64,
}

impl Pool {
    fn take(&mut self, uses: &PoolUses) {
        let look = Look {
            time: uses.time,
            worked: uses.worked,
            borrows: uses.borrows.iter().map(|b| (b.borrower, b.count)).collect(),
        };
        let same = |other: &Look| other.borrows == look.borrows;
        // Of a time without borrows the first look and the last are enough.
        let is_idle = self.looks.iter().rev().take(2).filter(|one| same(one));
        if is_idle.count() == 2 {
            self.looks.pop();
        }
        if self.looks.len() >= MAX_LOOKS {
            // Half as many of those that are long past.
            let mut number = 0;
            self.looks.retain(|_| {
                number += 1;
                number > MAX_LOOKS / 2 || number % 2 == 1
            });
        }
        self.looks.push(look);
        self.latest = uses.clone();
    }

    /// The stacks that used its connections last, as far as they are known.
    pub(in crate::judge) fn last_users(&self) -> impl Iterator<Item = SiteId> {
        let all = self.latest.connections.iter().map(|one| one.borrower);
        all.filter(|borrower| *borrower != SiteId::UNKNOWN)
    }

    /// Whether the pool ran dry, as far as last uses tell. `None` while it is used, or where
    /// that is usual: then nothing speaks against it.
    pub(in crate::judge) fn dry(&self) -> Option<Dry> {
        let uses = &self.latest;
        let mut used: Vec<Nanos> = uses.connections.iter().map(|one| one.used).collect();
        used.sort_unstable();
        let (&first, &last) = (used.first()?, used.last()?);
        let quiet = uses.time.saturating_sub(last.max(uses.others));
        let limit = self.usual_gap(last).saturating_mul(GAPS).max(BETWEEN_USES);
        if used.len() < LEAST || quiet < limit || !is_spread(&used) {
            return None;
        }
        let seen = self.seen_in_use();
        let borrower = most(&seen);
        Some(Dry {
            connections: used.len(),
            first,
            last,
            borrower,
            keeps: borrower.and_then(|(borrower, of)| self.keeps(borrower, of, &seen)),
            waiting: uses
                .waiting
                .iter()
                .copied()
                .filter(|&arrived| arrived > last)
                .collect(),
            is_busy: self.is_busy(last),
        })
    }

    /// The time between two uses of one connection, on average, while the pool was used.
    fn usual_gap(&self, last: Nanos) -> Nanos {
        let began = self.looks.first().map_or(last, |look| look.time);
        let counted = self.looks.first().map_or(0, Look::total);
        let borrows = self.looks.last().map_or(0, Look::total);
        let borrows = borrows.saturating_sub(counted);
        let span = last.saturating_sub(began);
        let members = self.latest.connections.len() as u64;
        span.saturating_mul(members)
            .checked_div(borrows)
            .unwrap_or(0)
    }

    /// The connections that were used since the first look: who used the others is not known.
    fn seen_in_use(&self) -> Vec<Pooled> {
        let began = self.looks.first().map_or(Nanos::MAX, |look| look.time);
        let all = self.latest.connections.iter();
        all.filter(|one| one.used >= began).copied().collect()
    }

    /// Whether a stack that was the last user of so many of the connections that were seen in use
    /// keeps what it borrows.
    fn keeps(&self, borrower: SiteId, of: usize, seen: &[Pooled]) -> Option<Keeps> {
        let connections = seen.len();
        if connections < LEAST || connections * 2 < self.latest.connections.len() {
            return None;
        }
        let first = seen.iter().map(|one| one.used).min()?;
        let before = self.looks.iter().rev().find(|look| look.time < first);
        let none = Look::default();
        let (before, after) = (before.unwrap_or(&none), self.looks.last()?);
        let borrows = after.total().saturating_sub(before.total());
        let own = after.of(borrower).saturating_sub(before.of(borrower));
        let share = (own + 1) as f64 / (borrows + 2) as f64;
        let chance = at_least(of, connections, share);
        let all = self.latest.borrows.iter();
        let all = all.filter(|one| one.borrower == borrower);
        let (count, followed) = all.fold((0, 0), |(count, followed), one| {
            (count + one.count, followed + one.followed)
        });
        let is_rare = own * 4 <= borrows && chance < CHANCE;
        // Who comes again and again to the same connection gives it back.
        let keeps = followed * 2 <= count;
        (of * 5 >= connections * 4 && is_rare && keeps).then_some(Keeps {
            borrows,
            own,
            chance,
        })
    }

    /// Whether the process works as much since the last use as before.
    fn is_busy(&self, last: Nanos) -> bool {
        let (Some(begin), Some(end)) = (self.looks.first(), self.looks.last()) else {
            return false;
        };
        let Some(middle) = self.looks.iter().find(|look| look.time >= last) else {
            return false;
        };
        let share = |from: &Look, to: &Look| {
            let time = to.time.saturating_sub(from.time);
            let worked = to.worked.saturating_sub(from.worked) as f64;
            (time > 0).then(|| worked / time as f64)
        };
        match (share(begin, middle), share(middle, end)) {
            (Some(before), Some(since)) => before > 0.0 && since >= before * BUSY,
            _ => false,
        }
    }
}

impl Look {
    fn total(&self) -> u64 {
        self.borrows.iter().map(|(_, count)| count).sum()
    }

    fn of(&self, borrower: SiteId) -> u64 {
        let own = self.borrows.iter().filter(|(site, _)| *site == borrower);
        own.map(|(_, count)| count).sum()
    }
}

/// Whether last uses, in their order, came one after the other: no half of them in one moment
/// or a quarter of the time.
fn is_spread(used: &[Nanos]) -> bool {
    let apart = used[used.len() - 1] - used[0];
    let half = used.len().div_ceil(2);
    apart >= MOMENT
        && used
            .windows(half)
            .all(|some| some[half - 1] - some[0] > apart / 4)
}

/// The stack that was the last user of most connections, if it was of half of them, and of how
/// many.
fn most(seen: &[Pooled]) -> Option<(SiteId, usize)> {
    let mut last: HashMap<SiteId, usize> = HashMap::new();
    for one in seen {
        if one.borrower != SiteId::UNKNOWN {
            *last.entry(one.borrower).or_default() += 1;
        }
    }
    let most = last
        .into_iter()
        .max_by_key(|&(site, count)| (count, site))?;
    (most.1 * 2 >= seen.len()).then_some(most)
}

/// How likely it is that of `of` draws at least `count` are of a sort that has this share.
fn at_least(count: usize, of: usize, share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    // The binomial coefficient times the powers, from one term to the next.
    let mut chance = 0.0;
    for hits in count..=of {
        let mut term = 1.0;
        for number in 0..hits {
            term *= (of - number) as f64 / (hits - number) as f64 * share;
        }
        chance += term * (1.0 - share).powi((of - hits) as i32);
    }
    chance
}

/// What is known of all pools, by process and other end.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct AllPools(HashMap<(ProcessId, String), Pool>);

impl AllPools {
    pub(in crate::judge) fn take(&mut self, uses: &PoolUses) {
        let key = (ProcessId(uses.process), uses.peer.clone());
        if self.0.len() < MAX_POOLS || self.0.contains_key(&key) {
            self.0.entry(key).or_default().take(uses);
        }
    }

    /// Those that were looked at lately, in their order.
    pub(in crate::judge) fn lately(&self, now: Nanos) -> Vec<&Pool> {
        let known = self.0.iter();
        let mut lately: Vec<_> = known
            .filter(|(_, pool)| now.saturating_sub(pool.latest.time) <= STALE)
            .collect();
        lately.sort_unstable_by_key(|(key, _)| *key);
        lately.into_iter().map(|(_, pool)| pool).collect()
    }

    /// Puts back what was known of a pool.
    pub(in crate::judge) fn restore(&mut self, pool: Pool) {
        let key = (ProcessId(pool.latest.process), pool.latest.peer.clone());
        if self.0.len() < MAX_POOLS {
            self.0.insert(key, pool);
        }
    }

    /// Forgets processes that the ledger does not know any more.
    pub(in crate::judge) fn forget(&mut self, ledger: &Ledger) {
        self.0.retain(|(process, _), _| {
            let view = ledger.process(*process);
            view.is_some_and(|view| view.exited.is_none())
        });
    }

    pub(in crate::judge) fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_a_binomial_distribution() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12 + b * 1e-9;
        assert!(near(at_least(1, 2, 0.5), 0.75));
        assert!(near(at_least(9, 9, 0.05), 0.05f64.powi(9)));
        assert!(near(at_least(0, 7, 0.3), 1.0));
        assert!(near(at_least(4, 4, 1.0), 1.0));
        assert!(near(at_least(3, 4, 0.1), 4.0 * 0.9 * 0.001 + 0.0001));
    }

    #[test]
    fn a_clump_is_not_one_after_the_other() {
        let times = |seconds: &[f64]| -> Vec<Nanos> {
            let times = seconds.iter().map(|s| (s * SECOND as f64) as Nanos);
            times.collect()
        };
        assert!(is_spread(&times(&[1.0, 2.0, 3.0, 4.0, 5.0])));
        assert!(!is_spread(&times(&[1.0, 1.1, 1.2, 1.3, 5.0])));
        assert!(!is_spread(&times(&[1.0, 1.01, 1.02, 1.03])));
    }

    #[test]
    fn looks_stay_bounded_and_a_quiet_time_takes_two() {
        let mut pool = Pool::default();
        for second in 0..1000u64 {
            let uses = PoolUses {
                time: second * SECOND,
                borrows: vec![Borrows {
                    borrower: SiteId(5),
                    count: second.min(300),
                    followed: 0,
                }],
                ..PoolUses::default()
            };
            pool.take(&uses);
        }
        assert!(pool.looks.len() <= MAX_LOOKS, "{}", pool.looks.len());
        let ends: Vec<Nanos> = pool.looks.iter().rev().take(2).map(|l| l.time).collect();
        assert_eq!(ends, [999 * SECOND, 300 * SECOND]);
        assert!(pool.looks.is_sorted_by_key(|look| look.time));
    }
}
