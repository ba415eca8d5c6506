//! `leaktrace report`: the report of recordings. No privilege, no tracing.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, bail};

use super::{fails, missing::told_missing};
use crate::{
    advice::Advice,
    cli::{Cli, Report, exit_code},
    output::{EventOutput, ReportOutput, Style},
    proc::Proc,
    recording::reader::{self, Events, Query, Source},
};

pub(super) fn run(cli: &Cli, options: &Report) -> anyhow::Result<u8> {
    let host = Proc::default().host_facts().hostname;
    let (format, path) = (options.looks.format, options.looks.output.as_deref());
    let sources = options.files.iter().map(|path| source(path));
    let sources: Vec<Source<_>> = sources.collect::<anyhow::Result<_>>()?;
    let query = Query {
        from: options.from,
        to: options.to,
        pids: options.pids.clone(),
        kinds: options.kinds(),
    };
    if options.events {
        let output = EventOutput::open(format, path, &host)?;
        let missing = output.write(Events::new(sources, &query)?)?;
        told_missing(&missing);
        return Ok(exit_code::FINE);
    }
    let output = ReportOutput::open(format, path, &host)?;
    let advice = Advice::read(&options.looks.advice)?;
    let mut report = reader::report(sources, &query)?;
    advice.apply(&mut report);
    let worst = report.worst();
    if let Some(age) = options.looks.min_age() {
        report.drop_young_steady(age.as_secs_f64());
    }
    let style = Style {
        color: cli.color,
        top: options.looks.top,
        show_steady: options.looks.all,
    };
    output.write(&report, style)?;
    Ok(match fails(options.fail_on, worst) {
        true => exit_code::LEAKS,
        false => exit_code::FINE,
    })
}

/// Opens a recording; `-` is standard input.
pub(super) fn source(path: &Path) -> anyhow::Result<Source<Box<dyn Read>>> {
    let name = path.to_string_lossy().into_owned();
    if path == Path::new("-") {
        return Ok(Source {
            name: "standard input".to_owned(),
            content: Box::new(io::stdin()),
        });
    }
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{name} is a directory; name a recording in it");
    }
    Ok(Source {
        name,
        content: Box::new(file),
    })
}
