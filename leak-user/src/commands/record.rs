//! `leaktrace record`: a trace that is written to a file, to be reported later.

use super::{Failure, messages, plan::plan, traced::Traced};
use crate::{
    cli::{Cli, Record, exit_code},
    proc::Proc,
    recording::writer,
    trace::Plan,
};

pub(super) fn run(cli: &Cli, options: &Record) -> Result<u8, Failure> {
    let plan = Plan {
        all_events: options.all_events,
        record: Some(writer::Options {
            path: options.output.clone(),
            host: Proc::default().host_facts().hostname,
            max_size: options.max_size,
            rotate: options.rotate,
            keep: options.keep,
            past: options.on_trigger.as_ref().map(|_| options.past),
            redact: options.redact,
            force: options.force,
        }),
        triggers: match &options.on_trigger {
            Some(triggers) => triggers.0.clone(),
            None => Vec::new(),
        },
        only_record: true,
        ..plan(
            cli,
            &options.selection,
            options.pids.clone(),
            options.command.clone(),
        )
    };
    let traced = Traced::run(&plan, None)?;
    let summary = traced.outcome.recording.as_ref();
    let is_complete =
        summary.is_some_and(|summary| messages::recorded(summary, options.on_trigger.is_some()));
    let code = traced.exit_code()?;
    Ok(match is_complete {
        true => code.unwrap_or(exit_code::FINE),
        false => exit_code::ERROR,
    })
}
