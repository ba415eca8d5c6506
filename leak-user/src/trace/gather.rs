//! What only the running system knows, told to the analysis for the report: names
//! of frames, what descriptors are, limits, and what was lost.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use leak_common::{Counter, Handle, Kind, ProcessId, wire::StackEnd};

use super::{engine::Engine, observe::Looks, unfinished::EndChanges, wall_clock};
use crate::{
    analysis::{Input, Span},
    judge::Judged,
    kernel::{Counters, monotonic_now},
    ledger::{ProcessView, Sample, SiteKey},
    model::{
        report::{Frame, Health, Report, Verdict},
        site::SiteId,
    },
    proc::HostUse,
};

/// How long the report waits for unwind tables that stacks wait for.
const TABLES_LAST: Duration = Duration::from_millis(500);

/// How long the report waits for names that are still being read.
const NAMES_LAST: Duration = Duration::from_millis(500);

/// Examples whose other holders are looked for, those of the first findings, and how
/// long that may take.
const MAX_SHARED: usize = 256;
const SHARING_LIMIT: Duration = Duration::from_secs(1);

/// Processes whose limits are read, those with findings first.
const MAX_LIMITS: usize = 512;

impl Engine {
    /// Ends the trace: takes in what is on its way, compares with /proc, judges.
    pub(super) async fn finish(&mut self) -> anyhow::Result<Report> {
        // What is old is promoted below, however long ago the last tick was.
        self.tell_releases_until(monotonic_now())?;
        self.reader.stop();
        while let Some(batch) = self.reader.next().await {
            self.take(&batch);
        }
        self.collect_losses()?;
        self.tables.wait(TABLES_LAST);
        self.finish_stacks(monotonic_now());
        self.promote()?;
        self.count_sites()?;
        let began = Instant::now();
        self.reconcile_all()?;
        self.check_children();
        tracing::debug!(elapsed = ?began.elapsed(), "compared with /proc for the report");
        self.interpreted.wait(NAMES_LAST);
        tracing::debug!("unwind tables: {}", self.tables.figures());
        self.looks = Looks::default();
        self.observe();
        let time = monotonic_now();
        self.tell(Input::Sample(time));
        let judged = self.analysis.findings(Span {
            end: time,
            ..self.analysis.whole()
        });
        let began = Instant::now();
        self.gather(&judged)?;
        tracing::debug!(elapsed = ?began.elapsed(), findings = judged.len(), "gathered");
        let wall = wall_clock();
        self.tell(Input::Ended { time, wall });
        Ok(self.analysis.report(self.analysis.whole()))
    }

    /// Tells all that the report needs on what was judged.
    fn gather(&mut self, judged: &[Judged]) -> anyhow::Result<()> {
        let views: Vec<ProcessView> = self.ledger().processes().collect();
        for judged in judged {
            if let SiteKey::Site(site) = judged.key {
                self.tell_stack(site);
            }
        }
        self.describe(judged);
        for view in &views {
            if view.outstanding.total() + view.preexisting.total() > 0 {
                self.remember(view.id);
            }
        }
        self.tell_sharing(judged);
        self.tell_failures()?;
        self.tell_limits(&views, judged);
        let shared = self.shared_use.read(&self.proc, None);
        self.tell(Input::SharedLimits(shared));
        let health = self.health();
        self.tell(Input::Health(Box::new(health)));
        Ok(())
    }

    fn is_live(&self, process: ProcessId) -> bool {
        self.proc.identity(process.pid()) == Some(process)
    }

    pub(super) fn tell_stack(&mut self, site: SiteId) {
        let frames = self.stack(site);
        if !self.analysis.knows_stack(site, &frames) {
            self.tell(Input::Stack { site, frames });
        }
    }

    /// The frames of a site, innermost first.
    fn stack(&mut self, site: SiteId) -> Vec<Frame> {
        let Some(record) = self.ledger().site(SiteKey::Site(site)) else {
            return Vec::new();
        };
        let (process, end, time) = (record.process, record.end, record.first_seen);
        let frames = record.frames.clone();
        let generation = self.site_generation(site);
        let native = self
            .symbolizer
            .symbolize(process, generation, &frames, time);
        self.interpreted
            .merge(site, native, end == StackEnd::Complete)
    }

    /// Tells what the examples of findings are, while their processes live: each process
    /// is asked once, for some answers are in tables of the whole host.
    fn describe(&mut self, judged: &[Judged]) {
        let mut wanted: BTreeMap<ProcessId, Vec<(Sample, Kind)>> = BTreeMap::new();
        for judged in judged {
            let samples = judged.samples.iter().map(|sample| (*sample, judged.kind));
            wanted.entry(judged.process).or_default().extend(samples);
        }
        for (process, samples) in wanted {
            if self.is_live(process) {
                self.describe_samples(process, &samples);
            }
        }
    }

