//! Recordings to a report: through the same analysis as a live trace, in memory that
//! does not grow with the file. What is damaged counts as lost, and is named.

mod events;

use std::io::Read;

use leak_common::{Kind, KindSet};

use crate::{
    analysis::{Analysis, Beginning, Input, Span},
    event::Event,
    model::{
        report::Report,
        time::{Moment, Nanos},
    },
    recording::format::{Item, ReadError, Reader},
};

pub use events::Events;

/// Damaged places that are named one by one.
const MAX_NAMED: usize = 16;

/// What of a recording to look at.
#[derive(Clone, Debug)]
pub struct Query {
    pub from: Option<Moment>,
    pub to: Option<Moment>,
    /// Empty for all.
    pub pids: Vec<u32>,
    pub kinds: KindSet,
}

impl Default for Query {
    fn default() -> Query {
        Query {
            from: None,
            to: None,
            pids: Vec::new(),
            kinds: KindSet::ALL,
        }
    }
}

impl Query {
    /// The kinds, if not all are asked for. The heap is not traced by this version: it is never missing.
    fn some_kinds(&self) -> Option<KindSet> {
        let all = self.kinds.includes(KindSet::ALL.without(Kind::Heap));
        (!all).then_some(self.kinds)
    }
}

/// A file, and what to call it.
pub struct Source<R> {
    pub name: String,
    pub content: R,
}

/// Why there is no report.
#[derive(Debug)]
pub enum ReplayError {
    /// A file cannot be read.
    Read { name: String, error: ReadError },
    /// The files are of different traces.
    Mixed { one: String, other: String },
    /// The times asked for are not in the recording, or in no order.
    Times(String),
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplayError::Read { name, error } => write!(f, "{name}: {error}"),
            ReplayError::Mixed { one, other } => write!(
                f,
                "{one} and {other} are of different traces: a report is on one; ask for each by itself"
            ),
            ReplayError::Times(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ReplayError {}

struct Part<R: Read> {
    name: String,
    reader: Reader<R>,
    beginning: Option<Beginning>,
}

/// Makes the report on one recording, which may be in several files.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay<R: Read>(sources: Vec<Source<R>>, query: &Query) -> Result<Report, ReplayError> {
    let mut parts = open(sources)?;
    let part = choose(&mut parts, query)?;
    let mut report = Replay::new(part, query)?.run()?;
    let damaged = parts.into_iter().filter_map(Part::damage);
    report.health.uncovered.extend(damaged);
    Ok(report)
}

/// The parts of one recording, oldest first.
fn open<R: Read>(sources: Vec<Source<R>>) -> Result<Vec<Part<R>>, ReplayError> {
    let mut parts = Vec::new();
    for Source { name, content } in sources {
        let reader = Reader::new(content).map_err(|error| ReplayError::Read {
            name: name.clone(),
            error,
        })?;
        let beginning = reader.beginning().cloned();
        parts.push(Part {
            name,
            reader,
            beginning,
        });
    }
    parts.sort_by_key(|part| part.beginning.as_ref().map_or(0, |one| one.part));
    let same = |a: &Beginning, b: &Beginning| {
        (&a.host, a.started, a.started_at) == (&b.host, b.started, b.started_at)
    };
    for pair in parts.windows(2) {
        if let (Some(one), Some(other)) = (&pair[0].beginning, &pair[1].beginning)
            && !same(one, other)
        {
            return Err(ReplayError::Mixed {
                one: pair[0].name.clone(),
                other: pair[1].name.clone(),
            });
        }
    }
    Ok(parts)
}

/// Takes out the part to read: each begins with all that was, so the last one that
/// begins early enough has everything.
fn choose<R: Read>(parts: &mut Vec<Part<R>>, query: &Query) -> Result<Part<R>, ReplayError> {
    let early = |part: &Part<R>| match (&part.beginning, query.to) {
        (Some(beginning), Some(to)) => beginning.from <= nanos(to, beginning),
        _ => true,
    };
    if parts.is_empty() {
        return Err(ReplayError::Times("there is no file".to_owned()));
    }
    let chosen = parts.iter().rposition(early).unwrap_or(0);
    Ok(parts.remove(chosen))
}

impl<R: Read> Part<R> {
    /// What is wrong with a part that the report does not rest on.
    fn damage(self) -> Option<String> {
        let (mut first, mut places) = (None, 0_u64);
        let read = self.reader.check(|damage| {
            first.get_or_insert(damage);
            places += 1;
        });
        let what = match (read, first) {
            (Err(error), _) => error.to_string(),
            (Ok(()), None) => return None,
            (Ok(()), Some(damage)) if places == 1 => damage.to_string(),
            (Ok(()), Some(damage)) => format!("{damage}; and {} more places", places - 1),
        };
        Some(format!(
            "{} (not needed for this report): {what}",
            self.name
        ))
    }
}

/// A moment by the trace's own clock.
fn nanos(moment: Moment, beginning: &Beginning) -> Nanos {
    let since = match moment {
        Moment::After(after) => u64::try_from(after.as_nanos()).unwrap_or(u64::MAX),
        Moment::Wall(wall) => wall.saturating_sub(beginning.started_at),
    };
    beginning.started.saturating_add(since)
}

struct Replay<'a, R: Read> {
    name: String,
    reader: Reader<R>,
    query: &'a Query,
    analysis: Analysis,
    /// Up to when is asked for.
    to: Nanos,
    /// That time is over: names are still taken, they come later.
    is_over: bool,
    damaged: u64,
    lost: u64,
    unknown: u64,
    named: Vec<String>,
}

