//! Where a format's bytes go: to one place, or into the files of a directory.

use std::path::Path;

use anyhow::bail;

use super::{
    Output,
    formats::{Format, Medium},
    partitions::Partitions,
};

/// An open place that suits a format.
#[derive(Debug)]
pub(super) enum Destination {
    One(Output),
    Directory(Partitions),
}

impl Destination {
    /// Opens what `--output` names, with its `%` fields filled in, or standard output where it names nothing.
    ///
    /// # Errors
    ///
    /// As [`Output::file`], where a format that no person reads would go to a terminal, and where a format that needs a
    /// directory has none.
    pub(super) fn open(
        format: &'static Format,
        path: Option<&Path>,
        host: &str,
    ) -> anyhow::Result<Destination> {
        let output = match format.medium {
            Medium::Directory => {
                let partitions = Partitions::named(format, path, host)?;
                return Ok(Destination::Directory(partitions));
            }
            Medium::Text => Output::open(path, host)?,
            Medium::Page => {
                let output = Output::open(path, host)?;
                if path.is_none() && output.is_terminal() {
                    bail!(
                        "-f {} is for a program that shows it, not for a terminal: name a file with \
                         -o, or send it through a pipe (-o - writes it here)",
                        format.name
                    );
                }
                output
            }
            Medium::Binary => {
                let output = Output::open(path, host)?;
                if output.is_terminal() {
                    bail!(
                        "this format is binary and is not written to a terminal; name a file with \
                         -o, or send it through a pipe"
                    );
                }
                output
            }
        };
        Ok(Destination::One(output))
    }
}
