//! `cargo xtask bench`: what tracing costs, as a table that anyone can measure again.
//!
//! Every figure is a median of rounds, and every round measures each tracer and none, in turn: the machine's mood
//! changes from minute to minute, and a ratio is taken within one round only.

mod capture;
mod document;
mod figures;
mod load;
mod options;
mod own;
mod process;
mod record;
mod rounds;
mod section;
mod servers;
mod stack_program;
mod stacks;
mod tables;
mod tracer;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{self, Settings, as_root, cargo};
use crate::{bpf, host, packages, workspace};
pub(crate) use options::Options;
use rounds::interleaved;
pub(crate) use section::Section;
use tracer::TRACERS;

/// Where the document is, in the checkout.
const DOCUMENT: &str = "leak-user/docs/cost.md";

/// Builds and installs what is needed, measures, and writes the document, or one section of it.
pub(crate) fn run(settings: Settings, quick: bool, only: Option<Section>) -> Result<()> {
    for section in Section::ALL
        .into_iter()
        .filter(|&section| only.is_none_or(|only| only == section))
    {
        for &(program, package) in section.programs() {
            packages::ensure_program(settings, program, &[package])?;
        }
    }
    bpf::build(settings)?;
    let leaktrace = host::build_lean()?;
    command::run(cargo().args([
        "build",
        "--release",
        "--package",
        "xtask",
        "--bin",
        "bench-loop",
    ]))?;
    let bench_loop = workspace::host_binary("bench-loop", true);
    let stack_loop = only
        .is_none_or(|only| only == Section::Stacks)
        .then(|| stack_program::build(bench_loop.parent().expect("the path has a directory")))
        .transpose()?;

    let capture_bench = only
        .is_none_or(|only| only == Section::Capture)
        .then(capture::build)
        .transpose()?;

    let file = workspace::root().join(DOCUMENT);
    let old = only
        .map(|section| fitting(&file, section, quick))
        .transpose()?
        .flatten();
    let myself = std::env::current_exe().context("cannot find the path of this program")?;
    let mut measure = as_root(myself);
    measure.arg("measure").arg("--leaktrace").arg(leaktrace);
    measure.arg("--bench-loop").arg(bench_loop);
    if let Some(stack_loop) = stack_loop {
        measure.arg("--stack-loop").arg(stack_loop);
    }
    if let Some(capture_bench) = capture_bench {
        measure.arg("--capture-bench").arg(capture_bench);
    }
    if let Some(section) = only {
        measure.args(["--only", section.word()]);
    }
    if quick {
        measure.arg("--quick");
    }
    let measured = output(&mut measure)?;
    print!("{measured}");
    match (only, old) {
        (None, _) => write(&file, &measured),
        (Some(section), Some(old)) => write(&file, &document::replace(&old, section, &measured)),
        (Some(_), None) => Ok(()),
    }
}

/// What a measurement prints.
fn output(measure: &mut Command) -> Result<String> {
    eprintln!("$ {}", command::show(measure));
    let output = measure
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measurement")?;
    if !output.status.success() {
        bail!("the measurement failed: {}", output.status);
    }
    String::from_utf8(output.stdout).context("the measurement printed no text")
}

/// The document, if a section that is measured now can go into it; says so before a measurement that will not.
fn fitting(file: &Path, section: Section, quick: bool) -> Result<Option<String>> {
    let old = fs::read_to_string(file).unwrap_or_default();
    if !quick && old.contains(&document::machine()?) {
        return Ok(Some(old));
    }
    let why = if quick {
        "a quick round is not for quoting"
    } else {
        "it has the figures of another machine or kernel; without --only it is written anew"
    };
    eprintln!(
        "xtask: section {} will be printed, but not written to {}: {why}",
        section.word(),
        file.display()
    );
    Ok(None)
}

fn write(file: &Path, document: &str) -> Result<()> {
    fs::create_dir_all(file.parent().expect("the path has a directory"))?;
    fs::write(file, document).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("xtask: written to {}", file.display());
    Ok(())
}

/// Measures, and prints the document, or one section of it.
pub(crate) fn measure(options: &Options) -> Result<()> {
    if !command::is_root() {
        bail!("measuring needs root");
    }
    warn_of_company();
    if let Some(section) = options.only {
        print!("{}", section.with(&text(options, section)?));
        return Ok(());
    }
    let mut document = document::head(options)?;
    for section in Section::ALL {
        document.push('\n');
        document.push_str(&section.with(&text(options, section)?));
    }
    print!("{document}");
    Ok(())
}

/// Measures what a section is about, and says it.
fn text(options: &Options, section: Section) -> Result<String> {
    Ok(match section {
        Section::Loops => figures::loops(&interleaved(
            options,
            "loops",
            &load::loops(options),
            &TRACERS,
        )?),
        Section::Servers => {
            let servers = servers::start(options)?;
            figures::servers(&interleaved(options, "servers", &servers.loads, &TRACERS)?)
        }
        Section::Stacks => stacks::section(options)?,
        Section::Own => figures::own(&own::measure(options)?),
        Section::Capture => capture::section(options)?,
        Section::Record => record::section(options)?,
    })
}

/// Figures taken beside other busy programs are worth little; the kernel says how busy the last minute was.
fn warn_of_company() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = load.split(' ').next().and_then(|load| load.parse().ok());
    if let Some(busy) = busy.filter(|&busy: &f64| busy > 0.5) {
        eprintln!("xtask: other programs were busy until now (load average {busy}): expect noise");
    }
}
