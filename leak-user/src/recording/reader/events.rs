//! The events of a recording as rows, one after the other. No event is kept, so memory
//! does not grow with the recording.

use std::{collections::VecDeque, io::Read};

use leak_common::Class;

use super::{
    Query, QueryError, Source,
    missed::MAX_NAMED,
    parts::{self, Part, is_unfinished},
};
use crate::{
    analysis::{Beginning, Input},
    event::{Event, row::EventRow},
    model::{event_totals::EventTotals, report::Host},
    recording::format::Item,
};

/// Reads the events of a recording, which may be in several files.
pub struct Events<'a, R: Read> {
    parts: VecDeque<Part<R>>,
    query: &'a Query,
    host: Host,
    totals: EventTotals,
}

impl<'a, R: Read> Events<'a, R> {
    /// Opens the files.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn new(sources: Vec<Source<R>>, query: &'a Query) -> Result<Events<'a, R>, QueryError> {
        let parts = parts::open(sources)?;
        let missing = parts::missing(&parts);
        let beginning = parts.iter().find_map(|part| part.beginning.as_ref());
        if let Some(beginning) = beginning {
            query.check_times(beginning)?;
        }
        Ok(Events {
            host: beginning.map(|one| one.host.clone()).unwrap_or_default(),
            parts: parts.into(),
            query,
            totals: EventTotals {
                // How many records they had is not known.
                lost: missing.len() as u64,
                uncovered: missing,
                ..EventTotals::default()
            },
        })
    }

    /// The host that was traced; unknown where no file says how it began.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What was found missing so far.
    #[must_use]
    pub fn totals(&self) -> &EventTotals {
        &self.totals
    }

    /// The next event that is asked for; `None` at the end.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn next_row(&mut self) -> Result<Option<EventRow>, QueryError> {
        let unknown = Beginning::default();
        while let Some(part) = self.parts.front_mut() {
            let item = part.reader.next_item().map_err(|error| QueryError::Read {
                name: part.name.clone(),
                error,
            })?;
            let (records, what) = match item {
                None => {
                    self.parts.pop_front();
                    continue;
                }
                Some(Item::Input(input)) => {
                    let beginning = part.beginning.as_ref().unwrap_or(&unknown);
                    match row(&input, beginning, self.query) {
                        Some(row) => {
                            self.totals.events += 1;
                            return Ok(Some(row));
                        }
                        None => continue,
                    }
                }
                Some(Item::Damage(damage)) if is_unfinished(part.is_being_written, &damage) => {
                    let sentence = format!("{}: not finished, it is being written", part.name);
                    self.totals.uncovered.push(sentence);
                    continue;
                }
                Some(Item::Damage(damage)) => (damage.records.unwrap_or(1), damage.to_string()),
                Some(Item::Unknown(unknown)) => (unknown.records, unknown.to_string()),
            };
            self.totals.lost = self.totals.lost.saturating_add(records.max(1));
            if self.totals.uncovered.len() < MAX_NAMED {
                let sentence = format!("{}: {what}", part.name);
                self.totals.uncovered.push(sentence);
            }
        }
        Ok(None)
    }
}

/// The row of a single event that is asked for.
fn row(input: &Input, beginning: &Beginning, query: &Query) -> Option<EventRow> {
    let (time, of_kind) = match input {
        Input::Event(event) => (event.time(), is_kind(event, query)),
        Input::Failed(failed) => (failed.time, query.kinds.contains(failed.kind)),
        other => {
            debug_assert!(!other.has_row(), "what has a row has a time and a kind");
            return None;
        }
    };
    let earliest = query.earliest(beginning).unwrap_or(0);
    if !(earliest..=query.latest(beginning)).contains(&time) || !of_kind {
        return None;
    }
    let of = |pid: &u32| query.pids.is_empty() || query.pids.contains(pid);
    input
        .row(beginning.calendar())
        .filter(|row| of(&row.pid) || row.parent_pid.as_ref().is_some_and(of))
}

