//! `leaktrace report`: the report of recordings. No privilege, no tracing.

use std::io::Read;

use super::{fails, messages, recordings};
use crate::{
    advice::Advice,
    cli::{Cli, Report, exit_code},
    output::{EventOutput, ReportOutput, Style},
    proc::Proc,
    recording::reader::{self, Events, Query, Source},
};

pub(super) fn run(cli: &Cli, options: &Report) -> anyhow::Result<u8> {
    let host = Proc::default().host_facts().hostname;
    let (format, path) = (options.report.format, options.report.output.as_deref());
    let sources = options.files.iter().map(|path| recordings::open(path));
    let sources: Vec<Source<Box<dyn Read>>> = sources.collect::<anyhow::Result<_>>()?;
    let query = Query {
        from: options.from,
        to: options.to,
        pids: options.pids.clone(),
        kinds: options.kinds(),
    };
    if options.events {
        let output = EventOutput::open(format, path, &host)?;
        let totals = output.write(Events::new(sources, &query)?)?;
        messages::missing(&totals);
        return Ok(exit_code::FINE);
    }
    let output = ReportOutput::open(format, path, &host)?;
    let advice = Advice::read(&options.report.advice.sources())?;
    let mut report = reader::report(sources, &query)?;
    advice.apply(&mut report);
    let worst = report.worst();
    if let Some(age) = options.report.min_age() {
        report.drop_young_steady(age.as_secs_f64());
    }
    let style = Style {
        color: cli.color,
        top: options.report.top,
        all: options.report.all,
        suspects_fail: options.failing.on_suspects(),
        each: cli.verbose > 0,
        stacks: options.report.stacks,
    };
    output.write(&report, style)?;
    messages::notify(options.failing, &report, style);
    Ok(match fails(options.failing.fail_on, worst) {
        true => exit_code::LEAKS,
        false => exit_code::FINE,
    })
}
