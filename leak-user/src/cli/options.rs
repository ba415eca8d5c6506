//! The commands' options.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint, error::ErrorKind};
use leak_common::{KindSet, limits};

use super::{
    help,
    values::{self, KindChoice},
};
use crate::{advice, model, output::formats::Format};

/// Interval of the samples unless another is asked for.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Youngest steady finding in a text unless another age is asked for.
const DEFAULT_MIN_AGE: Duration = Duration::from_secs(10);

/// Trace running processes
///
/// These are the whole system, or those that -p, --comm and --cgroup choose.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::TRACE)]
pub struct Trace {
    /// Trace this process and the descendants it will have (may be repeated)
    #[arg(short, long = "pid", value_name = "PID", value_parser = values::pid, display_order = 1)]
    pub pids: Vec<u32>,

    #[command(flatten)]
    pub options: TraceOptions,
}

/// Start a command and trace it from its first instruction
///
/// Its descendants are traced with it.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::RUN, override_usage = "leaktrace run [OPTIONS] -- COMMAND [ARGS]...")]
pub struct Run {
    /// End with code 3 if there are findings as bad as this or worse
    #[arg(long, value_enum, value_name = "VERDICT", display_order = 20)]
    pub fail_on: Option<FailOn>,

    #[command(flatten)]
    pub options: TraceOptions,

    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, num_args = 1.., value_names = ["COMMAND", "ARGS"],
          value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What `trace` and `run` share.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct TraceOptions {
    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    pub report: ReportOptions,

    /// Also record to this file, for `leaktrace report`: the report comes out the same
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 15)]
    pub record: Option<PathBuf>,

    /// Write each event while the trace goes on instead of a report at its end, with
    /// -f jsonl (one a line) or -f parquet where leaktrace was built with it
    #[arg(long, conflicts_with_all = ["hints", "suppressions", "no_default_suppressions"], display_order = 17)]
    pub events: bool,

    /// Send every acquisition and release to user space, also of what lives for a
    /// moment only: for --events and --record, at more cost [default: what outlives
    /// the nursery's age]
    #[arg(long, display_order = 18)]
    pub all_events: bool,
}

/// What is traced, for how long and how.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct Selection {
    /// Only processes of this name, as in /proc/PID/comm (may be repeated)
    #[arg(long = "comm", value_name = "NAME", value_parser = values::comm, display_order = 2)]
    pub comms: Vec<String>,

    /// Only processes in this cgroup (v2) or below it
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath, display_order = 3)]
    pub cgroup: Option<PathBuf>,

    /// Kinds of resource, separated by commas; `all` is every kind that this
    /// version traces
    #[arg(short, long = "kinds", value_name = "KIND", value_delimiter = ',',
          default_value = "all", value_parser = values::kind(), display_order = 4)]
    pub kind_choices: Vec<KindChoice>,

    /// End after this time, as 10s, 500ms or 2m [default: at Ctrl-C, or when what was
    /// chosen by process or command has ended]
    #[arg(short, long, value_parser = values::duration, display_order = 5)]
    pub duration: Option<Duration>,

    /// Time between the samples that verdicts rest on, and between updates of
    /// the progress line [default: 1s]
    #[arg(short, long = "interval", value_name = "DURATION", value_parser = values::duration,
          display_order = 6)]
    interval_choice: Option<Duration>,

    /// Age from which a resource counts as old: what is released sooner costs
    /// next to nothing and is no part of any verdict
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration,
          display_order = 8)]
    pub nursery: Duration,

    /// Size of the kernel's ring buffer, a power of two: more of it loses less
    /// under load
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = values::ring_size,
          display_order = 13)]
    pub ring_size: u32,

    /// Kernel memory for unwind tables: with more of it, more programs have whole
    /// stacks at once [default: 64M, or a 64th of the host's memory if that is less]
    #[arg(long, value_name = "BYTES", value_parser = values::stack_memory, display_order = 14)]
    pub stack_memory: Option<u64>,

    /// Take no stacks: to see what they cost
    #[arg(long, hide = true)]
    pub no_stacks: bool,
}

