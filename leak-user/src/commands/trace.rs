//! `leaktrace trace` and `leaktrace run`: a trace with its report.

use super::{
    Failure, escape_lines, fails,
    missing::told_missing,
    traced::{end, plan, runtime, told},
};
use crate::{
    advice::Advice,
    cli::{Cli, FailOn, TraceOptions, exit_code},
    model::missing::Missing,
    output::{EventOutput, ReportOutput, Style},
    proc::Proc,
    recording::writer,
    trace::{Plan, trace},
};

/// What is traced.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// Running processes: these, or all.
    Running(&'a [u32]),
    /// A command, and what makes it fail.
    Command(&'a [std::ffi::OsString], Option<FailOn>),
}

pub(super) fn run(cli: &Cli, options: &TraceOptions, target: Target<'_>) -> Result<u8, Failure> {
    let host = Proc::default().host_facts().hostname;
    // Opened before anything is traced, so that an unwritable place is an error at once.
    let (format, path) = (options.looks.format, options.looks.output.as_deref());
    let (output, events) = match options.events {
        true => (None, Some(EventOutput::open(format, path, &host)?)),
        false => (Some(ReportOutput::open(format, path, &host)?), None),
    };
    let advice = Advice::read(&options.looks.advice)?;
    let (pids, command, fail_on) = match target {
        Target::Running(pids) => (pids.to_vec(), Vec::new(), None),
        Target::Command(command, fail_on) => (Vec::new(), command.to_vec(), fail_on),
    };
    let is_shown = events.as_ref().is_some_and(EventOutput::is_terminal);
    let plan = Plan {
        all_events: options.all_events,
        // On a terminal, lines of events would break up the progress line.
        progress: cli.verbose == 0 && !is_shown,
        record: options.record.as_ref().map(|path| writer::Options {
            path: path.clone(),
            host,
            max_size: None,
            rotate: None,
            keep: None,
            past: None,
            redact: false,
        }),
        ..plan(cli, &options.selection, pids, command)
    };
    let runtime = runtime()?;
    let mut outcome = runtime.block_on(trace(&plan, events))?;
    let mut recorded = outcome.events.take().is_none_or(told_events);
    advice.apply(&mut outcome.report);
    let worst = outcome.report.worst();
    if let Some(age) = options.looks.min_age() {
        outcome.report.drop_young_steady(age.as_secs_f64());
    }
    let style = Style {
        color: cli.color,
        top: options.looks.top,
        show_steady: options.looks.all,
    };
    if let Some(output) = output {
        output.write(&outcome.report, style)?;
    }
    if let Some(summary) = &outcome.recording {
        recorded &= told(summary, false);
    }
    let code = end(runtime, &mut outcome)?;
    Ok(match (fails(fail_on, worst), recorded) {
        (true, _) => exit_code::LEAKS,
        (false, true) => code.unwrap_or(exit_code::FINE),
        (false, false) => exit_code::ERROR,
    })
}

/// Prints how many records are missing. Returns `false` if they could not be written.
fn told_events(written: anyhow::Result<Missing>) -> bool {
    match written {
        Ok(missing) => {
            told_missing(&missing);
            true
        }
        Err(error) => {
            eprintln!("leaktrace: {}", escape_lines(&format!("{error:#}")));
            false
        }
    }
}
