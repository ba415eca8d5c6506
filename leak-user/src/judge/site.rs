//! All that the rules look at, of one site, and of its process.

use std::collections::HashMap;

use leak_common::ProcessId;

use super::{Config, Judge, SECOND, confidence::Trust, series::Series};
use crate::judge::rules::growth::Evidence;
use crate::ledger::{Ledger, ProcessView, SiteDetail, SiteKey, SiteRecord};
use crate::model::time::Nanos;

/// A site, as the rules look at it.
pub(super) struct Site<'a> {
    pub(super) key: SiteKey,
    pub(super) record: &'a SiteRecord,
    pub(super) detail: Option<&'a SiteDetail>,
    pub(super) series: Option<&'a Series>,
    pub(super) totals: Option<&'a Series>,
    /// The first acquisition, or the window's start if that is later.
    pub(super) start: Nanos,
    /// When the process began, or its program.
    pub(super) born: Nanos,
    /// What the process holds of the kind from before the trace.
    pub(super) preexisting: u64,
    pub(super) window_start: Nanos,
    pub(super) now: Nanos,
    /// Until when acquisitions are known: earlier than usual where the tracer had to wait
    /// for a processor.
    pub(super) known: Option<Nanos>,
}

impl Site<'_> {
    pub(super) fn evidence(&self, config: &Config) -> Evidence<'_> {
        let known = self.known.map(|known| known.saturating_add(config.lag()));
        let times = self.detail.map_or(&[][..], |detail| &detail.times);
        let timed = self
            .detail
            .map_or(0, |detail| detail.count.saturating_sub(self.record.adopted));
        Evidence {
            weight: (timed as f64 / times.len().max(1) as f64).max(1.0),
            times,
            lifetimes: self.record.lifetimes,
            outstanding: self.record.outstanding,
            old_released: self.record.old_released,
            adopted: self.record.adopted,
            start: self.start,
            now: self.now.min(known.unwrap_or(self.now)),
            // Who acquires out of sight is not known: it may be several.
            factor: match self.key {
                SiteKey::Site(_) => 1.0,
                SiteKey::Unknown(..) => 2.0,
            },
            series: self.series,
            totals: self.totals,
            born: self.born,
            preexisting: self.preexisting,
            window_start: self.window_start,
        }
    }
}

/// What one round of judging asks for repeatedly.
pub(super) struct Context<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) now: Nanos,
    pub(super) window_start: Nanos,
    views: HashMap<ProcessId, Option<ProcessView>>,
    trusts: HashMap<ProcessId, Trust>,
}

impl<'a> Context<'a> {
    pub(super) fn new(ledger: &'a Ledger, now: Nanos, window_start: Nanos) -> Context<'a> {
        Context {
            ledger,
            now,
            window_start,
            views: HashMap::new(),
            trusts: HashMap::new(),
        }
    }

    pub(super) fn view(&mut self, process: ProcessId) -> Option<&ProcessView> {
        let ledger = self.ledger;
        let view = self.views.entry(process);
        view.or_insert_with(|| ledger.process(process)).as_ref()
    }

    pub(super) fn trust(&mut self, process: ProcessId) -> Trust {
        let ledger = self.ledger;
        let trust = self.trusts.entry(process);
        *trust.or_insert_with(|| Trust::of(ledger, process))
    }
}

impl Judge {
    pub(super) fn site<'a>(
        &'a self,
        context: &mut Context<'_>,
        key: SiteKey,
        record: &'a SiteRecord,
        detail: Option<&'a SiteDetail>,
    ) -> Site<'a> {
        let process = record.process;
        let preexisting = context
            .view(process)
            .map_or(0, |view| view.preexisting.get(record.kind));
        let executed = context.view(process).and_then(|view| view.executed);
        Site {
            key,
            record,
            detail,
            series: self.series.get(&key),
            totals: self.totals.get(&(process, record.kind)),
            start: record.first_seen.max(context.window_start),
            born: executed.unwrap_or_else(|| born(process)),
            preexisting,
            window_start: context.window_start,
            now: context.now,
            known: context.ledger.known_until(),
        }
    }
}

/// When a process began, in nanoseconds since boot. Ticks are hundredths of a second
/// (`USER_HZ`); time that the machine slept makes a process seem younger.
fn born(process: ProcessId) -> Nanos {
    u64::from(process.start_ticks()).saturating_mul(SECOND / 100)
}
