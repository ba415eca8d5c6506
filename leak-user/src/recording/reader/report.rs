//! The report of one part of a recording: its inputs go through the analysis, as far as
//! they are of the time that is asked for.

use std::io::Read;

use leak_common::ProcessId;

use super::{
    Query, QueryError,
    late_facts::LateFacts,
    missed::{self, Unread},
    parts::{Part, is_unfinished},
};
use crate::{
    analysis::{Analysis, Beginning, Input, Span},
    event::Event,
    model::{facts::Facts, report::Report, time::Nanos},
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
    is_being_written: bool,
    query: &'a Query,
    analysis: Analysis,
    /// The latest time that is asked for.
    latest: Nanos,
    /// That time is over.
    is_over: bool,
    late: LateFacts,
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
            is_being_written: part.is_being_written,
            query,
            analysis: Analysis::new(beginning),
            latest,
            is_over: false,
            late: LateFacts::default(),
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
                Some(Item::Damage(damage)) if is_unfinished(self.is_being_written, &damage) => {
                    self.unread.rest(&self.name);
                }
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

    /// Whether it is of the time that is asked for. Stacks and facts of that time may come
    /// after its end: the first of each is taken whenever it comes, facts only if they are
    /// of the program that the process ran at that time.
    fn is_in_time(&mut self, input: &Input) -> bool {
        match input {
            Input::Restored(_) | Input::Baseline(_) => true,
            Input::Event(Event::Acquired(acquired)) => acquired.time <= self.latest,
            Input::Event(Event::Executed(executed)) if executed.time > self.latest => {
                self.late.executed(executed);
                false
            }
            Input::Event(event) => event.time() <= self.latest,
            Input::Sample(time) => {
                self.is_over |= *time > self.latest;
                !self.is_over
            }
            Input::Horizon(time) => *time <= self.latest,
            Input::Compared { shown, .. } => shown.time <= self.latest,
            Input::Facts(process, facts) => self.facts_are_in_time(*process, facts),
            Input::Stack { site, .. } => !self.is_over || !self.analysis.has_stack(*site),
            Input::Described { time, .. } | Input::Shared { time, .. } => *time <= self.latest,
            Input::Observed(observation) => observation.time <= self.latest,
            Input::LastUses(uses) => uses.time <= self.latest,
            Input::PoolUses(uses) => uses.time <= self.latest,
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
            | Input::Full(..)
            | Input::GeneratedCode(_)
            | Input::Health(_) => !self.is_over,
        }
    }

    /// Whether facts were read in the time that is asked for. Those that came later are
    /// kept.
    fn facts_are_in_time(&mut self, process: ProcessId, facts: &Facts) -> bool {
        let in_time = match facts.read {
            0 => !self.is_over && self.late.are_of_that_program(process, facts),
            read => read <= self.latest,
        };
        if !in_time {
            self.late.keep(process, facts);
        }
        in_time
    }

    /// Takes facts that were read late of processes of which no others are known.
    fn take_late_facts(&mut self) {
        for (process, facts) in std::mem::take(&mut self.late).into_facts() {
            if !self.analysis.knows_program(process) {
                self.analysis.take(&Input::Facts(process, Box::new(facts)));
            }
        }
    }

    fn report(mut self) -> Result<Report, QueryError> {
        if self.is_over {
            self.analysis.take(&Input::Sample(self.latest));
        }
        self.unread.late_facts(self.late.dropped());
        self.take_late_facts();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;
    use crate::{
        event::Executed,
        ledger::BaselineProcess,
        model::time::Moment,
        recording::{
            format::Writer,
            reader::{Source, report},
        },
    };

    const SECOND: Nanos = 1_000_000_000;
    const PROCESS: ProcessId = ProcessId::new(7, 70);

    fn comm(name: &str) -> [u8; 16] {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name.as_bytes());
        comm
    }

    fn executed(second: u64, name: &str) -> Input {
        Input::Event(Event::Executed(Executed {
            time: second * SECOND,
            process: PROCESS,
            comm: comm(name),
        }))
    }

    fn facts(read: Nanos, name: &str) -> Input {
        let facts = Facts {
            read,
            comm: name.to_owned(),
            ..Facts::default()
        };
        Input::Facts(PROCESS, Box::new(facts))
    }

    /// What a report calls the process some seconds after the beginning.
    fn name_after(seconds: u64, told: &[Input]) -> String {
        let beginning = Beginning {
            kinds: u32::MAX,
            ..Beginning::default()
        };
        let mut writer = Writer::new(Vec::new(), &beginning).unwrap();
        let held = Input::Baseline(Box::new(BaselineProcess {
            id: PROCESS,
            parent: None,
            comm: comm("forked"),
            time: 1,
            descriptors: vec![(0, leak_common::Kind::File)],
            mappings: Vec::new(),
            threads: Vec::new(),
            children: Vec::new(),
            zombies: Vec::new(),
        }));
        let end = Input::Ended {
            time: 100 * SECOND,
            wall: 100 * SECOND,
        };
        for input in [&held].into_iter().chain(told).chain([&end]) {
            writer.input(input).unwrap();
        }
        let source = Source {
            name: "made".to_owned(),
            content: std::io::Cursor::new(writer.finish().unwrap().0),
            is_being_written: false,
        };
        let query = Query {
            to: Some(Moment::After(Duration::from_secs(seconds))),
            ..Query::default()
        };
        let report = report(vec![source], &query).unwrap();
        report.processes[0].comm.clone()
    }

    #[test]
    fn a_process_is_called_as_it_was_at_that_time() {
        // With the time of reading, and as recordings of earlier versions have it.
        for known in [1, 0] {
            let at = |second: u64| second * SECOND * known;
            let told = [
                facts(at(2), "shell"),
                executed(10, "server"),
                facts(at(11), "worker"),
                Input::Sample(20 * SECOND),
                executed(30, "last"),
                facts(at(31), "last-worker"),
                Input::Sample(40 * SECOND),
            ];
            let names = [5, 15, 25, 35].map(|seconds| name_after(seconds, &told));
            assert_eq!(
                names,
                ["shell", "worker", "worker", "last-worker"],
                "{known}"
            );
        }
    }

    #[test]
    fn facts_that_were_read_late_are_not_those_of_a_later_program() {
        let told = [
            executed(10, "server"),
            Input::Sample(20 * SECOND),
            facts(21 * SECOND, "worker"),
            executed(30, "last"),
            facts(31 * SECOND, "last-worker"),
        ];
        let names = [5, 15, 35].map(|seconds| name_after(seconds, &told));
        assert_eq!(names, ["forked", "worker", "last-worker"]);
        // Read after the exec, told before it.
        let told = [facts(31 * SECOND, "last-worker"), executed(30, "last")];
        assert_eq!(name_after(20, &told), "forked");
    }
}
