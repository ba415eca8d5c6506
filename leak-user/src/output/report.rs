//! Reports to their places: the one spot that knows which format is written how.

use std::path::Path;

use anyhow::bail;

use super::Output;
use crate::{
    cli::{Color, Format},
    report::{self, Report, TextOptions},
};

/// What the command line says about the looks of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub color: Color,
    /// Findings and processes to show at most.
    pub top: u32,
    /// Whether to show steady findings.
    pub show_steady: bool,
}

/// An open place for one report in one format.
#[derive(Debug)]
pub struct ReportOutput {
    format: Format,
    output: Output,
}

impl ReportOutput {
    /// Opens what `--output` names, with its `%` fields filled in, or standard output
    /// where it names nothing.
    ///
    /// # Errors
    ///
    /// As [`Output::file`], and where a binary format would go to a terminal.
    pub fn open(format: Format, path: Option<&Path>, host: &str) -> anyhow::Result<ReportOutput> {
        let output = Output::open(path, host)?;
        if format.is_binary() && output.is_terminal() {
            bail!(
                "this format is binary and is not written to a terminal; name a file with -o, or \
                 send it through a pipe"
            );
        }
        Ok(ReportOutput { format, output })
    }

    /// Writes the report and puts it in its place.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn write(self, report: &Report, style: Style) -> anyhow::Result<()> {
        let text = TextOptions {
            width: self.output.width(),
            color: self.output.color(style.color),
            top: usize::try_from(style.top).unwrap_or(usize::MAX),
            show_steady: style.show_steady,
        };
        self.output.write(|out| match self.format {
            Format::Text => report::text::write(report, &text, out),
            Format::Json => report::json::write(report, out),
            Format::Jsonl => report::jsonl::write(report, out),
            Format::Folded => report::folded::write(report, out),
            Format::Flamegraph => report::flamegraph::write(report, out),
            Format::Pprof => report::pprof::write(report, None, out),
            Format::Perfetto => report::perfetto::write(report, out),
            Format::Html => report::html::write(report, out),
        })
    }
}