/// Whether the event may be of a kind that is asked for: of a release only the class is
/// known, and what happens to a process concerns all kinds.
fn is_kind(event: &Event, query: &Query) -> bool {
    let class = |class: Option<Class>| query.kinds.iter().any(|kind| Some(kind.class()) == class);
    query.some_kinds().is_none()
        || match event {
            Event::Site(site) => query.kinds.contains(site.kind),
            Event::Acquired(acquired) => query.kinds.contains(acquired.kind),
            Event::Released(released) => class(released.handle.class()),
            Event::RangeReleased(range) => class(Some(range.class)),
            Event::Remapped(_) => class(Some(Class::Mapping)),
            Event::Forked(_)
            | Event::Executed(_)
            | Event::Exited { .. }
            | Event::Uncovered { .. } => true,
        }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use leak_common::Kind;

    use super::*;
    use crate::{
        model::{sample, time::Moment},
        recording::format::Writer,
    };

    /// A part with the sample's events, each flushed by itself.
    fn part(number: u32) -> Vec<u8> {
        let beginning = Beginning {
            host: sample::empty().host,
            part: number,
            started_at: 1_000_000_000,
            ..Beginning::default()
        };
        let mut writer = Writer::new(Vec::new(), &beginning).unwrap();
        for input in crate::analysis::sample::inputs() {
            writer.input(&input).unwrap();
            writer.input(&Input::Sample(1)).unwrap();
            writer.flush_segment().unwrap();
        }
        writer.finish().unwrap().0
    }

    fn read(parts: &[&[u8]], query: &Query) -> (Vec<&'static str>, EventTotals) {
        let source = |content: &&'static [u8]| Source {
            name: "a.lkt".to_owned(),
            content: *content,
            is_being_written: false,
        };
        let parts: Vec<&'static [u8]> = parts.iter().map(|one| &*one.to_vec().leak()).collect();
        let mut events = Events::new(parts.iter().map(source).collect(), query).unwrap();
        assert_eq!(events.host().hostname, "web1");
        let mut names = Vec::new();
        while let Some(row) = events.next_row().unwrap() {
            assert!(row.ts_ns >= 1_000_000_000, "{row:?}");
            names.push(row.event);
        }
        (names, events.totals().clone())
    }

    #[test]
    fn every_event_of_every_part_comes_once() {
        let (one, totals) = read(&[&part(0)], &Query::default());
        assert_eq!((one.len(), totals.lost), (10, 0));
        let (both, totals) = read(&[&part(1), &part(0)], &Query::default());
        assert_eq!(both, [&one[..], &one].concat());
        assert_eq!(totals.events, 20);
    }

    #[test]
    fn only_what_is_asked_for_comes() {
        let of = |query: Query| read(&[&part(0)], &query).0;
        let sockets = of(Query {
            kinds: [Kind::Socket].into_iter().collect(),
            ..Query::default()
        });
        assert!(!sockets.contains(&"acquired") && !sockets.contains(&"remapped"));
        assert!(sockets.contains(&"forked"));
        let none = of(Query {
            pids: vec![1],
            ..Query::default()
        });
        assert!(none.len() < 2, "{none:?}");
        let last = crate::event::sample::events()
            .iter()
            .map(Event::time)
            .max()
            .unwrap();
        let after = Moment::After(Duration::from_nanos(last + 1));
        let late = Query {
            from: Some(after),
            ..Query::default()
        };
        assert!(of(late).is_empty());
        let early = Query {
            to: Some(after),
            ..Query::default()
        };
        assert_eq!(of(early).len(), 10);
    }

    #[test]
    fn a_part_that_is_missing_is_named() {
        let (names, totals) = read(&[&part(0), &part(3), &part(4)], &Query::default());
        assert_eq!((names.len(), totals.lost), (30, 1), "{totals:?}");
        assert!(
            totals.uncovered[0].starts_with("parts 1 to 2 are missing"),
            "{totals:?}"
        );
        let (_, totals) = read(&[&part(7), &part(5)], &Query::default());
        assert!(
            totals.uncovered[0].starts_with("part 6 is missing"),
            "{totals:?}"
        );
        // Older parts may have been removed on purpose (--keep).
        assert_eq!(read(&[&part(5), &part(6)], &Query::default()).1.lost, 0);
    }

    #[test]
    fn the_missing_end_of_what_is_being_written_is_no_loss() {
        let bytes = part(0);
        for cut in 1..200 {
            for is_being_written in [true, false] {
                let source = Source {
                    name: "a.lkt".to_owned(),
                    content: &bytes[..bytes.len() - cut],
                    is_being_written,
                };
                let query = Query::default();
                let mut events = Events::new(vec![source], &query).unwrap();
                while events.next_row().unwrap().is_some() {}
                let totals = events.totals();
                assert_eq!(totals.lost == 0, is_being_written, "{cut}: {totals:?}");
                let words = if is_being_written {
                    "not finished"
                } else {
                    "at byte"
                };
                assert!(totals.uncovered[0].contains(words), "{cut}: {totals:?}");
            }
        }
    }

    #[test]
    fn what_is_damaged_is_counted_and_named() {
        let mut bytes = part(0);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        let (names, totals) = read(&[&bytes], &Query::default());
        assert!(names.len() < 10 && totals.lost > 0, "{names:?} {totals:?}");
        assert!(totals.uncovered[0].starts_with("a.lkt: "), "{totals:?}");
    }
}
