//! What the report needs of the running system, told when a trace ends; and in each interval of a recording, so that
//! there are names, limits and figures in it also where the tracer is killed.

use std::time::{Duration, Instant};

use leak_common::ProcessId;

use super::{Engine, Parts, parts};
use crate::{
    analysis::{Input, Span},
    judge::Judged,
    kernel::monotonic_now,
    ledger::{ProcessView, SiteKey},
    model::{event_totals::EventTotals, report::Report, site::SiteId, time::Nanos},
    trace::{TraceError, wall_clock},
};

/// How long the report waits for unwind tables that stacks wait for.
const TABLES_LAST: Duration = Duration::from_millis(500);

/// How long the report waits for names that are still being read.
const NAMES_LAST: Duration = Duration::from_millis(500);

/// What is looked up for a recording in an interval at most.
const STACKS: usize = 256;
const FACTS: usize = 256;
const LIMITS: usize = 32;

/// How long that may take: the trace waits for it, and what is left comes later.
const LOOKING_UP: Nanos = 50_000_000;

impl Engine {
    /// Ends the trace: makes the report, and writes the last of the events.
    pub(in crate::trace) async fn finish(
        &mut self,
    ) -> Result<(Report, Option<anyhow::Result<EventTotals>>), TraceError> {
        let report = self.report().await?;
        let lost = self.health().lost_by_cause;
        let events = self.outlet.finish_events(lost).await;
        Ok((report, events))
    }

    /// Takes in what is on its way, compares with /proc, judges.
    async fn report(&mut self) -> anyhow::Result<Report> {
        // What is old is promoted below, however long ago the last tick was.
        parts!(self).tell_releases_until(monotonic_now())?;
        self.reader.stop();
        while let Some(batch) = self.reader.next().await {
            self.take(&batch);
        }
        self.collect_losses()?;
        self.code.wait_for_tables(TABLES_LAST);
        self.code.finish_stacks(monotonic_now(), &mut self.outlet);
        self.intake.promote(parts!(self))?;
        self.intake.count_sites(parts!(self))?;
        let began = Instant::now();
        self.intake.reconcile_all(parts!(self))?;
        self.intake.check_children(&mut self.outlet);
        tracing::debug!(elapsed = ?began.elapsed(), "compared with /proc for the report");
        self.code.wait_for_names(NAMES_LAST);
        tracing::debug!("unwind tables: {}", self.code.figures());
        self.observers
            .finish(&mut self.tracer, &mut self.code, &mut self.outlet);
        let time = monotonic_now();
        self.outlet.tell(Input::Sample(time));
        let analysis = self.outlet.analysis();
        let judged = analysis.findings(Span {
            end: time,
            ..analysis.whole()
        });
        let began = Instant::now();
        self.gather(&judged)?;
        tracing::debug!(elapsed = ?began.elapsed(), findings = judged.len(), "gathered");
        let wall = wall_clock();
        self.outlet.tell(Input::Ended { time, wall });
        let analysis = self.outlet.analysis();
        Ok(analysis.report(analysis.whole()))
    }

    /// Tells all that the report needs on what was judged.
    fn gather(&mut self, judged: &[Judged]) -> anyhow::Result<()> {
        let views: Vec<ProcessView> = self.outlet.ledger().processes().collect();
        for judged in judged {
            if let SiteKey::Site(site) = judged.key {
                self.tell_stack(site);
            }
            if let Some(site) = judged.last_user {
                self.tell_stack(site);
            }
        }
        self.describer.describe(judged, &mut self.outlet);
        for view in &views {
            if view.outstanding.total() + view.preexisting.total() > 0 {
                self.describer.tell_facts(view.id, &mut self.outlet);
            }
        }
        self.describer.tell_sharing(judged, &mut self.outlet);
        self.failures
            .tell(&self.tracer, &mut self.code, &mut self.outlet)?;
        // Those of users are read with them.
        self.describer.tell_shared_limits(true, &mut self.outlet);
        self.describer.tell_limits(&views, judged, &mut self.outlet);
        self.tell_health();
        Ok(())
    }

    fn tell_stack(&mut self, site: SiteId) {
        let frames = self.code.frames_of_site(site, &self.outlet);
        self.outlet.tell_stack(site, frames);
    }

    fn tell_health(&mut self) {
        let health = self.health();
        self.outlet.tell(Input::Health(Box::new(health)));
    }

    /// Tells what a reader of the recording needs who has no more than what was told until now.
    pub(super) fn tell_for_recording(&mut self) {
        if !self.outlet.is_recording() {
            return;
        }
        self.outlet.begin_interval();
        let until = monotonic_now() + LOOKING_UP;
        self.tell_new_stacks(until);
        self.tell_holders(until);
        self.tell_health();
        self.outlet.check_triggers();
        self.outlet.tick();
    }

    /// Names of the stacks of sites that hold something, and of those that use pools.
    fn tell_new_stacks(&mut self, until: Nanos) {
        let analysis = self.outlet.analysis();
        let mut sites: Vec<SiteId> = self
            .outlet
            .ledger()
            .sites()
            .filter(|(_, record)| record.outstanding > 0 || record.ended_with_its_process())
            .filter_map(|(key, _)| match key {
                SiteKey::Site(site) => Some(site),
                SiteKey::Unknown(..) => None,
            })
            .chain(analysis.last_users())
            .filter(|site| !analysis.has_stack(*site))
            .collect();
        sites.sort_unstable();
        sites.dedup();
        for site in sites.into_iter().take(STACKS) {
            if monotonic_now() > until {
                return;
            }
            self.tell_stack(site);
        }
    }

    /// Names of processes that hold something, and limits of those that hold the most.
    fn tell_holders(&mut self, until: Nanos) {
        let mut views: Vec<ProcessView> = self
            .outlet
            .ledger()
            .processes()
            .filter(|view| view.exited.is_none())
            .filter(|view| view.outstanding.total() + view.preexisting.total() > 0)
            .collect();
        views.sort_by_key(|view| (std::cmp::Reverse(view.outstanding.total()), view.id));
        let unknown: Vec<ProcessId> = views
            .iter()
            .map(|view| view.id)
            .filter(|id| !self.outlet.analysis().knows_program(*id))
            .take(FACTS)
            .collect();
        for process in unknown {
            if monotonic_now() > until {
                return;
            }
            self.describer.tell_facts(process, &mut self.outlet);
        }
        let host = self.describer.host_use();
        for view in views.iter().take(LIMITS) {
            if monotonic_now() > until {
                return;
            }
            self.describer
                .tell_limits_of(view.id, &host, &mut self.outlet);
        }
    }
}
