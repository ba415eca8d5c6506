//! The commands' options.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint, error::ErrorKind};
use leak_common::{KindSet, limits};

use super::{
    help,
    values::{self, KindChoice},
};
use crate::{
    advice, model,
    model::resource_limit::ResourceLimit,
    output::formats::{Format, Stacks, named},
};

/// Interval of the samples unless another is asked for.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Youngest steady finding in a text unless another age is asked for.
const DEFAULT_MIN_AGE: Duration = Duration::from_secs(10);

/// Trace running processes and report what leaks
///
/// Without -p, --comm and --cgroup, the whole host. For a first look: `leaktrace trace -d 1m`.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_help = help::TRACE_SHORT, after_long_help = help::TRACE)]
pub struct Trace {
    /// Only this process and the descendants it starts from now on (may be repeated)
    #[arg(short, long = "pid", value_name = "PID", value_parser = values::pid, display_order = 1)]
    pub pids: Vec<u32>,

    #[command(flatten)]
    pub options: TraceOptions,
}

/// Start a command and trace it from its first instruction
///
/// Its descendants are traced too. For a test that must not leak: --fail-on leak.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::RUN, override_usage = "leaktrace run [OPTIONS] [--] COMMAND [ARGS]...")]
pub struct Run {
    #[command(flatten)]
    pub failing: Failing,

    /// Start the command with these limits, to see which line runs into them first, for
    /// example nofile=256,nproc=64,as=2G
    #[arg(
        long = "limit",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        display_order = 14
    )]
    pub limits: Vec<ResourceLimit>,

    #[command(flatten)]
    pub options: TraceOptions,

    /// The command and its arguments; all that follows COMMAND is for it
    #[arg(trailing_var_arg = true, required = true, num_args = 1.., value_names = ["COMMAND", "ARGS"],
          value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What `trace` and `run` share.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct TraceOptions {
    #[command(flatten)]
    pub report: ReportOptions,

    /// Also record to this file, from which `leaktrace report` makes the same report later
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 30,
          help_heading = help::EVENTS)]
    pub record: Option<PathBuf>,

    /// With --record, replace an older recording of that name
    #[arg(long, requires = "record", display_order = 30, help_heading = help::EVENTS)]
    pub force: bool,

    /// Write single events as they happen, and no report; needs -f jsonl, or -f parquet
    /// in builds that have it
    #[arg(long, conflicts_with_all = ["hints", "suppressions", "no_default_suppressions"],
          display_order = 31, help_heading = help::EVENTS)]
    pub events: bool,

    /// For --events and --record: include resources that live shorter than --nursery,
    /// at a higher cost
    #[arg(long, display_order = 32, help_heading = help::EVENTS)]
    pub all_events: bool,

    /// Exit with code 0 even if no process matched --comm and --cgroup
    #[arg(long, display_order = 6)]
    pub allow_empty: bool,

    #[command(flatten)]
    pub selection: Selection,
}

/// What is traced, for how long and how.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct Selection {
    /// Only processes with this name, as in /proc/PID/comm (may be repeated)
    #[arg(long = "comm", value_name = "NAME", value_parser = values::comm, display_order = 2)]
    pub comms: Vec<String>,

    /// Only processes in this cgroup (v2) or below it
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath, display_order = 3)]
    pub cgroup: Option<PathBuf>,

    /// Only these kinds of resource, separated by commas
    #[arg(short, long = "kinds", visible_alias = "kind", value_name = "KIND", value_delimiter = ',',
          default_value = "all", value_parser = values::kind(), display_order = 4)]
    pub kind_choices: Vec<KindChoice>,

    /// Stop after this time, for example 10s, 500ms or 2m; a number alone is seconds [default: until Ctrl-C, or
    /// until the chosen processes exit]
    #[arg(short, long, value_parser = values::duration, display_order = 5)]
    pub duration: Option<Duration>,

    /// Time between the samples that verdicts rest on, and between updates of the
    /// progress line [default: 1s]
    #[arg(short, long = "interval", value_name = "DURATION", value_parser = values::duration,
          display_order = 40, help_heading = help::COST)]
    interval_choice: Option<Duration>,

    /// Ignore resources that are released before this age; they cost next to nothing
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration,
          display_order = 41, help_heading = help::COST)]
    pub nursery: Duration,

    /// Size of the kernel's ring buffer, a power of two; a larger one loses fewer
    /// events under load
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = values::ring_size,
          display_order = 42, help_heading = help::COST)]
    pub ring_size: u32,

    /// Kernel memory for unwind tables; with more, more programs have complete stacks
    /// at the same time [default: 64M, or 1/64 of the host's memory if that is less]
    #[arg(long, value_name = "BYTES", value_parser = values::stack_memory, display_order = 43,
          help_heading = help::COST)]
    pub stack_memory: Option<u64>,

    /// Take no stacks, to measure what they cost
    #[arg(long, hide = true)]
    pub no_stacks: bool,
}

