//! `leaktrace trace` and `leaktrace run`: a trace with its report.

use std::path::Path;

use super::{Failure, fails, messages, plan::plan, traced::Traced};
use crate::{
    advice::Advice,
    cli::{Cli, Failing, Run, TraceOptions, exit_code},
    model::report::Report,
    output::{EventOutput, ReportOutput, Style},
    proc::Proc,
    recording::writer,
    trace::Plan,
};

/// What is traced.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// Running processes: these, or all.
    Running(&'a [u32]),
    /// A command, with what is asked of it.
    Command(&'a Run),
}

pub(super) fn run(cli: &Cli, options: &TraceOptions, target: Target<'_>) -> Result<u8, Failure> {
    let host = Proc::default().host_facts().hostname;
    // Opened before anything is traced, so that an unwritable place is an error at once.
    let (format, path) = (options.report.format, options.report.output.as_deref());
    let (output, events) = match options.events {
        true => (None, Some(EventOutput::open(format, path, &host)?)),
        false => (Some(ReportOutput::open(format, path, &host)?), None),
    };
    let advice = Advice::read(&options.report.advice.sources())?;
    let (pids, run) = match target {
        Target::Running(pids) => (pids.to_vec(), None),
        Target::Command(run) => (Vec::new(), Some(run)),
    };
    let command = run.map_or_else(Vec::new, |run| run.command.clone());
    let failing = run.map_or_else(Failing::default, |run| run.failing);
    let is_shown = events.as_ref().is_some_and(EventOutput::is_terminal);
    let plan = Plan {
        all_events: options.all_events,
        limits: run.map_or_else(Vec::new, |run| run.limits.clone()),
        // On a terminal, lines of events would break up the progress line.
        progress: cli.verbose == 0 && !is_shown,
        record: options
            .record
            .as_ref()
            .map(|path| beside(path, host, options.force)),
        ..plan(cli, &options.selection, pids, command)
    };
    let mut traced = Traced::run(&plan, events)?;
    let outcome = &mut traced.outcome;
    let mut is_complete = outcome.events.take().is_none_or(messages::written);
    advice.apply(&mut outcome.report);
    let worst = outcome.report.worst();
    if let Some(age) = options.report.min_age() {
        outcome.report.drop_young_steady(age.as_secs_f64());
    }
    let style = Style {
        color: cli.color,
        top: options.report.top,
        all: options.report.all,
        suspects_fail: failing.on_suspects(),
        each: cli.verbose > 0,
        stacks: options.report.stacks,
    };
    if let Some(output) = output {
        write(output, &outcome.report, style)?;
    }
    messages::notify(failing, &outcome.report, style);
    if let Some(summary) = &outcome.recording {
        is_complete &= messages::recorded(summary, false);
    }
    // A name that is misspelt must not pass for a service without leaks.
    is_complete &= options.allow_empty || traced.outcome.report.health.unmatched.is_none();
    let code = traced.exit_code()?;
    Ok(match (fails(failing.fail_on, worst), is_complete) {
        (true, _) => exit_code::LEAKS,
        (false, true) => code.unwrap_or(exit_code::FINE),
        (false, false) => exit_code::ERROR,
    })
}

/// Writes the report. What was traced cannot be traced again: where its place fails, such as a full disk, a text of it
/// goes to standard output, and the error follows.
fn write(output: ReportOutput, report: &Report, style: Style) -> anyhow::Result<()> {
    let is_file = !output.is_stdout();
    let written = output.write(report, style);
    if written.is_err() && is_file {
        eprintln!(
            "leaktrace: the report could not be written where it should be; here is its text"
        );
        ReportOutput::text().write(report, style)?;
    }
    written
}

/// The options of a recording beside a report: all of the trace in one file.
fn beside(path: &Path, host: String, force: bool) -> writer::Options {
    writer::Options {
        path: path.to_owned(),
        host,
        max_size: None,
        rotate: None,
        keep: None,
        past: None,
        redact: false,
        force,
    }
}
