//! All that one round of judging can look at. Whatever else a new rule needs to know
//! comes to it through here.

use std::{cell::RefCell, collections::HashMap};

use leak_common::{Kind, ProcessId};

use super::generated::AllGenerated;
use super::joined::{AllJoined, Joined};
use super::last_use::AllLastUses;
use super::observed::AllSeen;
use super::pool::AllPools;
use super::refused::AllRefused;
use super::series::Series;
use super::site::{Ended, Known, Site};
use crate::judge::{Config, Judge, confidence::Trust};
use crate::ledger::{Counts, Ledger, SiteDetail, SiteKey, SiteRecord};
use crate::model::time::{Nanos, born};

/// One round of judging.
pub(in crate::judge) struct Round<'a> {
    pub(in crate::judge) config: &'a Config,
    pub(in crate::judge) ledger: &'a Ledger,
    pub(in crate::judge) now: Nanos,
    pub(in crate::judge) window_start: Nanos,
    /// What was observed of processes.
    pub(in crate::judge) seen: &'a AllSeen,
    /// What processes were refused.
    pub(in crate::judge) refused: &'a AllRefused,
    /// What is known of pools of connections.
    pub(in crate::judge) pools: &'a AllPools,
    /// Of each site that holds something, what that is.
    pub(in crate::judge) details: HashMap<SiteKey, SiteDetail>,
    generated: &'a AllGenerated,
    joined: AllJoined,
    last_uses: &'a AllLastUses,
    series: &'a HashMap<SiteKey, Series>,
    totals: &'a HashMap<(ProcessId, Kind), Series>,
    /// What was asked of processes: each site asks again, and finding out takes long.
    processes: RefCell<HashMap<ProcessId, Process>>,
}

/// What a round asks of a process.
#[derive(Clone, Copy)]
struct Process {
    trust: Trust,
    lost_any: bool,
    preexisting: Counts,
    executed: Option<Nanos>,
}

impl<'a> Round<'a> {
    pub(in crate::judge) fn new(
        judge: &'a Judge,
        now: Nanos,
        window_start: Nanos,
        ledger: &'a Ledger,
    ) -> Round<'a> {
        let joined = AllJoined::of(judge, ledger, now);
        let holds = |key: SiteKey| {
            ledger
                .site(key)
                .is_some_and(|record| record.outstanding > 0)
        };
        let counted_at = |key: SiteKey| holds(key).then(|| joined.speaker(key));
        Round {
            config: &judge.config,
            ledger,
            now,
            window_start,
            seen: &judge.seen,
            refused: &judge.refused,
            details: ledger.details_by(counted_at),
            generated: &judge.generated,
            joined,
            pools: &judge.pools,
            last_uses: &judge.last_uses,
            series: &judge.series,
            totals: &judge.totals,
            processes: RefCell::default(),
        }
    }

    /// The site that a site is counted at: itself, mostly.
    pub(in crate::judge) fn counted_at(&self, key: SiteKey) -> SiteKey {
        self.joined.speaker(key)
    }

    /// The sites that are counted as one at a site, if there are others.
    pub(in crate::judge) fn joined(&self, key: SiteKey) -> Option<&Joined> {
        self.joined.get(key)
    }

    /// What the ledger knows of a site, with those that are counted there.
    pub(in crate::judge) fn record(&self, key: SiteKey) -> Option<&SiteRecord> {
        match self.joined.get(key) {
            Some(joined) => Some(&joined.record),
            None => self.ledger.site(key),
        }
    }

    /// All sites but those that are counted at others.
    pub(in crate::judge) fn sites(&self) -> impl Iterator<Item = (SiteKey, &SiteRecord)> {
        let own = self
            .ledger
            .sites()
            .filter(|(key, _)| self.counted_at(*key) == *key);
        own.map(|(key, record)| (key, self.record(key).unwrap_or(record)))
    }

    /// When what a process holds of a site was acquired, ascending.
    pub(in crate::judge) fn times_at(&self, process: ProcessId, key: SiteKey) -> Vec<Nanos> {
        let others = self.joined(key).map_or(&[][..], |joined| &joined.others);
        let sites = std::iter::once(&key).chain(others);
        let mut times: Vec<Nanos> = sites
            .flat_map(|&site| self.ledger.times_at(process, site))
            .collect();
        times.sort_unstable();
        times
    }

    /// Whether a frame of a process is in code that it generates.
    pub(in crate::judge) fn is_generated(&self, process: ProcessId, frame: u64) -> bool {
        self.generated.contains(process, frame)
    }

    /// The time observed.
    pub(in crate::judge) fn window(&self) -> Nanos {
        self.now.saturating_sub(self.window_start)
    }

    /// How far what is known of a process can be trusted.
    pub(in crate::judge) fn trust(&self, process: ProcessId) -> Trust {
        self.process(process).trust
    }

    /// A site, whether the ledger knows it or not.
    pub(in crate::judge) fn site(&self, key: SiteKey) -> Site<'_> {
        let known = self.known(key);
        let first = known.as_ref().map_or(0, |known| known.record.first_seen);
        Site {
            key,
            config: self.config,
            window_start: self.window_start,
            now: self.now,
            start: first.max(self.window_start),
            known,
        }
    }

    fn known(&self, key: SiteKey) -> Option<Known<'_>> {
        let record = self.record(key)?;
        let joined = self.joined(key);
        let process = self.process(record.process);
        Some(Known {
            record,
            balance: record.balance(process.lost_any),
            detail: self.details.get(&key),
            ended: Ended::of(record),
            series: match joined {
                Some(joined) => joined.series.as_ref(),
                None => self.series.get(&key),
            },
            totals: self.totals.get(&(record.process, record.kind)),
            born: process.executed.unwrap_or_else(|| born(record.process)),
            preexisting: process.preexisting.get(record.kind),
            last_uses: match joined {
                Some(joined) => joined.last_uses.as_ref(),
                None => self.last_uses.at(key, self.now),
            },
            until: self.ledger.known_until(),
        })
    }

    fn process(&self, id: ProcessId) -> Process {
        let mut processes = self.processes.borrow_mut();
        *processes.entry(id).or_insert_with(|| {
            let view = self.ledger.process(id);
            Process {
                trust: Trust::of(view.as_ref()),
                lost_any: view.as_ref().is_some_and(|view| view.lost_any),
                preexisting: view.as_ref().map_or(Counts::default(), |v| v.preexisting),
                executed: view.as_ref().and_then(|view| view.executed),
            }
        })
    }
}