/// What a report shows, in which format, and where it is written.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReportOptions {
    /// Leave out steady findings whose oldest resource is younger than this; leaks and
    /// suspects are always reported [default: 10s for text, 0s for other formats]
    #[arg(long = "min-age", value_name = "DURATION", value_parser = values::age,
          display_order = 22, help_heading = help::REPORTS)]
    min_age_choice: Option<Duration>,

    /// Text: show at most this many findings, and this many processes
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..), display_order = 20,
          help_heading = help::REPORTS)]
    pub top: u32,

    /// Text: show steady findings too, which are held for long but do not grow
    #[arg(long, display_order = 21, help_heading = help::REPORTS)]
    pub all: bool,

    /// Text: how much of a stack to show; frames that are yours have a mark
    #[arg(long = "stack", value_enum, value_name = "HOW", default_value_t, display_order = 22,
          help_heading = help::REPORTS)]
    pub stacks: Stacks,

    /// Format of the report
    #[arg(short, long, value_parser = values::format::<model::report::Report>(), default_value = "text",
          display_order = 11)]
    pub format: &'static Format,

    /// Write to this file, with mode 0600, or to standard output (-); in its name, %h is
    /// the host, %p the tracer's process id, %t the time (UTC)
    ///
    /// The file appears when it is complete, or not at all.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 12)]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub advice: AdviceOptions,
}

/// Files of the user that explain or hide findings.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct AdviceOptions {
    /// Add hints from this file to the built-in ones; its format is in docs/hints.md
    /// (may be repeated)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 25,
          help_heading = help::REPORTS)]
    pub hints: Vec<PathBuf>,

    /// Hide the findings that this file names as reviewed, and count them; its format
    /// is in docs/suppressions.md (may be repeated)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 23,
          help_heading = help::REPORTS)]
    pub suppressions: Vec<PathBuf>,

    /// Show also what is hidden by default: memory that sanitizers and the Java virtual
    /// machine keep by design
    #[arg(long, display_order = 24, help_heading = help::REPORTS)]
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
    pub(super) fn contradiction(&self, failing: Failing) -> Option<(ErrorKind, String)> {
        let needs_report = match failing {
            Failing {
                fail_on: Some(_), ..
            } => Some("--fail-on"),
            Failing { ci: Some(_), .. } => Some("--ci"),
            Failing {
                fail_on: None,
                ci: None,
            } => None,
        };
        if let (true, Some(option)) = (self.events, needs_report) {
            return Some((
                ErrorKind::ArgumentConflict,
                format!("{option} needs a report, and --events writes none: leave one of them out"),
            ));
        }
        self.report.contradiction(self.events)
    }
}

impl ReportOptions {
    /// Why the format cannot hold what was asked for: events, or a report.
    pub(super) fn contradiction(&self, events: bool) -> Option<(ErrorKind, String)> {
        (events && self.format.events.is_none()).then(|| {
            (
                ErrorKind::ArgumentConflict,
                "--events needs a format for events: add -f jsonl, or -f parquet in builds that have it"
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
/// A report is a file that -f json wrote, or a recording. Sites are matched by kind, program and
/// functions of the stack, so the reports may come from other runs, hosts or builds.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::DIFF)]
pub struct Diff {
    /// The older report or recording
    #[arg(value_hint = ValueHint::FilePath)]
    pub base: PathBuf,

    /// The newer report or recording
    #[arg(value_hint = ValueHint::FilePath)]
    pub new: PathBuf,

    /// Exit with code 3 if a site that is new or grew is this bad or worse in NEW
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,

    /// Text: show at most this many sites
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,

    /// Text: show also sites that are steady in both reports, and those that are the same
    #[arg(long)]
    pub all: bool,

    /// Format of the comparison
    #[arg(short, long, value_parser = values::format::<model::diff::Diff>(), default_value = "text")]
    pub format: &'static Format,

    /// Write to this file, with mode 0600
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Check whether this machine can trace
///
/// Loads and attaches each eBPF program for a moment. Names what is missing, and how to get it.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::DOCTOR)]
pub struct Doctor {
    /// Format of the result
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

/// Write manual pages, one for each command
///
/// To read one: `man DIR/leaktrace-trace.1`.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::MAN)]
pub struct Man {
    /// Directory for the pages; it is made if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
}

/// What makes a command fail, and whom it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct Failing {
    /// Exit with code 3 if a finding is this bad or worse
    #[arg(long, value_enum, value_name = "VERDICT", display_order = 13)]
    pub fail_on: Option<FailOn>,

    /// Beside the report, write notes for this build server to standard error: it shows them
    /// at the lines of code
    #[arg(long, value_enum, value_name = "SERVER", display_order = 13)]
    pub ci: Option<BuildServer>,
}

/// A build server that reads notes from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BuildServer {
    /// GitHub Actions: annotations of a pull request
    #[value(name = "github")]
    GitHub,
}

impl BuildServer {
    /// The format of its notes.
    #[must_use]
    pub fn format(self) -> &'static Format {
        match self {
            BuildServer::GitHub => named("github").expect("it is in the list of formats"),
        }
    }
}

impl Failing {
    /// Whether it fails of suspects too.
    #[must_use]
    pub fn on_suspects(self) -> bool {
        self.fail_on == Some(FailOn::Suspect)
    }
}

/// What is bad enough to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A leak
    Leak,
    /// A leak or a suspect
    Suspect,
}
