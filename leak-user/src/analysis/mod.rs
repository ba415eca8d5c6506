//! From inputs to a report, without files and without a clock: a live trace and a
//! recording of it go through the same code here.
//!
//! The driver gathers what only the running system knows (names, limits, what a
//! descriptor is) and tells it as [`Input`]s; the report is made of what was told.

mod assemble;
mod bounds;
mod checkpoint;
mod failures;
mod forecast;
mod health;
mod history;
mod input;
mod knowledge;
mod names;
pub mod noise;
pub mod problems;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod uses;

use leak_common::Handle;
use leak_common::ProcessId;

pub use failures::FirstFailure;
pub use input::{Beginning, Input, SavedAnalysis, Wall};

use crate::{
    event::Event,
    judge::{self, Judge, Judged},
    ledger::{self, Ledger},
    model::{
        address::AddressRange,
        facts::{Description, Facts},
        report::{Frame, Health, Holder, Limit, Report},
        site::SiteId,
        time::Nanos,
    },
};
use history::Histories;
use knowledge::Knowledge;
use uses::AllUses;

/// The time that a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What was acquired before is not judged by its pace.
    pub start: Nanos,
    pub end: Nanos,
}

/// Everything that is derived from what happened.
#[derive(Debug)]
pub struct Analysis {
    beginning: Beginning,
    ledger: Ledger,
    judge: Judge,
    knowledge: Knowledge,
    histories: Histories,
    failures: failures::Failures,
    uses: AllUses,
    /// The latest time that was told.
    latest: Nanos,
    ended: Option<(Nanos, Wall)>,
}

impl Analysis {
    /// An analysis that knows how the trace began, and nothing else yet.
    #[must_use]
    pub fn new(beginning: Beginning) -> Analysis {
        Analysis {
            ledger: Ledger::new(ledger::Config {
                keep_exited: beginning.keep_exited,
                all_events: beginning.all_events,
                ..ledger::Config::default()
            }),
            judge: Judge::new(judge::Config {
                nursery: beginning.nursery,
                ..judge::Config::default()
            }),
            knowledge: Knowledge::default(),
            histories: Histories::default(),
            failures: failures::Failures::default(),
            uses: AllUses::default(),
            latest: beginning.from,
            ended: None,
            beginning,
        }
    }

    /// Takes one input.
    pub fn take(&mut self, input: &Input) {
        match input {
            Input::Restored(saved) => self.restore(saved),
            Input::Event(event) => {
                self.latest = self.latest.max(event.time());
                if let Event::Executed(executed) = event {
                    self.knowledge.executed(executed);
                }
                self.ledger.apply(event);
            }
            Input::Failed(failed) => {
                self.latest = self.latest.max(failed.time);
                self.judge.refused(failed);
            }
            Input::Notice(notice) => self.latest = self.latest.max(notice.time()),
            Input::Baseline(baseline) => self.ledger.baseline(baseline),
            Input::Compared { process, shown } => {
                let result = self.ledger.reconcile(*process, shown);
                tracing::debug!(pid = process.pid(), ?result, "compared with /proc");
            }
            Input::Gone(process) => self.ledger.forget(*process),
            Input::Lost(process) => self.ledger.lost(*process),
            Input::Horizon(time) => self.ledger.horizon(*time),
            Input::Counted { site, counts } => self.ledger.site_counted(*site, *counts),
            Input::Sample(time) => self.sample(*time),
            Input::Facts(process, facts) => self.knowledge.facts(*process, facts, self.latest),
            Input::Stack { site, frames } => self.knowledge.stack(*site, frames, self.latest),
            Input::Described {
                time,
                process,
                handle,
                kind,
                description,
            } => self
                .knowledge
                .described(*process, *handle, *time, *kind, description),
            Input::Observed(observation) => self.judge.observe(observation),
            Input::LastUses(uses) => self.judge.used(uses),
            Input::GeneratedCode(code) => self.judge.generated(code),
            Input::PoolUses(uses) => self.judge.pool_used(uses),
            Input::Shared {
                time,
                process,
                handle,
                holders,
            } => self.knowledge.shared(*process, *handle, *time, holders),
            Input::FirstFailure(failure) => {
                self.latest = self.latest.max(failure.time);
                self.failures.take(failure);
            }
            Input::Limits(process, limits) => {
                self.uses.counted(self.latest, *process, limits);
                self.knowledge.limits(*process, limits, self.latest);
            }
            Input::SharedLimits(limits) => {
                self.uses.shared(self.latest, limits);
                self.knowledge.shared_limits.clone_from(limits);
            }
            Input::Full(process, full) => self.knowledge.full(*process, full, self.latest),
            Input::Health(health) => self.knowledge.health.clone_from(health),
            Input::Ended { time, wall } => {
                self.latest = self.latest.max(*time);
                self.ended = Some((*time, *wall));
            }
        }
    }

