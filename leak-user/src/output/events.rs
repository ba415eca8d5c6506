//! Writes single events to their place, as they are read from a recording or as they happen.

use std::{
    io::{self, Read},
    path::Path,
};

use anyhow::bail;

use super::{
    destination::Destination,
    formats::{EventWriter, Format, StartEvents},
};
use crate::{
    event::row::EventRow,
    model::{event_totals::EventTotals, report::Host},
    recording::reader::Events,
};

/// A source of events: a recording, or a trace that goes on.
pub trait Rows {
    /// The host that was traced.
    fn host(&self) -> &Host;

    /// How many there were so far, and what is missing.
    fn totals(&self) -> &EventTotals;

    /// Whether the next one is not there yet. What was written so far is then made visible before the wait.
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

    fn totals(&self) -> &EventTotals {
        Events::totals(self)
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
pub struct EventOutput {
    start: StartEvents,
    destination: Destination,
}

impl EventOutput {
    /// Opens what `--output` names, as [`ReportOutput::open`](super::ReportOutput::open).
    ///
    /// # Errors
    ///
    /// As there, and where events are not written in this format.
    pub fn open(
        format: &'static Format,
        path: Option<&Path>,
        host: &str,
    ) -> anyhow::Result<EventOutput> {
        let Some(start) = format.events else {
            bail!("events are not written in this format");
        };
        Ok(EventOutput {
            start,
            destination: Destination::open(format, path, host)?,
        })
    }

    /// Whether it is a terminal, where a person looks.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match &self.destination {
            Destination::One(output) => output.is_terminal(),
            Destination::Directory(_) => false,
        }
    }

    /// Writes all events. Returns what was missing.
    ///
    /// # Errors
    ///
    /// As [`Output::write`](super::Output::write), and where the events cannot be read to their end.
    pub fn write(self, mut events: impl Rows) -> anyhow::Result<EventTotals> {
        match self.destination {
            Destination::One(output) => {
                let mut unread = None;
                let written = output.write(|out| {
                    let writer = (self.start)(events.host(), Box::new(out))?;
                    pour(&mut events, writer, |error| {
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
            Destination::Directory(partitions) => {
                let mut files = partitions.events(self.start, events.host().clone());
                while let Some(row) = events.next_row()? {
                    files.push(row, events.totals())?;
                }
                files.finish(events.totals())?;
            }
        }
        Ok(events.totals().clone())
    }
}

/// Writes all events to one place. An error of reading goes through `unread`, since the caller expects errors of
/// writing here and tells them apart.
fn pour(
    events: &mut impl Rows,
    mut writer: Box<dyn EventWriter + '_>,
    unread: impl FnOnce(anyhow::Error) -> io::Error,
) -> io::Result<()> {
    loop {
        if events.wait() {
            writer.flush()?;
        }
        match events.next_row() {
            Ok(Some(row)) => writer.push(row)?,
            Ok(None) => return writer.finish(events.totals()),
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
    fn written(format: &str, path: &Path, cut: usize) -> anyhow::Result<EventTotals> {
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
            is_being_written: false,
        };
        let query = Query::default();
        let events = Events::new(vec![source], &query)?;
        let format = crate::output::formats::named(format).unwrap();
        EventOutput::open(format, Some(path), "here")?.write(events)
    }

    #[test]
    fn lines_end_with_their_number_and_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("%h.jsonl");
        for (cut, lost) in [(0, 0), (1, 1)] {
            let totals = written("jsonl", &path, cut).unwrap();
            assert_eq!((totals.events, totals.lost), (10, lost));
            let text = std::fs::read_to_string(directory.path().join("here.jsonl")).unwrap();
            assert_eq!(text.lines().count(), 11);
            let last: serde_json::Value =
                serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert_eq!(last["schema"], "leaktrace.events/1");
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
        let totals = written("parquet", directory.path(), 0).unwrap();
        assert_eq!((totals.events, totals.lost), (10, 0));
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
        assert!(written("json", Path::new("-"), 0).is_err());
    }
}
