//! The events of a recording to their place, as they are read.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use anyhow::bail;

use super::Output;
use crate::{
    cli::Format,
    replay::{Events, Missing},
    report::jsonl,
};

/// An open place for events.
#[derive(Debug)]
pub struct EventOutput(Place);

#[derive(Debug)]
enum Place {
    Lines(Output),
    #[cfg(feature = "parquet")]
    Tables(super::Partitions),
}

impl EventOutput {
    /// Opens what `--output` names, as [`ReportOutput::open`](super::ReportOutput::open).
    ///
    /// # Errors
    ///
    /// As there, and where events are not written in this format.
    pub fn open(format: Format, path: Option<&Path>, host: &str) -> anyhow::Result<EventOutput> {
        Ok(EventOutput(match format {
            Format::Jsonl => Place::Lines(Output::open(path, host)?),
            #[cfg(feature = "parquet")]
            Format::Parquet => Place::Tables(super::Partitions::named(path, host)?),
            _ => bail!("events are not written in this format"),
        }))
    }

    /// Writes all events. Returns what was missing.
    ///
    /// # Errors
    ///
    /// As [`Output::write`], and where the recording cannot be read to its end.
    pub fn write<R: Read>(self, mut events: Events<'_, R>) -> anyhow::Result<Missing> {
        match self.0 {
            Place::Lines(output) => {
                let mut unread = None;
                let written = output.write(|out| {
                    lines(&mut events, out, |error| {
                        let message = error.to_string();
                        unread = Some(error);
                        io::Error::other(message)
                    })
                });
                if let Some(error) = unread {
                    return Err(error.into());
                }
                written?;
            }
            #[cfg(feature = "parquet")]
            Place::Tables(partitions) => {
                let mut table = partitions.events(events.host().clone());
                while let Some(row) = events.next_row()? {
                    table.push(row)?;
                }
                table.finish()?;
            }
        }
        Ok(events.missing().clone())
    }
}

fn lines<R: Read>(
    events: &mut Events<'_, R>,
    out: &mut dyn Write,
    unread: impl FnOnce(crate::replay::ReplayError) -> io::Error,
) -> io::Result<()> {
    let host = events.host().hostname.clone();
    loop {
        match events.next_row() {
            Ok(Some(row)) => jsonl::events::write_line(&row, &host, out)?,
            Ok(None) => return jsonl::events::write_end(events.missing(), &host, out),
            Err(error) => return Err(unread(error)),
        }
    }
}
