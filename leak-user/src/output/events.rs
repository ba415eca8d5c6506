//! Single events to their place, as they are read from a recording or happen.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use anyhow::bail;

use super::Output;
use crate::{
    cli::Format,
    event::row::EventRow,
    model::{missing::Missing, report::Host},
    output::formats::jsonl,
    recording::reader::Events,
};

/// What gives the events.
pub trait Rows {
    /// The host that was traced.
    fn host(&self) -> &Host;

    /// How many there were so far, and what is missing.
    fn missing(&self) -> &Missing;

    /// Whether the next one is yet to come: what was written is to be seen meanwhile.
    fn wait(&mut self) -> bool;

    /// The next one; `None` at the end.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    fn next_row(&mut self) -> anyhow::Result<Option<EventRow>>;
}

impl<R: Read> Rows for Events<'_, R> {
    fn host(&self) -> &Host {
        Events::host(self)
    }

    fn missing(&self) -> &Missing {
        Events::missing(self)
    }

    fn wait(&mut self) -> bool {
        false
    }

    fn next_row(&mut self) -> anyhow::Result<Option<EventRow>> {
        Ok(Events::next_row(self)?)
    }
}

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

    /// Whether a person looks at it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match &self.0 {
            Place::Lines(output) => output.is_terminal(),
            #[cfg(feature = "parquet")]
            Place::Tables(_) => false,
        }
    }

    /// Writes all events. Returns what was missing.
    ///
    /// # Errors
    ///
    /// As [`Output::write`], and where the events cannot be read to their end.
    pub fn write(self, mut events: impl Rows) -> anyhow::Result<Missing> {
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
                    return Err(error);
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

fn lines(
    events: &mut impl Rows,
    out: &mut dyn Write,
    unread: impl FnOnce(anyhow::Error) -> io::Error,
) -> io::Result<()> {
    let host = events.host().hostname.clone();
    loop {
        if events.wait() {
            out.flush()?;
        }
        match events.next_row() {
            Ok(Some(row)) => jsonl::events::write_line(&row, &host, out)?,
            Ok(None) => return jsonl::events::write_end(events.missing(), &host, out),
            Err(error) => return Err(unread(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        analysis::Beginning,
        model::sample,
        recording::{
            format::Writer,
            reader::{Query, Source},
        },
    };

    /// Writes the sample's events into a directory, by way of a capture.
    fn written(format: Format, path: &Path, cut: usize) -> anyhow::Result<Missing> {
        let beginning = Beginning {
            host: sample::empty().host,
            ..Beginning::default()
        };
        let mut writer = Writer::new(Vec::new(), &beginning).unwrap();
        for input in crate::analysis::sample::inputs() {
            writer.input(&input).unwrap();
        }
        let (bytes, _) = writer.finish().unwrap();
        let source = Source {
            name: "a.lkt".to_owned(),
            content: &bytes[..bytes.len() - cut],
        };
        let query = Query::default();
        let events = Events::new(vec![source], &query)?;
        EventOutput::open(format, Some(path), "here")?.write(events)
    }

    #[test]
    fn lines_end_with_their_number_and_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("%h.jsonl");
        for (cut, lost) in [(0, 0), (1, 1)] {
            let missing = written(Format::Jsonl, &path, cut).unwrap();
            assert_eq!((missing.events, missing.lost), (10, lost));
            let text = std::fs::read_to_string(directory.path().join("here.jsonl")).unwrap();
            assert_eq!(text.lines().count(), 11);
            let last: serde_json::Value =
                serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert_eq!(last["schema"], jsonl::events::END);
            assert_eq!(
                (&last["host"], &last["events"]),
                (&"web1".into(), &10.into())
            );
            assert_eq!(last["lost"], lost);
        }
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn tables_go_to_the_day_and_host_of_the_recording() {
        let directory = tempfile::tempdir().unwrap();
        let missing = written(Format::Parquet, directory.path(), 0).unwrap();
        assert_eq!((missing.events, missing.lost), (10, 0));
        let host = directory.path().join("date=1970-01-01/host=web1");
        let names = std::fs::read_dir(host).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(
            names[0].to_str().unwrap().starts_with("events-"),
            "{names:?}"
        );
    }

    #[test]
    fn other_formats_have_no_events() {
        assert!(written(Format::Json, Path::new("-"), 0).is_err());
    }
}
