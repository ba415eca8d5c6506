//! `cargo xtask bench`: what tracing costs, as a table that anyone can measure again.
//!
//! Every figure is a median of rounds, and every round measures each tracer and none, in turn: the machine's mood
//! changes from minute to minute, and a ratio is taken within one round only.

mod capture;
mod document;
mod figures;
mod load;
mod own;
mod process;
mod record;
mod servers;
mod stack_program;
mod stacks;
mod tables;
mod tracer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{self, Settings, as_root, cargo};
use crate::{bpf, host, packages, workspace};
pub(crate) use document::Section;
use figures::Rounds;
use load::Load;
use tracer::{TRACERS, Tracer};

/// Where the document is, in the checkout.
const DOCUMENT: &str = "leak-user/docs/cost.md";

/// What `measure` needs to know.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The leaktrace to measure
    #[arg(long)]
    leaktrace: PathBuf,
    /// The program with the loops
    #[arg(long)]
    bench_loop: PathBuf,
    /// The program whose stacks are taken
    #[arg(long)]
    stack_loop: Option<PathBuf>,
    /// The program that writes and reads captures
    #[arg(long)]
    capture_bench: Option<PathBuf>,
    /// Measure this section alone
    #[arg(long)]
    only: Option<Section>,
    /// Shorter rounds
    #[arg(long)]
    quick: bool,
}

impl Options {
    /// The program whose stacks are taken.
    fn stack_loop(&self) -> Result<&Path> {
        self.stack_loop
            .as_deref()
            .context("stacks are measured with --stack-loop")
    }

    /// How often each figure is taken.
    fn rounds(&self) -> usize {
        if self.quick { 4 } else { 7 }
    }

    /// How long a loop runs for one figure.
    fn loop_seconds(&self) -> f64 {
        if self.quick { 0.3 } else { 1.0 }
    }

    /// How long a server is under load for one figure.
    fn server_seconds(&self) -> u32 {
        if self.quick { 1 } else { 3 }
    }
}

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
    let leaktrace = host::build(true)?;
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

/// Takes every load under every tracer, round by round.
fn interleaved(
    options: &Options,
    what: &str,
    loads: &[Load],
    tracers: &[Tracer],
) -> Result<Rounds> {
    let mut rounds = Rounds::new(loads);
    for round in 0..options.rounds() {
        eprintln!("xtask: {what}, round {} of {}", round + 1, options.rounds());
        for turn in 0..tracers.len() {
            // Each tracer is first, second and last in turn.
            let tracer = tracers[(round + turn) % tracers.len()];
            let attached = tracer.attach(options)?;
            if let Some(attached) = &attached {
                attached.settle()?;
            }
            for (index, load) in loads.iter().enumerate() {
                let figure = load
                    .measure()
                    .with_context(|| format!("{} under {}", load.name, tracer.name()))?;
                rounds.add(index, tracer, figure);
            }
            if let Some(attached) = attached {
                let stopped = attached.stop()?;
                if tracer == Tracer::Leaktrace {
                    rounds.tables.extend(stopped.tables);
                }
            }
        }
    }
    Ok(rounds)
}

/// The position of a tracer's figures.
fn column(tracer: Tracer) -> usize {
    tracer as usize
}
