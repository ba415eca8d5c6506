//! A site, as the rules look at it.

use super::account::Account;
use super::last_use::{LastUse, LastUses};
use super::series::Series;
use crate::judge::Config;
use crate::ledger::{Balance, Held, SiteDetail, SiteKey, SiteRecord};
use crate::model::time::Nanos;

/// A site at a time.
pub(in crate::judge) struct Site<'a> {
    pub(in crate::judge) key: SiteKey,
    pub(in crate::judge) config: &'a Config,
    pub(in crate::judge) window_start: Nanos,
    pub(in crate::judge) now: Nanos,
    /// The first acquisition, or the window's start if that is later.
    pub(in crate::judge) start: Nanos,
    /// `None` where all that it has was acquired out of sight: then only rules that
    /// gathered something about it have something to say.
    pub(in crate::judge) known: Option<Known<'a>>,
}

/// What the ledger knows of a site and its process.
pub(in crate::judge) struct Known<'a> {
    pub(in crate::judge) record: &'a SiteRecord,
    /// Where everything is that it has acquired.
    pub(in crate::judge) balance: Balance,
    /// `None` where nothing is outstanding.
    pub(in crate::judge) detail: Option<&'a SiteDetail>,
    /// What the process held at its exit, if that is all there is.
    pub(in crate::judge) ended: Option<Ended>,
    /// What was outstanding here over time.
    pub(in crate::judge) series: Option<&'a Series>,
    /// What the process held of the kind over time.
    pub(in crate::judge) totals: Option<&'a Series>,
    /// When the process began, or its program.
    pub(in crate::judge) born: Nanos,
    /// What the process holds of the kind from before the trace.
    pub(in crate::judge) preexisting: u64,
    /// When some of what is outstanding was used last.
    pub(in crate::judge) last_uses: Option<&'a LastUses>,
    /// Until when acquisitions are known: earlier than usual where the tracer had to wait
    /// for a processor.
    pub(in crate::judge) until: Option<Nanos>,
}

/// What a process held at its exit.
pub(in crate::judge) struct Ended {
    held: Held,
    /// When that was acquired, ascending.
    times: Vec<Nanos>,
}

impl Ended {
    pub(in crate::judge) fn of(record: &SiteRecord) -> Option<Ended> {
        let held = record.at_exit().filter(|_| record.outstanding == 0)?;
        let mut times: Vec<Nanos> = held.samples.iter().map(|sample| sample.acquired).collect();
        times.sort_unstable();
        Some(Ended { held, times })
    }
}

impl Known<'_> {
    /// What was outstanding at times, until the process's exit.
    pub(in crate::judge) fn history(&self) -> Vec<(Nanos, u64)> {
        let exit = self
            .ended
            .as_ref()
            .map_or(Nanos::MAX, |ended| ended.held.exit);
        let history = self.series.map_or_else(Vec::new, Series::history);
        history
            .into_iter()
            .filter(|&(time, _)| time <= exit)
            .collect()
    }
}

impl Site<'_> {
    /// The time observed.
    pub(in crate::judge) fn window(&self) -> Nanos {
        self.now.saturating_sub(self.window_start)
    }

    /// What the process held at its exit, if that is all there is.
    pub(in crate::judge) fn held(&self) -> Option<&Held> {
        let ended = self.known.as_ref()?.ended.as_ref()?;
        Some(&ended.held)
    }

    /// What there is to say on its growth, up to its process's end where that is past; `None`
    /// where the ledger does not know it.
    pub(in crate::judge) fn account(&self) -> Option<Account<'_>> {
        let known = self.known.as_ref()?;
        let record = known.record;
        if let Some(ended) = &known.ended {
            let (old_released, lifetimes) = record.released_before_end();
            let until = ended.held.until();
            return Some(Account {
                weight: (ended.held.count as f64 / ended.times.len().max(1) as f64).max(1.0),
                times: &ended.times,
                lifetimes,
                outstanding: ended.held.count,
                old_released,
                adopted: 0,
                now: until,
                series_end: until,
                ..self.account_of(known, &[])
            });
        }
        let until = known
            .until
            .map(|until| until.saturating_add(self.config.lag()));
        let times = known.detail.map_or(&[][..], |detail| &detail.times);
        let timed = known
            .detail
            .map_or(0, |detail| detail.count.saturating_sub(record.adopted));
        Some(Account {
            weight: (timed as f64 / times.len().max(1) as f64).max(1.0),
            now: self.now.min(until.unwrap_or(self.now)),
            ..self.account_of(known, times)
        })
    }

    fn account_of<'a>(&'a self, known: &'a Known<'_>, times: &'a [Nanos]) -> Account<'a> {
        let record = known.record;
        Account {
            weight: 1.0,
            times,
            lifetimes: record.lifetimes,
            outstanding: record.outstanding,
            old_released: record.old_released,
            released: known.balance.released,
            adopted: record.adopted,
            start: self.start,
            now: self.now,
            // Who acquires out of sight is not known: it may be several.
            factor: match self.key {
                SiteKey::Site(_) => 1.0,
                SiteKey::Unknown(..) => 2.0,
            },
            series: known.series,
            totals: known.totals,
            born: known.born,
            preexisting: known.preexisting,
            window_start: self.window_start,
            last_use: known.last_uses.map_or(LastUse::Unknown, |uses| {
                LastUse::of(uses, record.kind, &record.lifetimes)
            }),
            series_end: Nanos::MAX,
        }
    }
}
