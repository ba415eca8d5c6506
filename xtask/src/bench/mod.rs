//! `cargo xtask bench`: what tracing costs, as a table that anyone can measure again.
//!
//! Every figure is a median of rounds, and every round measures each tracer and none, in turn: the machine's mood
//! changes from minute to minute, and a ratio is taken within one round only.

mod figures;
mod load;
mod own;
mod process;
mod servers;
mod tracer;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, Settings, as_root, cargo};
use crate::{bpf, host, packages, workspace};
use figures::Rounds;
use load::Load;
use tracer::{TRACERS, Tracer};

/// What `measure` needs to know.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The leaktrace to measure
    #[arg(long)]
    leaktrace: PathBuf,
    /// The program with the loops
    #[arg(long)]
    bench_loop: PathBuf,
    /// Shorter rounds
    #[arg(long)]
    quick: bool,
}

impl Options {
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

/// Builds and installs what is needed, measures, and writes the document.
pub(crate) fn run(settings: Settings, quick: bool) -> Result<()> {
    for (program, package) in [
        ("bpftrace", "bpftrace"),
        ("nginx", "nginx-light"),
        ("wrk", "wrk"),
        ("redis-server", "redis-server"),
        ("redis-benchmark", "redis-tools"),
    ] {
        packages::ensure_program(settings, program, &[package])?;
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

    let myself = std::env::current_exe().context("cannot find the path of this program")?;
    let mut measure = as_root(myself);
    measure.arg("measure").arg("--leaktrace").arg(leaktrace);
    measure
        .arg("--bench-loop")
        .arg(workspace::host_binary("bench-loop", true));
    if quick {
        measure.arg("--quick");
    }
    eprintln!("$ {}", command::show(&measure));
    let output = measure
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measurement")?;
    if !output.status.success() {
        bail!("the measurement failed: {}", output.status);
    }
    let document = String::from_utf8(output.stdout).context("the measurement printed no text")?;
    print!("{document}");
    let file = workspace::root().join("leak-user/docs/cost.md");
    fs::create_dir_all(file.parent().expect("the path has a directory"))?;
    fs::write(&file, document).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("xtask: written to {}", file.display());
    Ok(())
}

/// Measures, and prints the document.
pub(crate) fn measure(options: &Options) -> Result<()> {
    if !command::is_root() {
        bail!("measuring needs root");
    }
    warn_of_company();
    let loops = load::loops(options);
    let by_loop = interleaved(options, "loops", &loops)?;
    let servers = servers::start(options)?;
    let by_server = interleaved(options, "servers", &servers.loads)?;
    drop(servers);
    let own = own::measure(options)?;
    print!(
        "{}",
        figures::document(options, &by_loop, &by_server, &own)?
    );
    Ok(())
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
fn interleaved(options: &Options, what: &str, loads: &[Load]) -> Result<Rounds> {
    let mut rounds = Rounds::new(loads);
    for round in 0..options.rounds() {
        eprintln!("xtask: {what}, round {} of {}", round + 1, options.rounds());
        for turn in 0..TRACERS.len() {
            // Each tracer is first, second and last in turn.
            let tracer = TRACERS[(round + turn) % TRACERS.len()];
            let attached = tracer.attach(options)?;
            for (index, load) in loads.iter().enumerate() {
                let figure = load
                    .measure()
                    .with_context(|| format!("{} under {}", load.name, tracer.name()))?;
                rounds.add(index, tracer, figure);
            }
            if let Some(attached) = attached {
                attached.stop()?;
            }
        }
    }
    Ok(rounds)
}

/// The position of a tracer's figures.
fn column(tracer: Tracer) -> usize {
    tracer as usize
}
