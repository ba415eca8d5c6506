//! Reports to their places: the one spot that knows which format is written how.

use std::path::Path;

use anyhow::bail;

use super::Output;
use crate::{
    cli::{Color, Format},
    model::report::Report,
    output::formats::{self, TextOptions},
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
pub struct ReportOutput(Place);

#[derive(Debug)]
enum Place {
    Stream(Format, Output),
    #[cfg(feature = "parquet")]
    Tables(super::Partitions),
}

impl ReportOutput {
    /// Opens what `--output` names, with its `%` fields filled in, or standard output
    /// where it names nothing. Tables go to a directory.
    ///
    /// # Errors
    ///
    /// As [`Output::file`], where a binary format would go to a terminal, and where tables
    /// have no directory to go to.
    pub fn open(format: Format, path: Option<&Path>, host: &str) -> anyhow::Result<ReportOutput> {
        #[cfg(feature = "parquet")]
        if format == Format::Parquet {
            let partitions = super::Partitions::named(path, host)?;
            return Ok(ReportOutput(Place::Tables(partitions)));
        }
        let output = Output::open(path, host)?;
        if format.is_binary() && output.is_terminal() {
            bail!(
                "this format is binary and is not written to a terminal; name a file with -o, or \
                 send it through a pipe"
            );
        }
        Ok(ReportOutput(Place::Stream(format, output)))
    }

    /// Writes the report and puts it in its place.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn write(self, report: &Report, style: Style) -> anyhow::Result<()> {
        let (format, output) = match self.0 {
            Place::Stream(format, output) => (format, output),
            #[cfg(feature = "parquet")]
            Place::Tables(partitions) => return partitions.write(report),
        };
        let text = TextOptions {
            width: output.width(),
            color: output.color(style.color),
            top: usize::try_from(style.top).unwrap_or(usize::MAX),
            show_steady: style.show_steady,
        };
        output.write(|out| match format {
            Format::Text => formats::text::write(report, &text, out),
            Format::Json => formats::json::write(report, out),
            Format::Jsonl => formats::jsonl::write(report, out),
            Format::Folded => formats::folded::write(report, out),
            Format::Flamegraph => formats::flamegraph::write(report, out),
            Format::Pprof => formats::pprof::write(report, None, out),
            Format::Perfetto => formats::perfetto::write(report, out),
            Format::Html => formats::html::write(report, out),
            #[cfg(feature = "parquet")]
            Format::Parquet => formats::parquet::write(report, out),
        })
    }
}
