//! The options of `record`, `report` and `verify`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueHint, error::ErrorKind};

use super::{
    Failing, ReportOptions, Selection, help,
    values::{self, KindChoice},
};
use crate::{
    model::time::Moment,
    recording::writer::{PartLimit, Triggers},
};

/// Record a trace to a file; `leaktrace report` makes the report later
///
/// The file can be read at any moment, even if the recorder is killed.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::RECORD,
          override_usage = "leaktrace record [OPTIONS] --output <FILE> [[--] COMMAND [ARGS]...]")]
pub struct Record {
    /// Only this process and the descendants it starts from now on (may be repeated)
    #[arg(short, long = "pid", value_name = "PID", value_parser = values::pid, display_order = 1)]
    pub pids: Vec<u32>,

    /// Record to this file, with mode 0600, or to standard output (-); in its name, %h
    /// is the host, %p the tracer's process id, %t the time (UTC)
    #[arg(short, long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath,
          display_order = 12)]
    pub output: PathBuf,

    /// Replace an older recording of that name
    #[arg(long, display_order = 13)]
    pub force: bool,

    /// Record also resources that live shorter than --nursery, at a higher cost
    #[arg(long, display_order = 20, help_heading = help::RECORDINGS)]
    pub all_events: bool,

    /// Stop when the recording has about this size, for example 512K, 64M or 2G
    #[arg(long, value_name = "SIZE", value_parser = values::recording_size, display_order = 21,
          help_heading = help::RECORDINGS)]
    pub max_size: Option<u64>,

    /// Begin a new file at this size or age, for example 64M or 10m; each file can be
    /// read without the others
    #[arg(long, value_name = "SIZE|DURATION", value_parser = values::part, display_order = 22,
          help_heading = help::RECORDINGS)]
    pub rotate: Option<PartLimit>,

    /// With --rotate, keep this many files and delete the oldest
    #[arg(long, value_name = "N", requires = "rotate",
          value_parser = clap::value_parser!(u32).range(1..), display_order = 23,
          help_heading = help::RECORDINGS)]
    pub keep: Option<u32>,

    /// Keep the recording in memory; write it, and what follows, once one of these
    /// happens: nofile>80%, findings, EMFILE, ... separated by |
    #[arg(long, value_name = "TRIGGERS", value_parser = Triggers::parse,
          conflicts_with = "rotate", display_order = 24, help_heading = help::RECORDINGS)]
    pub on_trigger: Option<Triggers>,

    /// With --on-trigger, memory for the time before the trigger
    #[arg(long, value_name = "SIZE", value_parser = values::recording_size,
          requires = "on_trigger", default_value = "64M", display_order = 25,
          help_heading = help::RECORDINGS)]
    pub past: u64,

    /// Leave out command lines; names and paths stay
    #[arg(long, display_order = 26, help_heading = help::RECORDINGS)]
    pub redact: bool,

    #[command(flatten)]
    pub selection: Selection,

    /// A command to start and trace from its first instruction; all that follows COMMAND is for it
    #[arg(trailing_var_arg = true, num_args = 1.., value_names = ["COMMAND", "ARGS"],
          value_hint = ValueHint::CommandWithArguments, conflicts_with = "pids")]
    pub command: Vec<OsString>,
}

impl Record {
    pub(super) fn contradiction(&self) -> Option<(ErrorKind, String)> {
        let is_stdout = self.output.as_os_str() == "-";
        (is_stdout && self.rotate.is_some()).then(|| {
            (
                ErrorKind::ArgumentConflict,
                "--rotate needs files, not standard output: name one with --output".to_owned(),
            )
        })
    }
}

/// Make the report of a recording
///
/// Runs on any machine, without privileges.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::REPORT)]
pub struct Report {
    /// The recording, or all files of a rotated one
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// Only from this time on: 10s or 2m after the start, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = values::moment, display_order = 1)]
    pub from: Option<Moment>,

    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = values::moment, display_order = 2)]
    pub to: Option<Moment>,

    /// Only this process (may be repeated)
    #[arg(short, long = "pid", value_name = "PID", value_parser = values::pid, display_order = 3)]
    pub pids: Vec<u32>,

    /// Only these kinds of resource, separated by commas
    #[arg(short, long = "kinds", visible_alias = "kind", value_name = "KIND", value_delimiter = ',',
          default_value = "all", value_parser = values::kind(), display_order = 4)]
    pub kind_choices: Vec<KindChoice>,

    #[command(flatten)]
    pub report: ReportOptions,

    /// Write the single events of the recording, and no report; needs -f jsonl, or
    /// -f parquet in builds that have it
    #[arg(long, conflicts_with_all = ["fail_on", "ci", "hints", "suppressions", "no_default_suppressions"],
          display_order = 13)]
    pub events: bool,

    #[command(flatten)]
    pub failing: Failing,
}

/// Check that recordings are complete and unaltered
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::VERIFY)]
pub struct Verify {
    /// The recordings
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
}

impl Report {
    pub(super) fn contradiction(&self) -> Option<(ErrorKind, String)> {
        self.report.contradiction(self.events)
    }

    /// The chosen kinds.
    #[must_use]
    pub fn kinds(&self) -> leak_common::KindSet {
        values::kinds(&self.kind_choices)
    }
}