/// What is shown of a report, how and where it goes.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReportOptions {
    /// Leave out steady findings with nothing older than this; leaks and
    /// suspects are always reported [default: 10s for text, other formats have all]
    #[arg(long = "min-age", value_name = "DURATION", value_parser = values::age,
          display_order = 7)]
    min_age_choice: Option<Duration>,

    /// Findings and processes that the text shows at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..), display_order = 9)]
    pub top: u32,

    /// Show steady findings too: what is held for long and does not grow
    #[arg(long, display_order = 10)]
    pub all: bool,

    /// Format of the report
    #[arg(short, long, value_parser = values::format::<model::report::Report>(), default_value = "text",
          display_order = 11)]
    pub format: &'static Format,

    /// Write the report to this file, whole or not at all, with mode 0600;
    /// %h is the host, %p the tracer's process id, %t the time (UTC), and - is standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 12)]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub advice: AdviceOptions,
}

/// Files with what people know beside what is traced.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct AdviceOptions {
    /// Add hints from this file to those that are built in; docs/hints.md has its
    /// form (may be repeated)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 15)]
    pub hints: Vec<PathBuf>,

    /// Leave out the findings that this file says are all right, and count them;
    /// docs/suppressions.md has its form (may be repeated)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 16)]
    pub suppressions: Vec<PathBuf>,

    /// Show also what is suppressed by itself: memory that sanitizers and the Java virtual
    /// machine keep by design
    #[arg(long, display_order = 16)]
    pub no_default_suppressions: bool,
}

impl AdviceOptions {
    /// The files, for [`Advice::read`](advice::Advice::read).
    #[must_use]
    pub fn sources(&self) -> advice::Sources {
        advice::Sources {
            hints: self.hints.clone(),
            suppressions: self.suppressions.clone(),
            no_default_suppressions: self.no_default_suppressions,
        }
    }
}

const _: () = assert!(limits::RING_BYTES == 16 << 20);
const _: () = assert!(limits::NURSERY_NS == 1_000_000_000);

impl Selection {
    /// The chosen kinds.
    #[must_use]
    pub fn kinds(&self) -> KindSet {
        values::kinds(&self.kind_choices)
    }

    /// Time between two samples, never longer than the trace.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let interval = self.interval_choice.unwrap_or(DEFAULT_INTERVAL);
        self.duration
            .map_or(interval, |duration| interval.min(duration))
    }

    /// The interval, if one was asked for.
    pub(super) fn interval_given(&self) -> Option<Duration> {
        self.interval_choice
    }
}

impl TraceOptions {
    pub(super) fn contradiction(&self, judges: bool) -> Option<(ErrorKind, String)> {
        if self.events && judges {
            return Some((
                ErrorKind::ArgumentConflict,
                "--fail-on needs the report that --events leaves out".to_owned(),
            ));
        }
        self.report.contradiction(self.events)
    }
}

impl ReportOptions {
    /// What is wrong with a format that is to hold events, or a report.
    pub(super) fn contradiction(&self, events: bool) -> Option<(ErrorKind, String)> {
        (events && self.format.events.is_none()).then(|| {
            (
                ErrorKind::ArgumentConflict,
                "--events are lines or tables: add -f jsonl, or -f parquet where there is one"
                    .to_owned(),
            )
        })
    }

    /// Age below which steady findings are left out of the report; `None` for none.
    #[must_use]
    pub fn min_age(&self) -> Option<Duration> {
        let default = self.format.is_selective.then_some(DEFAULT_MIN_AGE);
        self.min_age_choice.or(default)
    }
}

/// Compare two reports: which sites are new, gone, grew or shrank
///
/// Each is what -f json wrote, or a recording. Sites are matched by kind, program and the functions of the
/// stack, across runs, hosts and builds.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::DIFF)]
pub struct Diff {
    /// The report, or recording, to compare with
    #[arg(value_hint = ValueHint::FilePath)]
    pub base: PathBuf,

    /// The report, or recording, that is compared with it
    #[arg(value_hint = ValueHint::FilePath)]
    pub new: PathBuf,

    /// End with code 3 if a site of NEW is new or grew and is as bad as this or worse
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,

    /// Sites that the text shows at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,

    /// Show also sites that are steady in both reports, and those that are the same
    #[arg(long)]
    pub all: bool,

    /// Format of the answer
    #[arg(short, long, value_parser = values::format::<model::diff::Diff>(), default_value = "text")]
    pub format: &'static Format,

    /// Write it to this file, whole or not at all, with mode 0600
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Check what tracing needs on this machine
///
/// What is missing is named, with the way to get it.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::DOCTOR)]
pub struct Doctor {
    /// Format of the answer
    #[arg(short, long, value_parser = values::format::<model::doctor::DoctorReport>(),
          default_value = "text")]
    pub format: &'static Format,
}

/// Print a completion script for a shell
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::COMPLETIONS)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// What makes `run` fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A leak
    Leak,
    /// A leak or a suspect
    Suspect,
}
