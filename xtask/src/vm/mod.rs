//! `cargo xtask vm-test`: boots Debian's kernels in virtual machines, from the oldest that leaktrace supports to the
//! newest, and tries leaktrace there: that its programs load, that it unwinds, that it finds leaks.
//!
//! The guest (`guest/`) runs a plan and sends back what programs print; what that has to be is decided here.

mod failures;
mod initramfs;
mod kernels;
mod leaks;
mod machine;
mod plan;
mod programs;
mod report;
#[path = "../../../tests/src/rows.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the tests on this machine's kernel compile it as well"
)]
mod rows;
mod stacks;
mod table;
mod trial;
mod workshop;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::ValueEnum;
use serde_json::Value;

use self::initramfs::Archive;
use self::kernels::Series;
use self::machine::{Answers, Logs, Machine};
use self::plan::{Done, PLAN, Step};
use self::trial::{Findings, Outcome, Trial};
use self::workshop::Workshop;
use crate::arch::Arch;
use crate::command::Settings;
use crate::{packages, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Kernels to boot, by series; each is downloaded once, delete target/vm/kernels for newer ones
    #[arg(
        long = "kernel",
        value_name = "SERIES",
        value_delimiter = ',',
        default_value = "5.10,6.1,6.12,7.2"
    )]
    kernels: Vec<Series>,
    /// Architecture of the machine; this machine's without it, another one is emulated
    #[arg(long)]
    arch: Option<Arch>,
    /// Only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Name>,
    /// Test this program instead of building leaktrace
    #[arg(long, value_name = "FILE")]
    leaktrace: Option<PathBuf>,
}

/// A step, as one can choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Load and attach every program
    Programs,
    /// Unwind stacks of a program without frame pointers
    Stacks,
    /// Tell leaks from their twins
    Leaks,
}

impl Name {
    const ALL: [Name; 3] = [Name::Programs, Name::Stacks, Name::Leaks];

    fn text(self) -> &'static str {
        match self {
            Name::Programs => "programs",
            Name::Stacks => "stacks",
            Name::Leaks => "leaks",
        }
    }

    fn step(self) -> Step {
        match self {
            Name::Programs => programs::step(self.text()),
            Name::Stacks => stacks::step(self.text()),
            Name::Leaks => leaks::step(self.text()),
        }
    }
}

/// Boots one kernel after the other and fails if anything is wrong on any.
pub(crate) fn run(settings: Settings, options: &Options) -> Result<()> {
    let arch = options.arch.or_else(Arch::of_this_machine);
    let arch = arch.context("leaktrace does not run on this machine: choose an --arch")?;
    let machine = Machine::new(arch);
    packages::ensure_program(settings, &machine.qemu(), &[machine.package()])?;
    let workshop = Workshop::prepare(settings, arch)?;
    let leaktrace = match &options.leaktrace {
        Some(file) => file.clone(),
        None => workshop.leaktrace(settings)?,
    };
    let steps: Vec<Name> = Name::ALL
        .into_iter()
        .filter(|name| options.only.is_empty() || options.only.contains(name))
        .collect();
    let mut directory = workspace::root().join("target/vm");
    if Arch::of_this_machine() != Some(arch) {
        directory.push(arch.name());
    }
    let laboratory = Laboratory {
        initramfs: build_initramfs(&workshop, arch, &directory, &leaktrace, &steps)?,
        machine,
        directory: &directory,
        steps,
    };

    let mut trials = Vec::new();
    for kernel in &options.kernels {
        let trial = match kernels::image(settings, *kernel, arch, &directory) {
            Ok(image) => laboratory.try_kernel(*kernel, &image)?,
            Err(error) => laboratory.not_tried(*kernel, &error),
        };
        trials.push(trial);
    }
    print!("\n{}", table::of(&trials));
    let failed: Vec<String> = trials
        .iter()
        .filter(|trial| !trial.passed())
        .map(|trial| trial.kernel.to_string())
        .collect();
    if !failed.is_empty() {
        bail!("failed on Linux {}", failed.join(", "));
    }
    Ok(())
}