impl<'a, R: Read> Replay<'a, R> {
    fn new(part: Part<R>, query: &'a Query) -> Result<Replay<'a, R>, ReplayError> {
        let mut named = Vec::new();
        let beginning = part.beginning.unwrap_or_else(|| {
            named.push(format!(
                "{}: how the trace began is not readable: the host is not known, and times are those \
                 since it was booted",
                part.name
            ));
            Beginning {
                nursery: leak_common::limits::NURSERY_NS,
                ..Beginning::default()
            }
        });
        let time = |moment: Option<Moment>| moment.map(|moment| nanos(moment, &beginning));
        let to = time(query.to).unwrap_or(Nanos::MAX);
        if time(query.from).is_some_and(|from| from >= to) {
            return Err(ReplayError::Times("--from is not before --to".to_owned()));
        }
        if to < beginning.from {
            return Err(ReplayError::Times(format!(
                "{} begins later than --to",
                part.name
            )));
        }
        Ok(Replay {
            name: part.name,
            reader: part.reader,
            query,
            analysis: Analysis::new(beginning),
            to,
            is_over: false,
            damaged: 0,
            lost: 0,
            unknown: 0,
            named,
        })
    }

    fn run(mut self) -> Result<Report, ReplayError> {
        loop {
            let item = self.reader.next_item().map_err(|error| ReplayError::Read {
                name: self.name.clone(),
                error,
            })?;
            match item {
                None => break,
                Some(Item::Input(input)) => self.input(&input),
                Some(Item::Damage(damage)) => {
                    self.damaged += 1;
                    self.lost = self.lost.saturating_add(damage.records.unwrap_or(1).max(1));
                    self.missing(&damage);
                }
                Some(Item::Unknown(unknown)) => {
                    self.unknown = self.unknown.saturating_add(unknown.records.max(1));
                    self.missing(&unknown);
                }
            }
        }
        self.report()
    }

    /// Something is missing here: nothing is certain until it is compared again.
    fn missing(&mut self, what: &dyn std::fmt::Display) {
        if !self.is_over {
            self.analysis.take(&Input::Lost(None));
        }
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{}: {what}", self.name));
        }
    }

    fn input(&mut self, input: &Input) {
        if self.to == Nanos::MAX || self.is_wanted(input) {
            self.analysis.take(input);
        }
    }

