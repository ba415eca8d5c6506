//! The options of `record`, `report` and `verify`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueHint, error::ErrorKind};

use super::{
    FailOn, ReportOptions, Selection, help,
    values::{self, KindChoice},
};
use crate::{
    model::time::Moment,
    recording::writer::{Triggers, triggers},
};

/// Record a trace into a file, for `leaktrace report`
///
/// The file is readable at any moment, also if the recording is killed.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::RECORD,
          override_usage = "leaktrace record [OPTIONS] --output <FILE> [-- COMMAND [ARGS]...]")]
pub struct Record {
    /// Trace this process and the descendants it will have (may be repeated)
    #[arg(short, long = "pid", value_name = "PID", value_parser = values::pid, display_order = 1)]
    pub pids: Vec<u32>,

    #[command(flatten)]
    pub selection: Selection,

    /// Record to this file, with mode 0600; %h is the host, %p the tracer's process
    /// id, %t the time (UTC), and - is standard output
    #[arg(short, long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath,
          display_order = 12)]
    pub output: PathBuf,

    /// Record every acquisition and release, also of what lives for a moment only:
    /// more to look into, at more cost [default: what outlives the nursery's age]
    #[arg(long, display_order = 20)]
    pub all_events: bool,

    /// End when the recording has about this size, as 512K, 64M or 2G
    #[arg(long, value_name = "SIZE", value_parser = values::recording_size, display_order = 21)]
    pub max_size: Option<u64>,

    /// Begin a new file when one has this size or age, as 64M or 10m. Each can be
    /// read without the others
    #[arg(long, value_name = "SIZE|DURATION", value_parser = values::part, display_order = 22)]
    pub rotate: Option<Part>,

    /// Keep this many files of a rotation: the oldest is removed for a new one
    #[arg(long, value_name = "N", requires = "rotate",
          value_parser = clap::value_parser!(u32).range(1..), display_order = 23)]
    pub keep: Option<u32>,

    /// Write nothing until one of these happens, then the past that is in memory
    /// and all that follows: nofile>80%, findings, EMFILE, ... separated by |
    #[arg(long, value_name = "TRIGGERS", value_parser = triggers,
          conflicts_with = "rotate", display_order = 24)]
    pub on_trigger: Option<Triggers>,

    /// Memory for the past that a trigger writes
    #[arg(long, value_name = "SIZE", value_parser = values::recording_size,
          requires = "on_trigger", default_value = "64M", display_order = 25)]
    pub past: u64,

    /// Leave command lines out of the recording; names and programs stay
    #[arg(long, display_order = 26)]
    pub redact: bool,

    /// A command to start and trace from its first instruction, after `--`
    #[arg(last = true, num_args = 1.., value_names = ["COMMAND", "ARGS"],
          value_hint = ValueHint::CommandWithArguments, conflicts_with = "pids")]
    pub command: Vec<OsString>,
}

/// When a part of a recording is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Bytes(u64),
    Age(Duration),
}

impl Record {
    pub(super) fn contradiction(&self) -> Option<(ErrorKind, String)> {
        let is_stdout = self.output.as_os_str() == "-";
        (is_stdout && self.rotate.is_some()).then(|| {
            (
                ErrorKind::ArgumentConflict,
                "--rotate needs files: name one with --output".to_owned(),
            )
        })
    }
}

/// Report on recordings
///
/// Needs no privilege, and not the machine that was traced.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(after_long_help = help::REPORT)]
pub struct Report {
    /// The recording, or the files of one that was rotated
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// Look at the time from here on: 10s or 2m from the start, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = values::moment, display_order = 1)]
    pub from: Option<Moment>,

    /// Look at the time up to here
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

    /// Write the single events of the recording instead of a report, with -f jsonl
    /// (one a line) or -f parquet where leaktrace was built with it
    #[arg(long, conflicts_with_all = ["fail_on", "hints", "suppressions", "no_default_suppressions"],
          display_order = 17)]
    pub events: bool,

    /// End with code 3 if there are findings as bad as this or worse
    #[arg(long, value_enum, value_name = "VERDICT", display_order = 20)]
    pub fail_on: Option<FailOn>,
}

/// Check whether recordings are whole and as they were written
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
