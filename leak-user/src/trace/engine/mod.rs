//! The parts of a running trace put together: what is done with a batch of records, at a tick and at a sample. Each part
//! keeps its own state; what they learn goes through the outlet.

mod gather;
mod health;
mod worst;

#[cfg(test)]
pub(super) use worst::First;
pub(super) use worst::{Nearest, Worst};

use bytes::Bytes;
use leak_common::ProcessId;
use tokio::task::spawn_blocking;

use super::{
    Plan, TraceError,
    code::Code,
    describer::Describer,
    failures::Failures,
    intake::{Intake, Parts},
    observers::Observers,
    outlet::Outlet,
    scope::Scope,
    wall_clock,
};
use crate::{
    analysis::{Beginning, Input},
    event::{Event, Failed, Message},
    kernel::{Attached, RingReader, Tracer, decode::decode_batch, monotonic_now},
    output::EventOutput,
    proc::Proc,
    recording::writer::Summary,
};

/// A running trace.
pub(super) struct Engine {
    proc: Proc,
    scope: Scope,
    tracer: Tracer,
    reader: RingReader,
    outlet: Outlet,
    code: Code,
    describer: Describer,
    failures: Failures,
    observers: Observers,
    intake: Intake,
    /// Records that made no sense.
    undecodable: u64,
    /// Runs of programs that the kernel skipped, as far as that was told.
    missed: u64,
    hooks: Hooks,
    /// Which running children of the chosen processes are not traced, one sentence.
    left_out: Option<String>,
    /// A process that matches what was chosen was met.
    is_met: bool,
    pace: worst::Pace,
}

/// The hooks of a trace.
struct Hooks {
    in_place: usize,
    /// Optional ones that are not, one sentence each.
    missing: Vec<String>,
}

impl Hooks {
    fn of(attached: &[Attached]) -> Hooks {
        let missing: Vec<String> = attached
            .iter()
            .filter_map(|hook| Some(format!("{}: {}", hook.name, hook.missing.as_ref()?)))
            .collect();
        Hooks {
            in_place: attached.len() - missing.len(),
            missing,
        }
    }
}

/// The parts that the intake needs, beside the intake itself.
macro_rules! parts {
    ($engine:ident) => {
        &mut Parts {
            scope: &$engine.scope,
            tracer: &mut $engine.tracer,
            outlet: &mut $engine.outlet,
            code: &mut $engine.code,
            describer: &mut $engine.describer,
        }
    };
}
use parts;

impl Engine {
    /// Attaches everything and takes the baseline.
    pub(super) async fn start(
        tracer: Tracer,
        proc: Proc,
        plan: &Plan,
    ) -> Result<Engine, TraceError> {
        let mut tracer = tracer;
        let scope = Scope::of(plan);
        let mut code = Code::start(tracer.take_tables()?, &proc, plan)?;
        for &pid in &plan.pids {
            tracer.add_target(pid, leak_common::config::target::BY_PID)?;
        }
        // On a thread of its own: the kernel gives the verification up where a signal comes, and it would begin anew.
        let (mut tracer, hooks) = spawn_blocking(move || -> Result<_, TraceError> {
            let hooks = Hooks::of(tracer.attach()?);
            Ok((tracer, hooks))
        })
        .await
        .map_err(|error| TraceError::Other(error.into()))??;
        let started = monotonic_now();
        let started_at = wall_clock();
        let reader = RingReader::start(tracer.take_ring()?, plan.ring_bytes, scope.prompt)?;
        let outlet = Outlet::new(Beginning {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: proc.host_facts(),
            started,
            started_at,
            from: started,
            part: 0,
            nursery: scope.nursery,
            kinds: scope.kinds.bits(),
            // Who chose a process wants to know what it left.
            keep_exited: !scope.chosen.everything(),
            all_events: plan.all_events,
        });
        code.learn_own();
        let mut engine = Engine {
            describer: Describer::new(&proc),
            failures: Failures::new(&proc),
            observers: Observers::new(&proc),
            intake: Intake::new(&proc),
            proc,
            scope,
            tracer,
            reader,
            outlet,
            code,
            undecodable: 0,
            missed: 0,
            hooks,
            left_out: None,
            is_met: false,
            pace: worst::Pace::default(),
        };
        if let Some(record) = &plan.record {
            engine.outlet.record(record, &plan.triggers)?;
        }
        engine.intake.baseline(parts!(engine)).await?;
        engine.left_out = engine.scope.chosen.left_out(&engine.proc, &engine.tracer);
        engine.observers.start(&mut engine.outlet);
        engine.outlet.write_recording();
        Ok(engine)
    }

    /// Begins to write single events.
    pub(super) fn write_events(&mut self, output: EventOutput) -> std::io::Result<()> {
        self.outlet.write_events(output)
    }

