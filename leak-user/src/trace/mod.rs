//! A trace from its start to its report: the driver around the pure parts. It owns the loop, the clock and the signals.
//!
//! A batch of the ring is decoded to messages; `engine` hands each to the part that it concerns:
//!
//! * `intake`: events, promotions from the young table, the baseline and comparisons with `/proc`.
//! * `code`: which code processes run, unwind tables and names, stacks that are finished later.
//! * `failures`: what calls were refused, and what ran out.
//! * `observers`: what events do not tell, looked at between samples.
//! * `describer`: names, limits, what a descriptor is, read from `/proc` while processes live.
//! * `outlet`: the one way by which all of them tell what they learn: to the analysis, the recording and readers of events.
//!
//! Each part keeps its own state; `scope` is what all go by and never changes.

mod code;
mod command;
mod describer;
mod engine;
mod error;
mod failures;
mod intake;
mod observers;
mod outlet;
mod plan;
mod progress;
mod scope;
mod signals;
mod start;

use std::time::{Duration, Instant, SystemTime};

use crate::{
    analysis::Wall,
    kernel::{self, monotonic_now},
    model::{event_totals::EventTotals, report::Report},
    output::EventOutput,
    proc::Proc,
    recording::writer::Summary,
};
use command::Child;
use engine::Engine;
pub use error::TraceError;
pub use plan::Plan;
use progress::Progress;
use signals::Interrupts;

/// How often the young table is looked through and losses are collected.
const TICK: Duration = Duration::from_millis(200);

/// The same for resources that count as young up to an age.
fn tick(nursery: Duration) -> Duration {
    TICK.min(nursery / 2).max(Duration::from_millis(10))
}

/// Longest gap between ticks; without it a flood of records would starve sampling.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// The gap grows to this many times what the last tick took, so that records get most of the time also where ticks are
/// slow.
const RECORDS_SHARE: u32 = 4;

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
    let mut engine = start::start(plan, proc, &mut interrupts).await?;
    let reports = !plan.only_record && events.is_none();
    if let Some(output) = events {
        engine.write_events(output)?;
    }
    let mut child = match plan.command.as_slice() {
        [] => None,
        command => Some(Child::spawn(command, &plan.limits, |pid| {
            engine.learn_command(pid);
        })?),
    };
    // The command has been started, with a priority of its own.
    kernel::run_before_others();
    let progress = Progress::start(plan, &engine, reports);
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
        ended = engine.finish() => ended?,
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

/// Why a trace ended.
enum Ended {
    Duration,
    Interrupted,
    Command(u8),
    /// Nothing that was chosen runs any more.
    Gone,
    /// The recording reached its size, or it or the events cannot go on.
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
    let mut gap = LONGEST_GAP;
    loop {
        let is_late = ticked.elapsed() > gap;
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
                gap = LONGEST_GAP.max((ticked - began) * RECORDS_SHARE);
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