    /// Whether it is of the time that is asked for.
    fn is_wanted(&mut self, input: &Input) -> bool {
        match input {
            Input::Restored(_) | Input::Baseline(_) => true,
            Input::Event(Event::Acquired(acquired)) => acquired.time <= self.to,
            Input::Event(event) => event.time() <= self.to,
            Input::Sample(time) => {
                self.is_over |= *time > self.to;
                !self.is_over
            }
            Input::Horizon(time) => *time <= self.to,
            Input::Compared { shown, .. } => shown.time <= self.to,
            Input::Facts(process, _) => !self.is_over || self.analysis.facts(*process).is_none(),
            Input::Stack { site, .. } => !self.is_over || !self.analysis.has_stack(*site),
            Input::Described { time, .. } | Input::Shared { time, .. } => *time <= self.to,
            Input::Observed(observation) => observation.time <= self.to,
            Input::Failed(failure) => failure.time <= self.to,
            Input::Ended { time, .. } => {
                self.is_over |= *time > self.to;
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

    fn report(mut self) -> Result<Report, ReplayError> {
        if self.is_over {
            self.analysis.take(&Input::Sample(self.to));
        }
        let whole = self.analysis.whole();
        let beginning = self.analysis.beginning();
        let start = match self.query.from {
            Some(from) => nanos(from, beginning).max(whole.start),
            None => whole.start,
        };
        let end = whole.end.min(self.to);
        if start >= end && self.query.from.is_some() {
            return Err(ReplayError::Times(format!(
                "{} ends before --from",
                self.name
            )));
        }
        let mut report = self.analysis.report(Span { start, end });
        self.complain(&mut report);
        if !self.query.pids.is_empty() {
            only_pids(&mut report, &self.query.pids);
        }
        self.miss(&mut report);
        let kinds = self.query.some_kinds();
        if let Some(kinds) = kinds {
            only_kinds(&mut report, kinds);
        }
        Ok(report)
    }

    /// Says what was not readable.
    fn complain(&mut self, report: &mut Report) {
        let health = &mut report.health;
        for (cause, count) in [
            ("capture_damaged", self.lost),
            ("capture_unknown", self.unknown),
        ] {
            if count > 0 {
                health.lost = health.lost.saturating_add(count);
                *health.lost_by_cause.entry(cause.to_owned()).or_default() += count;
            }
        }
        let more = (self.damaged as usize).saturating_sub(self.named.len());
        health.uncovered.append(&mut self.named);
        if more > 0 {
            let name = &self.name;
            health
                .uncovered
                .push(format!("{name}: {more} more places are damaged"));
        }
    }

    /// Says what was asked for and is not in the recording: that nothing is found then
    /// means nothing.
    fn miss(&self, report: &mut Report) {
        let recorded = self.analysis.beginning().traced();
        let is_there = |pid: u32| {
            report.processes.iter().any(|one| one.pid == pid)
                || report.failures.iter().any(|one| one.pid == pid)
        };
        let pids = self.query.pids.iter().filter(|&&pid| !is_there(pid));
        let pids = pids.map(|pid| format!("process {pid}: nothing of it is in the recording"));
        let kinds = self.query.some_kinds().into_iter().flat_map(KindSet::iter);
        let kinds = kinds.filter(|kind| !recorded.contains(*kind));
        let kinds = kinds.map(|kind| format!("{}: this kind was not recorded", kind.name()));
        let missed: Vec<String> = pids.chain(kinds).collect();
        report.health.uncovered.extend(missed);
    }
}

fn only_pids(report: &mut Report, pids: &[u32]) {
    report.processes.retain(|one| pids.contains(&one.pid));
    report.findings.retain(|one| pids.contains(&one.pid));
    report.failures.retain(|one| pids.contains(&one.pid));
}

fn only_kinds(report: &mut Report, kinds: KindSet) {
    let wanted = |name: &str| kinds.iter().any(|kind| kind.name() == name);
    report.findings.retain(|one| wanted(&one.kind));
    for process in &mut report.processes {
        process.outstanding.retain(|kind, _| wanted(kind));
        process.preexisting.retain(|kind, _| wanted(kind));
    }
    report
        .processes
        .retain(|one| !one.outstanding.is_empty() || !one.preexisting.is_empty());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::recording::format::Writer;

    #[test]
    fn what_is_asked_for_and_was_not_recorded_is_told() {
        let beginning = Beginning {
            kinds: Kind::File.bit(),
            ..Beginning::default()
        };
        let mut writer = Writer::new(Vec::new(), &beginning).unwrap();
        writer.input(&Input::Sample(1)).unwrap();
        let recording = writer.finish().unwrap().0;
        let uncovered = |query: &Query| {
            let source = Source {
                name: "a.lkt".to_owned(),
                content: &*recording,
            };
            replay(vec![source], query).unwrap().health.uncovered
        };
        assert!(uncovered(&Query::default()).is_empty());
        let all = Query {
            kinds: KindSet::ALL.without(Kind::Heap),
            ..Query::default()
        };
        assert!(uncovered(&all).is_empty());
        let asked = Query {
            pids: vec![7],
            kinds: [Kind::File, Kind::Socket].into_iter().collect(),
            ..Query::default()
        };
        assert_eq!(
            uncovered(&asked),
            [
                "process 7: nothing of it is in the recording",
                "socket: this kind was not recorded"
            ]
        );
    }
}