    fn describe_samples(&mut self, process: ProcessId, samples: &[(Sample, Kind)]) {
        let resources: Vec<(Handle, Kind)> = samples
            .iter()
            .map(|(sample, kind)| (sample.handle, *kind))
            .collect();
        let time = monotonic_now();
        let descriptions = self.proc.describe_many(process.pid(), &resources);
        for (&(sample, kind), description) in samples.iter().zip(descriptions) {
            let known = self
                .analysis
                .description(process, sample.handle, sample.acquired);
            if known != Some(&description) {
                self.tell(Input::Described {
                    time,
                    process,
                    handle: sample.handle,
                    kind,
                    description: Box::new(description),
                });
            }
        }
    }

    /// Tells who else holds what may be leaked.
    fn tell_sharing(&mut self, judged: &[Judged]) {
        let mut asked = Vec::new();
        for judged in judged {
            if judged.verdict == Verdict::Steady || !self.is_live(judged.process) {
                continue;
            }
            let descriptors = judged.samples.iter().filter_map(|sample| {
                let number = sample.handle.descriptor()?;
                Some((judged.process, number, *sample))
            });
            asked.extend(descriptors.take(MAX_SHARED - asked.len()));
        }
        let wanted: Vec<(u32, u32)> = asked
            .iter()
            .map(|(process, number, _)| (process.pid(), *number))
            .collect();
        let time = monotonic_now();
        let sharing = self.proc.sharing(&wanted, Instant::now() + SHARING_LIMIT);
        self.sharing_cut_short = sharing.cut_short;
        for ((process, _, sample), holders) in asked.into_iter().zip(sharing.holders) {
            let known = self
                .analysis
                .holders(process, sample.handle, sample.acquired);
            if known != holders {
                self.tell(Input::Shared {
                    time,
                    process,
                    handle: sample.handle,
                    holders,
                });
            }
        }
    }

    /// Tells the limits of the processes that matter most.
    fn tell_limits(&mut self, views: &[ProcessView], judged: &[Judged]) {
        let host = self.proc.host_use();
        let mut told: HashSet<ProcessId> = HashSet::new();
        let judged = judged.iter().map(|judged| judged.process);
        for process in judged.chain(views.iter().map(|view| view.id)) {
            if told.len() >= MAX_LIMITS {
                break;
            }
            if self.is_live(process) && told.insert(process) {
                self.tell_limits_of(process, &host);
            }
        }
    }

    /// Tells the limits of a process, unless that was told.
    pub(super) fn tell_limits_of(&mut self, process: ProcessId, host: &HostUse) {
        if !self.is_live(process) {
            return;
        }
        let limits = self.proc.limits(process.pid(), host);
        if self.analysis.limits_of(process) != limits {
            self.tell(Input::Limits(process, limits));
        }
    }

    /// Acquisitions and releases of what is traced.
    pub(super) fn seen(&self, counters: &Counters) -> u64 {
        let all = counters.get(Counter::Acquired) + counters.get(Counter::Released);
        all.saturating_sub(self.of_others)
    }

    /// What the kernel side and this driver have seen and lost so far.
    pub(super) fn health(&self) -> Health {
        let counters = self.tracer.counters().unwrap_or_default();
        let lost_by_cause = self.lost(&counters);
        let unfinished = unfinished(&counters, &self.stacks.ends);
        Health {
            events: self.seen(&counters),
            lost: lost_by_cause.values().sum(),
            lost_by_cause,
            stacks_truncated: unfinished.values().sum(),
            stacks_truncated_by_reason: unfinished,
            uncovered: self.uncovered(),
            ..Health::default()
        }
    }

    fn uncovered(&self) -> Vec<String> {
        let mut sentences = self.missing_hooks.clone();
        if self.sharing_cut_short {
            sentences.push(
                "not all holders of shared files were found: the host has many descriptors"
                    .to_owned(),
            );
        }
        sentences
    }

    /// Losses by cause; what is zero is left out.
    fn lost(&self, counters: &Counters) -> BTreeMap<String, u64> {
        let of_kernel = Counter::ALL
            .into_iter()
            .filter_map(|counter| Some((counter.loss()?, counters.get(counter))));
        let of_ours = [
            ("undecodable", self.undecodable),
            ("program_busy", self.missed),
            ("recording", self.lost_to_recording()),
        ];
        of_kernel
            .chain(of_ours)
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (cause.to_owned(), count))
            .collect()
    }
}

/// Stacks that ended early, by reason; what is zero is left out. `changes` are those
/// that user space has walked on since.
fn unfinished(counters: &Counters, changes: &EndChanges) -> BTreeMap<String, u64> {
    StackEnd::ALL
        .into_iter()
        .filter_map(|end| Some((end, counters.get(Counter::of_stack(end)?))))
        .map(|(end, count)| (end.name().to_owned(), changes.apply(end, count)))
        .filter(|(_, count)| *count > 0)
        .collect()
}