    fn sample(&mut self, time: Nanos) {
        self.latest = self.latest.max(time);
        let running = self.ledger.running();
        self.judge.sample(time, &self.ledger, &running);
        self.histories.sample(time, &self.ledger, &running);
        self.uses.sample(time, &running);
        self.knowledge.prune(time, &self.ledger);
    }

    /// How the trace began.
    #[must_use]
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// What is outstanding.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The latest time that was told; the trace's end if it was.
    #[must_use]
    pub fn latest(&self) -> Nanos {
        self.latest
    }

    /// Whether the trace's end was told.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// What is known of a process.
    #[must_use]
    pub fn facts(&self, process: ProcessId) -> Option<&Facts> {
        self.knowledge.facts_of(process)
    }

    /// Whether facts are known of the program that a process executed last.
    #[must_use]
    pub fn knows_program(&self, process: ProcessId) -> bool {
        self.facts(process).is_some_and(Facts::tell_program)
    }

    /// A process's name: as it was told last of the program that it executed last, or as
    /// the kernel told it; empty where neither did.
    #[must_use]
    pub fn comm(&self, process: ProcessId) -> String {
        match self.facts(process) {
            Some(facts) if !facts.comm.is_empty() => facts.comm.clone(),
            _ => {
                let view = self.ledger.process(process);
                view.map(|view| names::text(&view.comm)).unwrap_or_default()
            }
        }
    }

    /// The limits known of a process.
    #[must_use]
    pub fn limits_of(&self, process: ProcessId) -> &[Limit] {
        self.knowledge.limits_of(process)
    }

    /// The limits known of processes that run.
    #[must_use]
    pub fn limits(&self) -> Vec<&Limit> {
        let running = self.ledger.processes().filter(|view| view.exited.is_none());
        running
            .flat_map(|view| self.knowledge.limits_of(view.id))
            .collect()
    }

    /// Whether a stack is known of a site.
    #[must_use]
    pub fn has_stack(&self, site: SiteId) -> bool {
        self.knowledge.has_stack(site)
    }

    /// The stacks that used connections of pools last.
    pub fn last_users(&self) -> impl Iterator<Item = SiteId> {
        self.judge.last_users()
    }

    /// Whether this is the stack known of a site.
    #[must_use]
    pub fn knows_stack(&self, site: SiteId, frames: &[Frame]) -> bool {
        self.knowledge.is_stack(site, frames)
    }

    /// What is known of the resource that was acquired as `handle` at a time.
    #[must_use]
    pub fn description(
        &self,
        process: ProcessId,
        handle: Handle,
        acquired: Nanos,
    ) -> Option<&Description> {
        self.knowledge.description(process, handle, acquired)
    }

    /// Who else holds the resource that was acquired as `handle` at a time.
    #[must_use]
    pub fn holders(&self, process: ProcessId, handle: Handle, acquired: Nanos) -> &[Holder] {
        self.knowledge.holders(process, handle, acquired)
    }

    /// Where a process has made code, as far as it was told.
    #[must_use]
    pub fn generated_code(&self, process: ProcessId) -> &[AddressRange] {
        self.judge.generated_by(process)
    }

    /// The sites with their verdicts over a time.
    #[must_use]
    pub fn findings(&self, span: Span) -> Vec<Judged> {
        self.judge.findings(span.end, span.start, &self.ledger)
    }

    /// From the trace's start to its end, or to the latest that was told.
    #[must_use]
    pub fn whole(&self) -> Span {
        Span {
            start: self.beginning.started,
            end: self.ended.map_or(self.latest, |(time, _)| time),
        }
    }

    /// What the kernel side has seen and lost, `told` so far, with what the ledger
    /// has to add.
    #[must_use]
    pub fn health(&self, told: &Health) -> Health {
        let dropped = health::Dropped {
            failures: self.failures.dropped,
            refusals: self.judge.refusals_dropped(),
            last_uses: self.judge.last_uses_dropped(),
        };
        health::complete(told, &self.ledger, dropped)
    }

    /// The report on a time.
    #[must_use]
    pub fn report(&self, span: Span) -> Report {
        assemble::report(self, span)
    }

    /// A time by the wall clock.
    fn wall(&self, time: Nanos) -> Wall {
        match self.ended {
            Some((end, wall)) if end == time => wall,
            _ => {
                let since = time.saturating_sub(self.beginning.started);
                self.beginning.started_at.saturating_add(since)
            }
        }
    }
}
