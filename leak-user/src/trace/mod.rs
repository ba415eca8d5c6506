//! A trace from its start to its report: the driver around the pure parts. It
//! owns the loop, the clock and the signals; what it learns goes to the ledger,
//! what it is asked goes to the judge.

mod baseline;
mod command;
mod engine;
mod events;
mod failures;
mod gather;
mod interpreted;
mod mappings;
mod observe;
mod progress;
mod promote;
mod reconcile;
mod recording;
mod signals;
mod unfinished;

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use leak_common::KindSet;

use crate::{
    analysis::Wall,
    kernel::{self, LoadError, Tracer, monotonic_now},
    model::{event_totals::EventTotals, report::Report},
    output::EventOutput,
    proc::Proc,
    recording::writer::{self, Summary, Trigger},
};
use command::Child;
use engine::Engine;
use progress::Progress;
use signals::Interrupts;

/// How often the young table is looked through and losses are collected.
const TICK: Duration = Duration::from_millis(200);

/// The same for resources that count as young up to an age.
fn tick(nursery: Duration) -> Duration {
    TICK.min(nursery / 2).max(Duration::from_millis(10))
}

/// A tick comes so long after the last at the latest, however many records wait: what
/// makes more of them than can be read would have no samples.
const LATEST: Duration = Duration::from_secs(1);

/// Then records have so many times what a tick takes.
const RECORDS: u32 = 4;

/// What to trace, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Processes to trace, with the descendants they will have; empty for all.
    pub pids: Vec<u32>,
    /// Names of processes to trace; empty for all.
    pub comms: Vec<String>,
    /// Control group (version 2) to trace; none for all.
    pub cgroup: Option<PathBuf>,
    /// Kinds to trace.
    pub kinds: KindSet,
    /// Command to start and trace; empty for none.
    pub command: Vec<OsString>,
    /// When to end at the latest; `None` at a signal, or with what was chosen.
    pub duration: Option<Duration>,
    /// Time between the samples that verdicts rest on.
    pub interval: Duration,
    /// Age from which a resource is old.
    pub nursery: Duration,
    /// Bytes of the ring buffer.
    pub ring_bytes: u32,
    /// Every acquisition and release goes through the ring.
    pub all_events: bool,
    /// No stacks are taken.
    pub no_stacks: bool,
    /// Kernel memory for unwind tables in bytes.
    pub stack_memory: u64,
    /// Where and how to record.
    pub record: Option<writer::Plan>,
    /// What makes the recording write its past.
    pub triggers: Vec<Trigger>,
    /// The recording is all that is wanted: the trace ends with it.
    pub only_record: bool,
    /// Whether the programs log.
    pub verbose: bool,
    /// Whether progress may be drawn on standard error.
    pub progress: bool,
}

/// What came out of a trace.
#[derive(Debug)]
pub struct Outcome {
    pub report: Report,
    /// What was recorded.
    pub recording: Option<Summary>,
    /// How many events were written and what is missing, or why it could not be.
    pub events: Option<anyhow::Result<EventTotals>>,
    /// The command, if it still runs: its end is to be waited for.
    pub child: Option<Child>,
    /// The command's exit code, if it ended: 128 + signal where one ended it.
    pub exit_code: Option<u8>,
}

/// Why a trace could not be made.
#[derive(Debug)]
pub enum TraceError {
    /// The kernel side does not start.
    Load(LoadError),
    /// The command does not start; its exit code is that of a shell (126 or 127).
    Command { code: u8, message: String },
    /// A second interrupt: give up at once.
    Aborted,
    /// Anything else.
    Other(anyhow::Error),
}

impl From<LoadError> for TraceError {
    fn from(error: LoadError) -> Self {
        TraceError::Load(error)
    }
}

impl From<anyhow::Error> for TraceError {
    fn from(error: anyhow::Error) -> Self {
        TraceError::Other(error)
    }
}

impl From<std::io::Error> for TraceError {
    fn from(error: std::io::Error) -> Self {
        TraceError::Other(error.into())
    }
}

impl std::fmt::Display for TraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TraceError::Load(error) => error.fmt(f),
            TraceError::Command { message, .. } => f.write_str(message),
            TraceError::Aborted => f.write_str("aborted"),
            TraceError::Other(error) => write!(f, "{error:#}"),
        }
    }
}

