//! Builds, runs, tests, lints and measures leaktrace: `cargo xtask --help`.
//!
//! Each command finds what it needs, says what it installs before it does, and prints every command that it runs.

mod arch;
mod bench;
mod bpf;
mod command;
mod compare;
mod corpus;
mod cross;
mod host;
mod linker;
mod lint;
mod packages;
mod python;
mod run;
mod steps;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::arch::Arch;
use crate::command::Settings;
use crate::cross::Cross;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Builds, runs, tests, lints and measures leaktrace"
)]
struct Cli {
    /// Install nothing: where something is missing, fail with the command that would install it
    #[arg(long, global = true)]
    no_install: bool,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the eBPF object and leaktrace
    Build {
        /// With optimisations
        #[arg(long)]
        release: bool,
        /// Architecture to build for; this machine's without it, and always with optimisations for another one
        #[arg(long)]
        arch: Option<Arch>,
    },
    /// Build the eBPF object alone
    Bpf {
        /// Architecture of the kernel that will load it; this machine's without it
        #[arg(long)]
        arch: Option<Arch>,
    },
    /// Run leaktrace with ARGS as root; without ARGS, show it finding the leaks of a demo program
    Run {
        /// Arguments for leaktrace
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Run all tests, those against the running kernel as root
    Test {
        /// Test with an optimised leaktrace
        #[arg(long)]
        release: bool,
        /// Only tests whose name contains this
        filter: Option<String>,
        /// Arguments for the test programs
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Boot older and newer kernels in virtual machines and trace there
    VmTest(vm::Options),
    /// Check formatting, borders between rooms and links of the documentation, run clippy for host and BPF, check
    /// licences and sources of dependencies
    Lint,
    /// Measure what tracing costs on this machine and write leak-user/docs/cost.md
    Bench {
        /// Shorter rounds: for trying it, not for quoting
        #[arg(long)]
        quick: bool,
        /// Measure and write this section alone; with --quick it is only printed
        #[arg(long, value_name = "SECTION")]
        only: Option<bench::Section>,
    },
    /// Compare stacks walked in the kernel with another unwinder's, on ten programs at work, and write
    /// leak-user/docs/stacks-compared.md
    CompareStacks(compare::Options),
    /// Run programs that leak and programs that do not under one tracer, and compare its verdicts with what they are
    Corpus(corpus::Options),
    /// Measure with what is built; prints the table (needs root)
    #[command(hide = true)]
    Measure(bench::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = Settings {
        install: !cli.no_install,
    };
    match perform(cli.task, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task, settings: Settings) -> Result<()> {
    match task {
        Task::Build { release, arch } => {
            let binary = match arch.filter(|arch| arch.is_foreign()) {
                Some(arch) => Cross::prepare(settings, arch)?.leaktrace(settings)?,
                None => {
                    bpf::build(settings)?;
                    host::build(release)?
                }
            };
            println!("{}", binary.display());
        }
        Task::Bpf { arch } => {
            let arch = arch.map_or(std::env::consts::ARCH, Arch::name);
            bpf::build_for(settings, arch)?;
        }
        Task::Run { args } if args.is_empty() => run::demo(settings)?,
        Task::Run { args } => run::leaktrace(settings, &args)?,
        Task::Test {
            release,
            filter,
            args,
        } => test::run(settings, release, filter.as_deref(), &args)?,
        Task::VmTest(options) => vm::run(settings, &options)?,
        Task::Lint => lint::run(settings)?,
        Task::Bench { quick, only } => bench::run(settings, quick, only)?,
        Task::CompareStacks(options) => compare::run(settings, &options)?,
        Task::Corpus(options) => corpus::run(settings, &options)?,
        Task::Measure(options) => bench::measure(&options)?,
    }
    Ok(())
}
