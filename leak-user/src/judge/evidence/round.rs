//! All that one round of judging can look at. Whatever else a new rule needs to know
//! comes to it through here.

use std::{cell::RefCell, collections::HashMap};

use leak_common::{Kind, ProcessId};

use super::last_use::AllLastUses;
use super::observed::AllSeen;
use super::refused::AllRefused;
use super::series::Series;
use super::site::{Ended, Known, Site};
use crate::judge::{Config, Judge, confidence::Trust};
use crate::ledger::{Counts, Ledger, SiteDetail, SiteKey};
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
    /// Of each site that holds something, what that is.
    pub(in crate::judge) details: HashMap<SiteKey, SiteDetail>,
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
        let holds = |key: SiteKey| {
            ledger
                .site(key)
                .is_some_and(|record| record.outstanding > 0)
        };
        Round {
            config: &judge.config,
            ledger,
            now,
            window_start,
            seen: &judge.seen,
            refused: &judge.refused,
            details: ledger.details(holds),
            last_uses: &judge.last_uses,
            series: &judge.series,
            totals: &judge.totals,
            processes: RefCell::default(),
        }
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
        let record = self.ledger.site(key)?;
        let process = self.process(record.process);
        Some(Known {
            record,
            balance: record.balance(process.lost_any),
            detail: self.details.get(&key),
            ended: Ended::of(record),
            series: self.series.get(&key),
            totals: self.totals.get(&(record.process, record.kind)),
            born: process.executed.unwrap_or_else(|| born(record.process)),
            preexisting: process.preexisting.get(record.kind),
            last_uses: self.last_uses.at(key, self.now),
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