    /// Hooks in place.
    pub(super) fn hooks(&self) -> usize {
        self.hooks.in_place
    }

    /// Which running children of the chosen processes are not traced.
    pub(super) fn left_out(&self) -> Option<&str> {
        self.left_out.as_deref()
    }

    /// Whether all processes that were chosen by pid have ended, and their descendants.
    pub(super) fn chosen_have_ended(&self) -> anyhow::Result<bool> {
        self.scope.chosen.have_ended(&self.proc, &self.tracer)
    }

    /// Learns the code of a command that is held before its first instruction.
    pub(super) fn learn_command(&mut self, pid: u32) {
        if let Some(process) = self.proc.identity(pid) {
            self.code.learn_command(process);
            self.intake.let_go(process);
            // Its program counts as executed when it is let go: what is read is of that one.
            self.describer.tell_facts(process, &mut self.outlet);
        }
    }

    pub(super) async fn next_batch(&mut self) -> anyhow::Result<Bytes> {
        self.reader
            .next()
            .await
            .ok_or_else(|| anyhow::anyhow!("the ring reader ended"))
    }

    /// Decodes a batch and takes what it says.
    pub(super) fn take(&mut self, batch: &[u8]) {
        let undecodable = decode_batch(batch, |message| match message {
            Message::Event(event) => self.event(event),
            Message::Failed(failed) => self.failed(failed),
            Message::Notice(notice) => self.code.noticed(&notice, &mut self.outlet),
        });
        if undecodable > 0 {
            self.undecodable += undecodable;
            tracing::error!(undecodable, "records that make no sense");
            self.outlet.tell(Input::Lost(None));
        }
    }

    fn event(&mut self, event: Event) {
        self.intake.event(event, parts!(self));
    }

    fn failed(&mut self, mut failed: Failed) {
        failed.site = self.code.resolve(failed.site);
        self.outlet.tell(Input::Failed(failed));
        self.describer.tell_facts(failed.process, &mut self.outlet);
        self.failures
            .failed(&failed, &mut self.code, &mut self.outlet);
        self.observers.refused(&failed, &mut self.outlet);
    }

    /// Promotes what is old, collects losses, and compares with /proc what is in
    /// doubt.
    pub(super) fn tick(&mut self) -> anyhow::Result<()> {
        self.code.tick();
        self.collect_losses()?;
        self.code.finish_stacks(monotonic_now(), &mut self.outlet);
        self.failures.refresh(&self.code, &self.outlet);
        self.intake.promote(parts!(self))?;
        self.intake.reconcile_some(parts!(self))?;
        self.scope
            .chosen
            .choose_more(&self.proc, &mut self.tracer)?;
        self.is_met = self.is_met || self.meets_one();
        self.outlet.tick();
        self.outlet.write_out();
        Ok(())
    }

    /// Takes a sample for the judge.
    pub(super) fn sample(&mut self) -> anyhow::Result<()> {
        self.intake.count_sites(parts!(self))?;
        self.intake.check_children(&mut self.outlet);
        self.intake.look_at_counts(parts!(self))?;
        self.observers
            .sample(&mut self.tracer, &mut self.code, &mut self.outlet);
        self.outlet.tell(Input::Sample(monotonic_now()));
        self.describer.tell_shared_limits(false, &mut self.outlet);
        self.forget_exited()?;
        self.tell_for_recording();
        Ok(())
    }

    fn collect_losses(&mut self) -> anyhow::Result<()> {
        for (process, count) in self.tracer.take_losses()? {
            tracing::debug!(pid = process.pid(), count, "records lost");
            let process = (process != ProcessId::NONE).then_some(process);
            self.outlet.tell(Input::Lost(process));
        }
        let missed = self.tracer.missed();
        if missed > self.missed {
            self.missed = missed;
            self.outlet.tell(Input::Lost(None));
        }
        Ok(())
    }

    /// Drops what is kept of processes whose exit is long past.
    fn forget_exited(&mut self) -> anyhow::Result<()> {
        let gone = self.intake.long_gone(&self.scope);
        self.failures
            .close(&gone, &mut self.tracer, &mut self.code, &mut self.outlet)?;
        for process in gone {
            self.intake.forget(process, parts!(self));
        }
        Ok(())
    }

    /// Whether the recording has its size, or cannot go on.
    pub(super) fn recording_is_over(&self) -> bool {
        self.outlet.recording_is_over()
    }

    /// Whether events were to be written and cannot be any more.
    pub(super) fn events_are_over(&self) -> bool {
        self.outlet.events_are_over()
    }

    /// Ends the recording.
    pub(super) fn finish_recording(&mut self) -> Option<Summary> {
        self.outlet.finish_recording()
    }
}
