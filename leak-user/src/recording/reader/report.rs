//! The report of one part of a recording: its inputs go through the analysis, as far as
//! they are of the time that is asked for.

use std::io::Read;

use super::{
    Query, QueryError,
    missed::{self, Unread},
    parts::Part,
};
use crate::{
    analysis::{Analysis, Beginning, Input, Span},
    event::Event,
    model::{report::Report, time::Nanos},
    recording::format::{Item, Reader},
};

/// Makes the report of a part.
pub(super) fn of_part<R: Read>(part: Part<R>, query: &Query) -> Result<Report, QueryError> {
    let mut reading = Reading::new(part, query)?;
    reading.read()?;
    reading.report()
}

/// A part on its way through the analysis.
struct Reading<'a, R: Read> {
    name: String,
    reader: Reader<R>,
    query: &'a Query,
    analysis: Analysis,
    /// The latest time that is asked for.
    latest: Nanos,
    /// That time is over.
    is_over: bool,
    unread: Unread,
}

impl<'a, R: Read> Reading<'a, R> {
    fn new(part: Part<R>, query: &'a Query) -> Result<Reading<'a, R>, QueryError> {
        let mut unread = Unread::default();
        let beginning = part.beginning.unwrap_or_else(|| {
            unread.beginning(&part.name);
            Beginning {
                nursery: leak_common::limits::NURSERY_NS,
                ..Beginning::default()
            }
        });
        query.check_times(&beginning)?;
        let latest = query.latest(&beginning);
        if latest < beginning.from {
            return Err(QueryError::Times(format!(
                "{} begins later than --to",
                part.name
            )));
        }
        Ok(Reading {
            name: part.name,
            reader: part.reader,
            query,
            analysis: Analysis::new(beginning),
            latest,
            is_over: false,
            unread,
        })
    }

    fn read(&mut self) -> Result<(), QueryError> {
        loop {
            let item = self.reader.next_item().map_err(|error| QueryError::Read {
                name: self.name.clone(),
                error,
            })?;
            match item {
                None => return Ok(()),
                Some(Item::Input(input)) => self.input(&input),
                Some(Item::Damage(damage)) => {
                    self.unread.damage(&self.name, &damage);
                    self.lost();
                }
                Some(Item::Unknown(unknown)) => {
                    self.unread.unknown(&self.name, &unknown);
                    self.lost();
                }
            }
        }
    }

    /// Something is missing here: no process is certain until it is compared with `/proc`
    /// again.
    fn lost(&mut self) {
        if !self.is_over {
            self.analysis.take(&Input::Lost(None));
        }
    }

    fn input(&mut self, input: &Input) {
        if self.latest == Nanos::MAX || self.is_in_time(input) {
            self.analysis.take(input);
        }
    }

    /// Whether it is of the time that is asked for. Names and facts of that time may come
    /// after its end: the first of each is taken whenever it comes.
    fn is_in_time(&mut self, input: &Input) -> bool {
        match input {
            Input::Restored(_) | Input::Baseline(_) => true,
            Input::Event(Event::Acquired(acquired)) => acquired.time <= self.latest,
            Input::Event(event) => event.time() <= self.latest,
            Input::Sample(time) => {
                self.is_over |= *time > self.latest;
                !self.is_over
            }
            Input::Horizon(time) => *time <= self.latest,
            Input::Compared { shown, .. } => shown.time <= self.latest,
            Input::Facts(process, _) => !self.is_over || self.analysis.facts(*process).is_none(),
            Input::Stack { site, .. } => !self.is_over || !self.analysis.has_stack(*site),
            Input::Described { time, .. } | Input::Shared { time, .. } => *time <= self.latest,
            Input::Observed(observation) => observation.time <= self.latest,
            Input::Failed(failed) => failed.time <= self.latest,
            Input::Notice(notice) => notice.time() <= self.latest,
            Input::FirstFailure(failure) => failure.time <= self.latest,
            Input::Ended { time, .. } => {
                self.is_over |= *time > self.latest;
                !self.is_over
            }
            Input::Gone(_)
            | Input::Lost(_)
            | Input::Counted { .. }
            | Input::Limits(..)
            | Input::SharedLimits(_)
            | Input::Health(_) => !self.is_over,
        }
    }

    fn report(mut self) -> Result<Report, QueryError> {
        if self.is_over {
            self.analysis.take(&Input::Sample(self.latest));
        }
        let whole = self.analysis.whole();
        let beginning = self.analysis.beginning();
        let earliest = self.query.earliest(beginning);
        let start = earliest.unwrap_or(0).max(whole.start);
        let end = whole.end.min(self.latest);
        if start >= end && earliest.is_some() {
            return Err(QueryError::Times(format!(
                "{} ends before --from",
                self.name
            )));
        }
        let mut report = self.analysis.report(Span { start, end });
        self.unread.tell(&self.name, &mut report.health);
        let recorded = self.analysis.beginning().traced();
        missed::narrow(&mut report, self.query, recorded);
        Ok(report)
    }
}
