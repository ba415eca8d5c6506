//! The commands that read recordings: no privilege, no tracing.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use leak_user::{
    advice::Advice,
    capture,
    cli::{Cli, Report, Verify, exit_code},
    output::{EventOutput, ReportOutput, Style},
    proc::Proc,
    replay::{Events, Missing, Query, Source, replay},
    report::escape::escape,
};

use crate::fails;

pub(crate) fn report_command(cli: &Cli, options: &Report) -> anyhow::Result<u8> {
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
    let mut report = replay(sources, &query)?;
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

/// Says what is missing among events that were written.
pub(crate) fn told_missing(missing: &Missing) {
    if missing.lost > 0 {
        let first = missing.uncovered.first().map_or("", String::as_str);
        eprintln!(
            "leaktrace: {} records are missing: {}",
            missing.lost,
            escape(first)
        );
    }
}

pub(crate) fn verify_command(options: &Verify) -> anyhow::Result<u8> {
    let mut code = exit_code::FINE;
    let mut out = io::stdout().lock();
    for path in &options.files {
        let Source { name, content } = source(path)?;
        let verified = capture::verify(content).with_context(|| name.clone())?;
        let found = match (verified.intact(), verified.first_bad) {
            (true, _) | (false, None) => "whole".to_owned(),
            (false, Some(damage)) => {
                code = exit_code::ERROR;
                match verified.damaged {
                    1 => damage.to_string(),
                    more => format!("{damage}; and {} more places", more - 1),
                }
            }
        };
        writeln!(
            out,
            "{}: {found}\n  {} records in {} segments, format {}, chain {}",
            escape(&name),
            verified.records,
            verified.segments,
            verified.version,
            hexadecimal(&verified.chain)
        )?;
    }
    Ok(code)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens a recording; `-` is standard input.
fn source(path: &Path) -> anyhow::Result<Source<Box<dyn Read>>> {
    let name = path.to_string_lossy().into_owned();
    if path == Path::new("-") {
        return Ok(Source {
            name: "standard input".to_owned(),
            content: Box::new(io::stdin()),
        });
    }
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{name} is a directory: name a recording in it");
    }
    Ok(Source {
        name,
        content: Box::new(file),
    })
}
