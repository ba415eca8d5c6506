//! Writes a report to its place.

use std::path::Path;

use super::{
    Output, Style,
    destination::Destination,
    formats::{FORMATS, Format},
};
use crate::model::report::Report;

/// An open place for one report in one format.
#[derive(Debug)]
pub struct ReportOutput {
    format: &'static Format,
    destination: Destination,
}

impl ReportOutput {
    /// Opens what `--output` names, with its `%` fields filled in, or standard output where it names nothing.
    ///
    /// # Errors
    ///
    /// As [`Output::file`](super::Output::file), where a format that no person reads would go to a terminal, and where
    /// a format that needs a directory has none.
    pub fn open(
        format: &'static Format,
        path: Option<&Path>,
        host: &str,
    ) -> anyhow::Result<ReportOutput> {
        let destination = Destination::open(format, path, host)?;
        Ok(ReportOutput {
            format,
            destination,
        })
    }

    /// Standard output, in the first format of all, which is for people.
    #[must_use]
    pub fn text() -> ReportOutput {
        ReportOutput {
            format: FORMATS[0],
            destination: Destination::One(Output::stdout()),
        }
    }

    /// Whether it is standard output.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(&self.destination, Destination::One(output) if output.is_stdout())
    }

    /// Writes the report and puts it in its place.
    ///
    /// # Errors
    ///
    /// As [`Output::write`](super::Output::write).
    pub fn write(self, report: &Report, style: Style) -> anyhow::Result<()> {
        match self.destination {
            Destination::One(output) => output.write_document(self.format, report, style),
            Destination::Directory(partitions) => partitions.write(report, style),
        }
    }
}
