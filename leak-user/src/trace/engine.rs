//! The parts of a running trace, and what is done with a batch, at a tick and at
//! a sample.

use std::time::Duration;

use bytes::Bytes;
use leak_common::{KindSet, ProcessId};

use super::{
    Plan, TraceError, command, events::Stream, failures::Failures, interpreted::Interpreted,
    mappings::Counts, observe::Looks, recording::Recording, unfinished::Stacks, wall_clock,
};
use crate::{
    analysis::{Analysis, Beginning, Input},
    event::{CodeMapped, Event},
    kernel::{RingReader, Tracer, decode::decode_batch, monotonic_now},
    ledger::{Ledger, SiteKey},
    model::{
        facts::Facts,
        hash::{Map, Set},
        site::SiteId,
        time::Nanos,
    },
    proc::{Proc, SHARED_BUDGET, SharedUse},
    stacks::{MappedCode, symbolize::Symbolizer, tables::Tables},
};

/// A running trace.
pub(super) struct Engine {
    pub(super) tracer: Tracer,
    pub(super) reader: RingReader,
    /// Only [`Engine::tell`] changes it.
    pub(super) analysis: Analysis,
    pub(super) recording: Option<Recording>,
    pub(super) events: Option<Stream>,
    pub(super) proc: Proc,
    pub(super) shared_use: SharedUse,
    pub(super) symbolizer: Symbolizer,
    pub(super) tables: Tables,
    pub(super) interpreted: Interpreted,
    pub(super) stacks: Stacks,
    pub(super) failures: Failures,
    /// The holders of shared files were looked for, and time was up.
    pub(super) sharing_cut_short: bool,
    pub(super) kinds: KindSet,
    /// Age in nanoseconds from which a resource is old.
    pub(super) nursery: Nanos,
    /// Time between two looks through the young table.
    pub(super) tick: Nanos,
    /// A command is traced: processes are looked at as soon as they show up, since
    /// they may not live long.
    pub(super) prompt: bool,
    /// The command, and when it was let go: it is held at its exec.
    pub(super) let_go: Option<(ProcessId, Nanos)>,
    /// Only some processes are traced.
    pub(super) chosen: Chosen,
    /// How many of a site's first resources were described, for processes that may
    /// exit.
    pub(super) described: Map<SiteId, usize>,
    /// Processes that exited lately: what the young table holds of them is
    /// promoted at once.
    pub(super) exited: Map<ProcessId, Nanos>,
    /// Which of its process's programs a site belongs to, where that is not the first.
    pub(super) site_generations: Map<SiteId, u32>,
    /// Promoted resources that the kernel counted at another site, of another kind.
    pub(super) moved: Map<SiteId, u64>,
    /// Sites in the kernel's table, by process, to be taken out after its exit.
    pub(super) kernel_sites: Map<ProcessId, Vec<SiteId>>,
    /// Processes whose descriptors were read from /proc at least once.
    pub(super) seen_in_proc: Set<ProcessId>,
    /// When a process's code was last looked at.
    pub(super) learned: Map<ProcessId, Nanos>,
    /// Files of code that may still be opened in this tick as they are mapped.
    files_left: usize,
    /// What was seen of processes beside events.
    pub(super) looks: Looks,
    pub(super) counts: Counts,
    /// Records that made no sense.
    pub(super) undecodable: u64,
    /// Releases of children of processes that are not traced.
    pub(super) of_others: u64,
    /// Runs of programs that the kernel skipped, as far as it was told the ledger.
    pub(super) missed: u64,
    /// Optional hooks that are not in place, one sentence each.
    pub(super) missing_hooks: Vec<String>,
    hooks: usize,
}

/// What selects processes, for the parts that read /proc.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    pub(super) pids: Vec<u32>,
    pub(super) comms: Vec<String>,
    pub(super) cgroup: Option<std::path::PathBuf>,
    pub(super) own_children: bool,
}

impl Chosen {
    pub(super) fn everything(&self) -> bool {
        self.pids.is_empty() && self.comms.is_empty() && self.cgroup.is_none() && !self.own_children
    }
}

/// Figures for the progress line.
pub(super) struct Figures {
    pub(super) events: u64,
    pub(super) outstanding: u64,
    pub(super) processes: usize,
    pub(super) lost: u64,
}

