//! `cargo xtask corpus`: programs that leak and programs that do not, under one tracer, and its verdicts against what
//! they are. What there is and what it takes is in `tests/corpus`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::command::{self, Settings, as_root, ask, cargo, find_program};
use crate::host::RELEASE_FEATURES;
use crate::{bpf, packages, workspace};

/// Where the table goes, in the checkout.
const DOCUMENT: &str = "leak-user/docs/verdicts-measured.md";

/// Windows of a whole run, in seconds; then one more on the programs that run on.
const WINDOWS: [u64; 4] = [10, 20, 60, 120];
const LATER: u64 = 20;

/// Windows of the part for each change.
const CI_WINDOWS: [u64; 2] = [10, 20];

/// The packages that programs come in, where these have other names.
const PACKAGES: [(&str, &[&str]); 8] = [
    ("gcc", &["gcc", "libc6-dev"]),
    ("go", &["golang-go"]),
    ("java", &["default-jre-headless"]),
    ("javac", &["default-jdk-headless"]),
    ("node", &["nodejs"]),
    ("php", &["php-cli"]),
    ("nginx", &["nginx-light"]),
    ("postgres", &["postgresql"]),
];

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Trace for this long, as 20s; programs begin anew with each window (may be repeated)
    /// [default: 10s, 20s, 60s and 120s, then 20s of the programs that run on; with --part ci 10s and 20s]
    #[arg(long = "window", value_name = "DURATION", value_parser = seconds)]
    windows: Vec<u64>,
    /// Only programs whose name contains this
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Only this part of them
    #[arg(long)]
    part: Option<Part>,
    /// Repeat everything this many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    rounds: u32,
    /// With a process beside it that takes all the time of a processor it can get
    #[arg(long)]
    load: bool,
    /// Programs that run at a time [default: all]
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Write the results of all programs to leak-user/docs/verdicts-measured.md
    #[arg(long, conflicts_with_all = ["only", "part", "windows"])]
    write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What each change must pass: C, Go and Python without servers, and nothing built with optimisations
    Ci,
}

/// Reads `20s` or `2m`.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    // The programs end themselves after a while.
    seconds
        .filter(|seconds| (1..=300).contains(seconds))
        .ok_or_else(|| format!("{text:?} is no duration from 1s to 5m"))
}

/// Builds and installs what is needed, runs the corpus; fails where the targets are missed.
pub(crate) fn run(settings: Settings, options: &Options) -> Result<()> {
    bpf::build(settings)?;
    // Optimised, since a tracer that lags behind judges less; for each change what the tests have built will do.
    let release = options.part.is_none();
    for (package, binary) in [("leak-user", "leaktrace"), ("tests", "corpus")] {
        let mut build = cargo();
        build.args(["build", "--package", package, "--bin", binary]);
        match release {
            true => build.arg("--release"),
            // As the tests build it, so that nothing is built again.
            false => build.args(RELEASE_FEATURES),
        };
        command::run(&mut build)?;
    }
    let corpus = workspace::host_binary("corpus", release);
    let needs = ask(Command::new(&corpus).args(choice(options)).arg("--needs"))
        .context("the corpus does not say what it needs")?;
    for program in needs.lines().filter(|program| find(program).is_none()) {
        let known = PACKAGES.iter().find(|(name, _)| *name == program);
        let packages = known.map_or([program].to_vec(), |(_, packages)| packages.to_vec());
        packages::ensure(settings, program, &packages)?;
    }

    let table = workspace::host_target().join("corpus-table.md");
    let mut run = as_root("env");
    run.arg(format!("PATH={}", env::var("PATH").unwrap_or_default()));
    if let Some(cargo) = env::var_os("CARGO") {
        // Its compiler compiles the programs in Rust.
        run.arg(format!("CARGO={}", cargo.to_string_lossy()));
    }
    let tracer = workspace::host_binary("leaktrace", release);
    run.arg(format!("LEAKTRACE_BIN={}", tracer.display()));
    run.arg(&corpus).args(arguments(options));
    run.arg("--output").arg(&table);
    let status = command::status(&mut run)?;
    if options.write {
        write(&fs::read_to_string(&table)?)?;
    }
    if !status.success() {
        bail!("the verdicts miss their targets: {status}");
    }
    Ok(())
}

fn choice(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(only) = &options.only {
        arguments.extend(["--only".to_owned(), only.clone()]);
    }
    if options.part == Some(Part::Ci) {
        arguments.push("--ci".to_owned());
    }
    arguments
}

fn arguments(options: &Options) -> Vec<String> {
    let mut arguments = choice(options);
    let whole = options.windows.is_empty() && options.part.is_none();
    let windows = match (&options.windows[..], options.part) {
        ([], None) => &WINDOWS[..],
        ([], Some(Part::Ci)) => &CI_WINDOWS[..],
        (windows, _) => windows,
    };
    let mut option =
        |name: &str, value: u64| arguments.extend([name.to_owned(), value.to_string()]);
    for &window in windows {
        option("--window", window);
    }
    if whole {
        option("--later", LATER);
    }
    option("--rounds", options.rounds.into());
    if let Some(jobs) = options.jobs {
        option("--jobs", jobs.into());
    }
    if options.load {
        arguments.push("--load".to_owned());
    }
    arguments
}

/// A program on PATH, or where Debian keeps servers.
fn find(name: &str) -> Option<PathBuf> {
    let postgres = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    find_program(name).or_else(|| {
        postgres
            .map(|version| version.path().join("bin"))
            .chain([PathBuf::from("/usr/sbin")])
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
    })
}

fn write(table: &str) -> Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let file = workspace::root().join(DOCUMENT);
    let text = format!(
        "# Verdicts measured\n\
         \n\
         Written by `cargo xtask corpus --write`; run it for the table of another machine. Linux {}.\n\
         \n\
         Programs that leak and programs that do not (`tests/corpus`) run together under one tracer of the\n\
         whole host. Each column is a trace of that length, in which the programs started anew; in the last\n\
         column they kept running from the trace before. A leak of 5 a second or more must be called a leak\n\
         within 20 s, a slower one within 60 s, unless `corpus.toml` gives another time. A correct program\n\
         must never be called a leak.\n\
         \n{table}",
        kernel.trim()
    );
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("xtask: written to {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_durations() {
        assert_eq!(seconds("20s"), Ok(20));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(seconds("7"), Ok(7));
        for wrong in ["", "s", "0s", "10h", "-1s", "6m", "99999999999999999999s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_part_has_windows_of_its_own() {
        let mut options = Options {
            windows: Vec::new(),
            only: None,
            part: Some(Part::Ci),
            rounds: 1,
            load: false,
            jobs: None,
            write: false,
        };
        let ci = arguments(&options).join(" ");
        assert_eq!(ci, "--ci --window 10 --window 20 --rounds 1");
        options.part = None;
        assert!(
            arguments(&options)
                .join(" ")
                .ends_with("--window 120 --later 20 --rounds 1")
        );
    }
}