/// Traces as planned; writes each event to `events` meanwhile. Must run inside a tokio
/// runtime.
///
/// # Errors
/// See [`TraceError`]; nothing stays behind in the kernel.
pub async fn trace(plan: &Plan, events: Option<EventOutput>) -> Result<Outcome, TraceError> {
    let proc = Proc::new("/proc");
    for &pid in &plan.pids {
        if proc.identity(pid).is_none() {
            return Err(TraceError::Other(anyhow::anyhow!(
                "there is no process with pid {pid}"
            )));
        }
    }
    if let Some(program) = plan.command.first() {
        command::find(program)?;
    }
    if let Some(record) = &plan.record {
        record.check()?;
    }
    let mut interrupts = Interrupts::new()?;
    let mut tracer = Tracer::load(&options(plan))?;
    if plan.verbose {
        kernel::forward_logs(&mut tracer)?;
    }
    let mut engine = Engine::start(tracer, proc, plan)?;
    let reports = !plan.only_record && events.is_none();
    if let Some(output) = events {
        engine.start_events(output)?;
    }
    let mut child = match plan.command.as_slice() {
        [] => None,
        command => Some(Child::spawn(command, |pid| engine.learn_command(pid))?),
    };
    // The command has been started, with a priority of its own.
    kernel::run_before_others();
    let progress = Progress::start(plan, engine.hooks(), reports);
    if let Some(note) = engine.left_out() {
        eprintln!("{note}");
    }
    let ended = follow(
        plan,
        &mut engine,
        child.as_mut(),
        &mut interrupts,
        &progress,
    )
    .await?;
    progress.finish();
    if matches!(ended, Ended::Gone) {
        eprintln!(
            "{} ended: nothing is left to trace",
            progress::chosen_pids(plan)
        );
    }
    let abort = async {
        // Who asks for the end of what ends already has asked but once.
        if !matches!(ended, Ended::Interrupted) {
            interrupts.next().await;
        }
        interrupts.again().await;
    };
    let (report, events) = tokio::select! {
        biased;
        () = abort => return Err(TraceError::Aborted),
        ended = end(&mut engine) => ended?,
    };
    let recording = engine.finish_recording();
    let exit_code = match ended {
        Ended::Command(code) => Some(code),
        Ended::Duration | Ended::Interrupted | Ended::Gone | Ended::Written => None,
    };
    let child = child.filter(|_| exit_code.is_none());
    Ok(Outcome {
        report,
        recording,
        events,
        child,
        exit_code,
    })
}

/// Makes the report, and writes the last of the events.
async fn end(
    engine: &mut Engine,
) -> Result<(Report, Option<anyhow::Result<EventTotals>>), TraceError> {
    let report = engine.finish().await?;
    let events = engine.finish_events().await;
    Ok((report, events))
}

fn options(plan: &Plan) -> kernel::Options {
    kernel::Options {
        kinds: plan.kinds,
        ring_bytes: plan.ring_bytes,
        by_pid: !plan.pids.is_empty(),
        comms: plan.comms.clone(),
        cgroup: plan.cgroup.clone(),
        follow_own_children: !plan.command.is_empty(),
        prompt: !plan.command.is_empty(),
        all_events: plan.all_events,
        stack_memory: plan.stack_memory,
        no_stacks: plan.no_stacks,
        snapshots: false,
        verbose: plan.verbose,
    }
}

/// Why a trace ended.
enum Ended {
    Duration,
    Interrupted,
    Command(u8),
    /// Nothing that was chosen runs any more.
    Gone,
    /// The recording has its size, or it or the events can not go on.
    Written,
}

/// The loop: batches as they come, ticks between them, until the end.
async fn follow(
    plan: &Plan,
    engine: &mut Engine,
    mut child: Option<&mut Child>,
    interrupts: &mut Interrupts,
    progress: &Progress,
) -> Result<Ended, TraceError> {
    let end = async {
        match plan.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut ticks = tokio::time::interval(tick(plan.nursery));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sample_due = monotonic_now();
    let mut ticked = Instant::now();
    let mut latest = LATEST;
    loop {
        let is_late = ticked.elapsed() > latest;
        tokio::select! {
            biased;
            signal = interrupts.next() => match child.as_deref() {
                // The terminal sends Ctrl-C to the command as well; others are for us
                // alone. The trace ends when the command does.
                Some(child) => child.pass_on(signal)?,
                None => return Ok(Ended::Interrupted),
            },
            () = &mut end => return Ok(Ended::Duration),
            code = Child::ended(child.as_deref_mut()) => return Ok(Ended::Command(code?)),
            batch = engine.next_batch(), if !is_late => engine.take(&batch?),
            _ = ticks.tick() => {
                let began = Instant::now();
                engine.tick()?;
                engine.send_events();
                if plan.only_record && engine.recording_is_over() || engine.events_are_over() {
                    return Ok(Ended::Written);
                }
                let now = monotonic_now();
                if now >= sample_due {
                    sample_due = now + u64::try_from(plan.interval.as_nanos()).unwrap_or(u64::MAX);
                    engine.sample()?;
                    progress.show(engine);
                    if engine.chosen_have_ended()? {
                        return Ok(Ended::Gone);
                    }
                }
                ticked = Instant::now();
                latest = LATEST.max((ticked - began) * RECORDS);
            }
        }
    }
}

/// The wall clock, for the report's window.
fn wall_clock() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