/// How long the start may take until the code that is mapped has unwind tables; what
/// is left then follows. Who traces a host waits for hundreds of programs, who chose
/// processes or a command for those alone.
const TABLES_FIRST: Duration = Duration::from_secs(2);
pub(super) const TABLES_OF_CHOSEN: Duration = Duration::from_secs(10);

/// The chosen processes, or all of them.
fn pids(proc: &Proc, chosen: &[u32]) -> std::io::Result<Vec<u32>> {
    if !chosen.is_empty() {
        return Ok(chosen.to_vec());
    }
    let processes = proc.processes()?;
    Ok(processes.iter().map(|stat| stat.id.pid()).collect())
}

/// Least time between two looks at the same process's code.
const LEARN_AGAIN: Nanos = 100_000_000;

/// Files of code opened in a tick as they are mapped: whoever maps ever more of them does
/// not keep the tracer from its events. The others are found by looking at the process.
const FILES_IN_A_TICK: usize = 64;

impl Engine {
    /// Attaches everything and takes the baseline.
    pub(super) fn start(tracer: Tracer, proc: Proc, plan: &Plan) -> Result<Engine, TraceError> {
        let mut tracer = tracer;
        let tables = Tables::start(tracer.take_tables()?, proc.clone())?;
        let run = !plan.command.is_empty();
        if !run {
            tables.learn_processes(pids(&proc, &plan.pids)?);
            tables.wait(match plan.pids.as_slice() {
                [] => TABLES_FIRST,
                _ => TABLES_OF_CHOSEN,
            });
        }
        if plan.pids.is_empty() {
            tables.learn_host();
        }
        for &pid in &plan.pids {
            tracer.add_target(pid, leak_common::config::target::BY_PID)?;
        }
        let (placed, missing): (Vec<_>, Vec<_>) = tracer
            .attach()?
            .iter()
            .partition(|hook| hook.missing.is_none());
        let hooks = placed.len();
        let missing_hooks = missing
            .iter()
            .filter_map(|hook| Some(format!("{}: {}", hook.name, hook.missing.as_ref()?)))
            .collect();
        let started = monotonic_now();
        let started_at = wall_clock();
        let reader = RingReader::start(tracer.take_ring()?, plan.ring_bytes, run)?;
        let chosen = Chosen {
            pids: plan.pids.clone(),
            comms: plan.comms.clone(),
            cgroup: plan.cgroup.clone(),
            own_children: run,
        };
        let nursery = u64::try_from(plan.nursery.as_nanos()).unwrap_or(u64::MAX);
        let analysis = Analysis::new(Beginning {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: proc.host_facts(),
            started,
            started_at,
            from: started,
            part: 0,
            nursery,
            kinds: plan.kinds.bits(),
            // Whoever chose a process wants to know what it left.
            keep_exited: !chosen.everything(),
            all_events: plan.all_events,
        });
        let mut engine = Engine {
            tracer,
            reader,
            analysis,
            recording: None,
            events: None,
            proc,
            shared_use: SharedUse::default(),
            symbolizer: Symbolizer::default(),
            tables,
            interpreted: Interpreted::start()?,
            stacks: Stacks::default(),
            failures: Failures::default(),
            sharing_cut_short: false,
            kinds: plan.kinds,
            nursery,
            tick: u64::try_from(super::tick(plan.nursery).as_nanos()).unwrap_or(u64::MAX),
            prompt: run,
            let_go: None,
            chosen,
            described: Map::default(),
            exited: Map::default(),
            site_generations: Map::default(),
            moved: Map::default(),
            kernel_sites: Map::default(),
            seen_in_proc: Set::default(),
            learned: Map::default(),
            files_left: FILES_IN_A_TICK,
            looks: Looks::default(),
            counts: Counts::default(),
            undecodable: 0,
            of_others: 0,
            missed: 0,
            missing_hooks,
            hooks,
        };
        // Processes that live for a moment have names from libraries that are here too.
        engine.symbolizer.learn_own(&engine.proc, monotonic_now());
        engine.start_recording(plan.record.as_ref(), &plan.triggers)?;
        engine.baseline()?;
        engine.send_recording();
        Ok(engine)
    }

    /// Hooks in place.
    pub(super) fn hooks(&self) -> usize {
        self.hooks
    }

    pub(super) async fn next_batch(&mut self) -> anyhow::Result<Bytes> {
        self.reader
            .next()
            .await
            .ok_or_else(|| anyhow::anyhow!("the ring reader ended"))
    }

