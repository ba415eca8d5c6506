//! Writes the trace event form that ui.perfetto.dev and chrome://tracing open: a track for
//! each process and kind with a slice for each outstanding resource that is known by name,
//! from its acquisition to the window's end, and counters of what was held over time.
//!
//! Slices on one track must nest. Those of a process do: all of them end together, with
//! the window, or where the process has exited when it was seen last.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Format, Medium, Writer, json};
use crate::model::{
    report::{Example, Finding, Point, Report},
    time::unix_nanos,
};

/// More than every pid (`PID_MAX_LIMIT`). A second process with the same pid gets a track with a number this much
/// higher.
const REUSED: u64 = 1 << 22;

/// The longest a slice may reach back: a century, in microseconds.
const MAX_AGE: f64 = 100.0 * 366.0 * 86_400.0 * 1e6;

/// One event; the names are those of the form.
#[derive(Debug, Serialize)]
struct TraceEvent {
    name: String,
    /// `M` for names of tracks, `X` for slices, `C` for counters.
    ph: &'static str,
    /// Microseconds since 1970.
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<i64>,
    pid: u64,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    args: Value,
}

pub(super) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "A trace for ui.perfetto.dev: what is outstanding over time",
        write: |report, _, out| write(report, out),
    }),
    medium: Medium::Page,
    ..Format::new("perfetto")
};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let document = json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "schema": "leaktrace.perfetto/1",
            "host": report.host.hostname,
            "kernel": report.host.kernel,
            "window_start": report.window.start,
            "window_end": report.window.end,
            "lost": report.health.lost,
        },
        "traceEvents": events(report),
    });
    json::write_line(&document, out)
}

fn events(report: &Report) -> Vec<TraceEvent> {
    let start = unix_nanos(&report.window.start).map_or(0, |nanos| nanos / 1000);
    let end = unix_nanos(&report.window.end).map_or(start, |nanos| nanos / 1000);
    let window = Window { start, end };
    let ends = last_seen(report, window);
    let mut tracks = Tracks::default();
    let mut events = Vec::new();
    for process in &report.processes {
        let pid = tracks.process(process.pid, process.start_time, &process.comm);
        events.extend(counter("held", pid, &process.history, window));
    }
    for (number, finding) in report.findings.iter().enumerate() {
        let process = report.process_of(finding);
        let start_time = process.map_or(finding.start_time, |process| process.start_time);
        let pid = tracks.process(finding.pid, start_time, &finding.comm);
        let tid = tracks.kind(pid, &finding.kind);
        let exited = process.is_some_and(|process| process.exited);
        let end = ends.get(&(finding.pid, start_time)).copied();
        events.extend(finding.examples.iter().map(|example| TraceEvent {
            pid,
            tid,
            ..slice(finding, example, exited, end.unwrap_or(window.end))
        }));
        // Numbered as in the report, so that two sites in one function are two counters.
        let name = format!("{} #{} {}", finding.kind, number + 1, site(finding));
        events.extend(counter(&name, pid, &finding.history, window));
    }
    let mut all = tracks.names();
    all.extend(events);
    all
}

/// Microseconds since 1970.
#[derive(Clone, Copy)]
struct Window {
    start: i64,
    end: i64,
}

/// Processes and kinds that have tracks, and their numbers.
#[derive(Default)]
struct Tracks {
    /// By pid and start.
    processes: BTreeMap<(u32, u64), (u64, String)>,
    /// How many processes had the pid.
    used: HashMap<u32, u64>,
    /// Kinds of a process, whose places are the numbers of their tracks.
    kinds: BTreeMap<u64, Vec<String>>,
}

impl Tracks {
    fn process(&mut self, pid: u32, start_time: u64, comm: &str) -> u64 {
        let used = self.used.entry(pid).or_default();
        let (track, _) = self.processes.entry((pid, start_time)).or_insert_with(|| {
            *used += 1;
            let track = u64::from(pid) + (*used - 1) * REUSED;
            (track, format!("{comm} ({pid})"))
        });
        *track
    }