/// Builds everything that runs in the guest and packs it.
fn build_initramfs(
    workshop: &Workshop,
    arch: Arch,
    directory: &Path,
    leaktrace: &Path,
    steps: &[Name],
) -> Result<PathBuf> {
    let guest = workshop.guest()?;
    let victims = directory.join("victims");
    fs::create_dir_all(&victims).with_context(|| format!("cannot create {}", victims.display()))?;
    let root = workspace::root();
    let chains = victims.join("chains");
    let source = root.join("xtask/src/vm/guest/chains.c");
    let protected = arch.branch_protection();
    let flags = ["-O2", "-fomit-frame-pointer", protected];
    workshop.compile(&flags, &source, &chains)?;
    for name in ["rows", "grower", "failing"] {
        let source = root.join(format!("tests/victims/{name}.c"));
        let flags = [
            "-O1",
            "-fno-omit-frame-pointer",
            "-fno-optimize-sibling-calls",
        ];
        workshop.compile(&flags, &source, &victims.join(name))?;
    }

    let path = directory.join("initramfs.cpio");
    let write = || -> Result<()> {
        let mut archive = Archive::new(BufWriter::new(File::create(&path)?));
        archive.device("/dev/console", (5, 1))?;
        let programs = [
            ("/init", guest.as_path()),
            ("/bin/leaktrace", leaktrace),
            (stacks::PROGRAM, &chains),
            (leaks::ROWS_PROGRAM, &victims.join("rows")),
            (leaks::GROWER_PROGRAM, &victims.join("grower")),
            (failures::PROGRAM, &victims.join("failing")),
        ];
        for (path, program) in programs {
            archive.copy(path, program)?;
            for (path, library) in workshop.libraries(program)? {
                archive.copy(&path, &library)?;
            }
        }
        let plan: Vec<Step> = steps.iter().map(|name| name.step()).collect();
        archive.file(PLAN, &serde_json::to_vec(&plan)?)?;
        archive.finish()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// What kernels are tried with.
struct Laboratory<'a> {
    initramfs: PathBuf,
    machine: Machine,
    /// Where logs go.
    directory: &'a Path,
    steps: Vec<Name>,
}

impl Laboratory<'_> {
    /// Boots a kernel, judges what the guest answers, and prints that.
    fn try_kernel(&self, kernel: Series, image: &Path) -> Result<Trial> {
        let logs = Logs::new(self.directory, &kernel.to_string())?;
        let begun = Instant::now();
        let booted = self.machine.boot(image, &self.initramfs, &logs);
        let seconds = begun.elapsed().as_secs_f64();
        let answers = Answers::read(&logs)?;
        let trial = self.judge(kernel, seconds, booted, &answers);
        let release = match answers.release.as_str() {
            "" => kernel.to_string(),
            release => release.to_owned(),
        };
        println!("\nLinux {release}, {}:", self.machine.accelerator);
        print!("{}", table::details(&trial));
        if !trial.passed() {
            println!("  console: {}", logs.console.display());
        }
        Ok(trial)
    }

    /// What is said of a kernel that cannot be had.
    fn not_tried(&self, kernel: Series, error: &anyhow::Error) -> Trial {
        let booted = Err(anyhow!("{error:#}"));
        let trial = self.judge(kernel, 0.0, booted, &Answers::default());
        println!("\nLinux {kernel}:\n{}", table::details(&trial));
        trial
    }

    fn judge(&self, kernel: Series, seconds: f64, booted: Result<()>, answers: &Answers) -> Trial {
        let steps = self.steps.iter();
        let judged = steps.map(|name| judge_step(*name, answers, self.machine));
        Trial {
            kernel,
            seconds,
            outcomes: [judge_boot(booted, answers)]
                .into_iter()
                .chain(judged)
                .collect(),
        }
    }
}

fn judge_boot(booted: Result<()>, answers: &Answers) -> Outcome {
    let mut findings = Findings::default();
    if let Err(error) = booted {
        findings.fail(format!("{error:#}"));
    } else if answers.release.is_empty() {
        findings.fail("the kernel did not get to its first process".to_owned());
    } else if !answers.whole {
        findings.fail("the guest did not come to the end of its steps".to_owned());
    }
    Outcome {
        step: "boot",
        seconds: answers.boot.as_secs_f64(),
        findings,
    }
}

fn judge_step(name: Name, answers: &Answers, machine: Machine) -> Outcome {
    let done = answers.done.iter().find(|done| done.name == name.text());
    let findings = match done {
        None => Err(anyhow!("the guest did not get to it")),
        Some(done) => check(name, done, answers, machine),
    };
    Outcome {
        step: name.text(),
        seconds: done.map_or(0.0, |done| done.milliseconds as f64 / 1000.0),
        findings: findings.unwrap_or_else(|error| Findings {
            failures: vec![format!("{error:#}")],
            ..Findings::default()
        }),
    }
}

fn check(name: Name, done: &Done, answers: &Answers, machine: Machine) -> Result<Findings> {
    if let Some(trouble) = &done.trouble {
        bail!("{trouble} (exit code {})", done.code);
    }
    let report: Value = serde_json::from_str(&done.stdout)
        .with_context(|| format!("no report was written (exit code {})", done.code))?;
    Ok(match name {
        Name::Programs => programs::check(&report, machine.accelerator),
        Name::Stacks => stacks::check(&report),
        Name::Leaks => leaks::check(&report, done, machine.arch, &answers.release),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(stdout: &str, trouble: Option<&str>) -> Answers {
        Answers {
            release: "6.1.0".to_owned(),
            done: vec![Done {
                name: "programs".to_owned(),
                milliseconds: 1500,
                code: 5,
                stdout: stdout.to_owned(),
                trouble: trouble.map(str::to_owned),
                victims: Vec::new(),
            }],
            ..Answers::default()
        }
    }

    #[test]
    fn a_step_that_went_wrong_fails_with_its_reason() {
        let failures = |answers: &Answers, name| {
            judge_step(name, answers, Machine::new(Arch::Aarch64))
                .findings
                .failures
        };
        assert_eq!(
            failures(&done("{}", Some("it did not end")), Name::Programs),
            ["it did not end (exit code 5)"]
        );
        assert_eq!(
            failures(&done("{}", None), Name::Leaks),
            ["the guest did not get to it"]
        );
        let torn = failures(&done("{", None), Name::Programs);
        assert!(
            torn[0].starts_with("no report was written (exit code 5)"),
            "{torn:?}"
        );
    }

    #[test]
    fn a_guest_that_stops_half_way_fails() {
        let mut answers = done("{}", None);
        let failures = |answers: &Answers| judge_boot(Ok(()), answers).findings.failures;
        assert_eq!(
            failures(&answers),
            ["the guest did not come to the end of its steps"]
        );
        answers.whole = true;
        assert_eq!(failures(&answers), [""; 0]);
    }
}