    /// Decodes a batch into the ledger.
    pub(super) fn take(&mut self, batch: &[u8]) {
        let undecodable = decode_batch(batch, |event| self.apply(event));
        if undecodable > 0 {
            self.undecodable += undecodable;
            tracing::error!(undecodable, "records that make no sense");
            self.tell(Input::Lost(None));
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.analysis.ledger()
    }

    fn apply(&mut self, event: Event) {
        let mut event = event;
        if let Event::Released(gone) = &mut event
            && gone.process == ProcessId::NONE
            && !self.find_parent(gone)
        {
            self.of_others += 1;
            return;
        }
        match &mut event {
            Event::Executed(executed) => {
                command::since_let_go(executed, self.let_go);
                self.stacks.mapped.forget(executed.process);
            }
            Event::Acquired(acquired) => {
                self.acquired(*acquired);
                return;
            }
            Event::Site(site) => {
                self.kernel_sites
                    .entry(site.process)
                    .or_default()
                    .push(site.id);
                let generation = self.generation(site.process);
                if generation > 0 {
                    self.site_generations.insert(site.id, generation);
                }
            }
            Event::Exited { time, process } => {
                self.exited.insert(*process, *time);
            }
            Event::Forked(forked) => self.stacks.mapped.forked(forked.parent, forked.child),
            Event::CodeMapped(mapped) => {
                self.tables.want(mapped);
                self.stacks.mapped.mapped(mapped);
                self.learn_mapped(mapped);
                return;
            }
            Event::Failed(failed) => {
                self.failed(failed);
                return;
            }
            Event::Unfinished(stack) => {
                self.unfinished(stack);
                return;
            }
            Event::Interpreted(walked) => {
                self.stacks.interpreted(walked.site, &walked.frames);
                if let Some(runtime) = self.tables.runtime(walked.layout) {
                    let pid = walked.process.pid();
                    self.interpreted
                        .take(walked.site, pid, runtime, &walked.frames);
                }
                return;
            }
            _ => {}
        }
        let site = match &event {
            Event::Site(site) if self.prompt => Some(site.id),
            _ => None,
        };
        let followed = match &event {
            Event::Forked(_) | Event::Executed(_) => Some(event.clone()),
            _ => None,
        };
        self.tell(Input::Event(event));
        if let Some(site) = site {
            self.look_at_site(site);
        }
        match followed {
            Some(Event::Executed(executed)) if self.prompt => {
                self.learned.remove(&executed.process);
                self.look_at(executed.process, &[0], executed.time);
                self.remember(executed.process);
            }
            Some(Event::Forked(forked)) => {
                let generation = self.generation(forked.parent);
                self.symbolizer
                    .inherit((forked.parent, generation), (forked.child, 0));
            }
            _ => {}
        }
    }

    /// Reads a process's code if a stack is not covered by what is known of it.
    pub(super) fn look_at(&mut self, process: ProcessId, frames: &[u64], time: Nanos) {
        let generation = self.generation(process);
        if self.symbolizer.covers(process, generation, frames, time) {
            return;
        }
        // Garbage on a stack stays uncovered however often one looks.
        let now = monotonic_now();
        let last = self.learned.get(&process).copied();
        if last.is_some_and(|last| now.saturating_sub(last) < LEARN_AGAIN) && !self.prompt {
            return;
        }
        if self.proc.identity(process.pid()) == Some(process) {
            self.learned.insert(process, now);
            self.symbolizer.learn(&self.proc, process, generation, now);
        }
    }

    /// Takes note of code that a process has just mapped.
    fn learn_mapped(&mut self, mapped: &CodeMapped) {
        let generation = self.generation(mapped.process);
        let process = (mapped.process, generation);
        let open = || {
            self.files_left = self.files_left.checked_sub(1)?;
            self.tables.open(mapped).ok()
        };
        self.symbolizer.mapped(
            &self.proc,
            process,
            mapped.time,
            &MappedCode::from(mapped),
            open,
        );
    }

    /// Looks at the code of a site's process.
    pub(super) fn look_at_site(&mut self, site: SiteId) {
        let Some(record) = self.ledger().site(SiteKey::Site(site)) else {
            return;
        };
        let (process, time) = (record.process, record.first_seen);
        let frames = record.frames.clone();
        // The code of a program that was replaced is gone.
        if self.site_generation(site) == self.generation(process) {
            self.look_at(process, &frames, time);
        }
    }

    /// Keeps name and command line of a process for the report.
    pub(super) fn remember(&mut self, process: ProcessId) {
        if self.proc.identity(process.pid()) == Some(process)
            && let Some(facts) = self.proc.status_facts(process.pid())
        {
            self.tell_facts(process, facts);
        }
    }

    /// Tells what is known of a process, unless that was told.
    pub(super) fn tell_facts(&mut self, process: ProcessId, facts: Facts) {
        if self.analysis.facts(process) != Some(&facts) {
            self.tell(Input::Facts(process, Box::new(facts)));
        }
    }

    pub(super) fn generation(&self, process: ProcessId) -> u32 {
        self.ledger().generation(process)
    }

    /// Which of its process's programs a site belongs to.
    pub(super) fn site_generation(&self, site: SiteId) -> u32 {
        self.site_generations.get(&site).copied().unwrap_or(0)
    }

    /// Promotes what is old, collects losses, and compares with /proc what is in
    /// doubt.
    pub(super) fn tick(&mut self) -> anyhow::Result<()> {
        self.files_left = FILES_IN_A_TICK;
        self.collect_losses()?;
        self.finish_stacks(monotonic_now());
        self.refresh_failures();
        self.promote()?;
        self.reconcile_some()?;
        self.choose_more()?;
        self.tick_recording();
        Ok(())
    }

    /// Takes a sample for the judge.
    pub(super) fn sample(&mut self) -> anyhow::Result<()> {
        self.count_sites()?;
        self.check_children();
        self.observe();
        self.count_mappings();
        self.tell(Input::Sample(monotonic_now()));
        let shared = self.shared_use.read(&self.proc, Some(SHARED_BUDGET));
        self.tell(Input::SharedLimits(shared));
        self.forget_exited()?;
        self.tell_for_recording();
        Ok(())
    }

    /// Takes over how often each site has acquired.
    pub(super) fn count_sites(&mut self) -> anyhow::Result<()> {
        let mut totals: Map<SiteId, u64> = Map::default();
        for (site, total) in self.tracer.site_totals()? {
            let moved = self.moved.get(&site).copied().unwrap_or(0);
            *totals.entry(self.stacks.resolve(site)).or_default() += total.saturating_sub(moved);
        }
        for (site, total) in totals {
            let known = self.ledger().site(SiteKey::Site(site));
            if known.is_some_and(|known| known.counted() != total) {
                self.tell(Input::Counted { site, total });
            }
        }
        Ok(())
    }

    pub(super) fn collect_losses(&mut self) -> anyhow::Result<()> {
        for (process, count) in self.tracer.take_losses()? {
            tracing::debug!(pid = process.pid(), count, "records lost");
            let process = (process != ProcessId::NONE).then_some(process);
            self.tell(Input::Lost(process));
        }
        let missed = self.tracer.missed();
        if missed > self.missed {
            self.missed = missed;
            self.tell(Input::Lost(None));
        }
        Ok(())
    }

    /// Drops what is kept of processes whose exit is long past.
    fn forget_exited(&mut self) -> anyhow::Result<()> {
        let horizon = monotonic_now().saturating_sub(2 * self.nursery);
        let gone: Vec<ProcessId> = self
            .exited
            .iter()
            .filter(|(_, time)| **time < horizon)
            .map(|(process, _)| *process)
            .collect();
        self.close_failures(&gone)?;
        for process in gone {
            self.exited.remove(&process);
            self.learned.remove(&process);
            self.seen_in_proc.remove(&process);
            self.stacks.mapped.forget(process);
            // The ledger remembers a bounded number of those that left something.
            let kept = self.ledger().knows(process);
            for site in self.kernel_sites.remove(&process).unwrap_or_default() {
                self.tracer.forget_site(site);
                self.moved.remove(&site);
                if !kept {
                    self.interpreted.forget(site);
                    self.stacks.forget_site(site);
                }
                if !kept {
                    self.site_generations.remove(&site);
                    self.described.remove(&site);
                }
            }
            if !kept {
                self.symbolizer.forget(process);
            }
        }
        Ok(())
    }

    /// Figures for the progress line.
    pub(super) fn progress(&self) -> Figures {
        let counters = self.tracer.counters().unwrap_or_default();
        let (mut outstanding, mut processes) = (0, 0);
        for process in self.ledger().processes() {
            let held = process.outstanding.total();
            outstanding += held;
            processes += usize::from(held > 0);
        }
        Figures {
            events: self.seen(&counters),
            outstanding,
            processes,
            lost: self.analysis.health(&self.health()).lost,
        }
    }
}
