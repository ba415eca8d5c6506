//! `leaktrace trace` and `leaktrace run`: a trace with its report.

use std::{ffi::OsString, path::Path};

use super::{Failure, fails, messages, plan::plan, traced::Traced};
use crate::{
    advice::Advice,
    cli::{Cli, FailOn, TraceOptions, exit_code},
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
    /// A command, and what makes it fail.
    Command(&'a [OsString], Option<FailOn>),
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
    let (pids, command, fail_on) = match target {
        Target::Running(pids) => (pids.to_vec(), Vec::new(), None),
        Target::Command(command, fail_on) => (Vec::new(), command.to_vec(), fail_on),
    };
    let is_shown = events.as_ref().is_some_and(EventOutput::is_terminal);
    let plan = Plan {
        all_events: options.all_events,
        // On a terminal, lines of events would break up the progress line.
        progress: cli.verbose == 0 && !is_shown,
        record: options.record.as_ref().map(|path| beside(path, host)),
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
    };
    if let Some(output) = output {
        output.write(&outcome.report, style)?;
    }
    if let Some(summary) = &outcome.recording {
        is_complete &= messages::recorded(summary, false);
    }
    let code = traced.exit_code()?;
    Ok(match (fails(fail_on, worst), is_complete) {
        (true, _) => exit_code::LEAKS,
        (false, true) => code.unwrap_or(exit_code::FINE),
        (false, false) => exit_code::ERROR,
    })
}

/// The options of a recording beside a report: all of the trace in one file.
fn beside(path: &Path, host: String) -> writer::Options {
    writer::Options {
        path: path.to_owned(),
        host,
        max_size: None,
        rotate: None,
        keep: None,
        past: None,
        redact: false,
    }
}