    /// What Perfetto calls a thread is a kind here. Thread 0 has the counters.
    fn kind(&mut self, process: u64, kind: &str) -> u32 {
        let kinds = self.kinds.entry(process).or_default();
        let place = kinds.iter().position(|known| known == kind);
        let place = place.unwrap_or_else(|| {
            kinds.push(kind.to_owned());
            kinds.len() - 1
        });
        place as u32 + 1
    }

    /// The events that name the tracks.
    fn names(self) -> Vec<TraceEvent> {
        let named = |what: &str, pid, tid, name: String| TraceEvent {
            name: what.to_owned(),
            ph: "M",
            ts: 0,
            dur: None,
            pid,
            tid,
            cat: None,
            args: json!({ "name": name }),
        };
        let processes = self.processes.into_values();
        let mut names: Vec<TraceEvent> = processes
            .map(|(track, name)| named("process_name", track, 0, name))
            .collect();
        for (process, kinds) in self.kinds {
            let threads = (1..).zip(kinds);
            names.extend(threads.map(|(tid, kind)| named("thread_name", process, tid, kind)));
        }
        names
    }
}

/// When processes that have exited were seen last, by pid and start, since the report does not say when they exited. A
/// process without history is not among them.
fn last_seen(report: &Report, window: Window) -> HashMap<(u32, u64), i64> {
    let of_processes = report
        .processes
        .iter()
        .map(|process| (process, &process.history));
    let of_findings = report
        .findings
        .iter()
        .filter_map(|finding| Some((report.process_of(finding)?, &finding.history)));
    let mut seen: HashMap<(u32, u64), i64> = HashMap::new();
    for (process, history) in of_processes.chain(of_findings) {
        if let Some(last) = history.last().filter(|_| process.exited) {
            let time = at(last, window).min(window.end);
            let known = seen
                .entry((process.pid, process.start_time))
                .or_insert(time);
            *known = time.max(*known);
        }
    }
    seen
}

/// The time of a point of a history.
fn at(point: &Point, window: Window) -> i64 {
    let after = (point.seconds * 1e6).clamp(0.0, MAX_AGE);
    window.start.saturating_add(after as i64)
}

/// How long a resource was held, on a track whose number the caller fills in.
fn slice(finding: &Finding, example: &Example, exited: bool, end: i64) -> TraceEvent {
    // Not a number becomes 0.
    let age = (example.age_seconds * 1e6).clamp(0.0, MAX_AGE) as i64;
    let stack: Vec<_> = finding.stack.iter().map(|frame| frame.name()).collect();
    TraceEvent {
        name: match example.description.as_str() {
            "" => example.handle.clone(),
            description => format!("{} {description}", example.handle),
        },
        ph: "X",
        ts: end.saturating_sub(age),
        dur: Some(age),
        pid: 0,
        tid: 0,
        cat: Some("outstanding"),
        args: json!({
            "verdict": finding.verdict,
            "handle": example.handle,
            "socket": example.socket,
            "held_at_exit": exited,
            "stack": stack,
        }),
    }
}

fn counter(name: &str, pid: u64, history: &[Point], window: Window) -> Vec<TraceEvent> {
    let event = |point: &Point| TraceEvent {
        name: name.to_owned(),
        ph: "C",
        ts: at(point, window),
        dur: None,
        pid,
        tid: 0,
        cat: None,
        args: json!({ "outstanding": point.outstanding }),
    };
    history.iter().map(event).collect()
}

/// Where it was acquired, in a word.
fn site(finding: &Finding) -> String {
    let named = finding.stack.iter().find(|frame| !frame.inlined);
    named.map_or_else(
        || "[no stack]".to_owned(),
        |frame| frame.name().into_owned(),
    )
}

#[cfg(test)]
mod tests;
