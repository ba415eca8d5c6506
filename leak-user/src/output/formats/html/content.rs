//! The data of the page: the report within bounds. Each frame is there once, histories have fewer points, and sums are
//! those of the whole report.
//!
//! Keys are those of the JSON report, except that a `stack` and a `last_user` hold indices into `frames`, and a
//! `history` is a flat list: time, count, time, count. `lines` are how a person sees a stack: `[NUMBER, 1 or 0]` for a
//! frame and whether it stands out, `[NUMBER, WHOSE, COUNT]` for so many frames from there on that are folded.
//!
//! A browser opens a page of megabytes slowly, and most of a large report is steady. So what is worse than steady comes
//! first, within bounds; the rest, of the same form, is there to be read on demand.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::embed::inert;
use crate::model::{
    frames::fold::{Line, folded},
    hex::Hex,
    loss::{meaning_of_end, meaning_of_loss},
    problem::Problem,
    report::{Failure, Finding, Frame, Point, Process, Report, Verdict},
};

/// Findings that are there from the start, at most: leaks and suspects.
const FINDINGS_AT_ONCE: usize = 300;
/// Processes that are there from the start, those with these findings first.
const PROCESSES_AT_ONCE: usize = 300;
/// Bytes of JSON that each of these may have.
const BYTES_AT_ONCE: usize = 1 << 20;
/// Findings and processes that are read later, at most.
const FINDINGS: usize = 5000;
const PROCESSES: usize = 2000;
/// Bytes of JSON that each of these may have; it is compressed to a tenth or so.
const BYTES_LATER: usize = 8 << 20;
/// First failures, shared limits and suppressions: at most this many of each.
const OTHERS: usize = 200;
/// Parts of one finding or process: at most this many examples, arguments, sentences, limits and holders each.
const PARTS: usize = 16;
/// Frames of a stack.
const FRAMES: usize = 128;
/// Points of a history.
const POINTS: usize = 240;

/// The documents in the page.
pub(super) struct Content {
    /// What a browser reads when it opens the page.
    pub at_once: Value,
    /// Further `findings` and `processes`, with the `frames` of these findings.
    pub later: Value,
}

/// What the page has of a report.
pub(super) fn of(report: &Report) -> Content {
    let mut frames = Frames::default();
    let worse = |finding: &&Finding| finding.verdict != Verdict::Steady;
    let first_findings = report.findings.iter().take_while(worse);
    let findings = of_findings(
        first_findings.take(FINDINGS_AT_ONCE),
        BYTES_AT_ONCE,
        &mut frames,
    );
    let (shown, rest) = report.findings.split_at(findings.len());
    let mut later_frames = Frames::default();
    let later_findings = of_findings(rest.iter().take(FINDINGS), BYTES_LATER, &mut later_frames);

    let chosen = chosen(report, shown);
    let all = chosen.iter().copied();
    let processes = within(
        BYTES_AT_ONCE,
        all.clone().take(PROCESSES_AT_ONCE).map(of_process),
    );
    let rest = all.skip(processes.len()).take(PROCESSES);
    let later_processes = within(BYTES_LATER, rest.map(of_process));

    let failures: Vec<Value> = report
        .failures
        .iter()
        .take(OTHERS)
        .map(|failure| of_failure(failure, &mut frames))
        .collect();
    let left = |all: usize, shown: usize| all.saturating_sub(shown);
    let mut at_once = inert(json!({
        "host": report.host,
        "window": report.window,
        "health": of_health(report),
        "totals": totals(report),
        "problems": of_problems(&report.problems),
        "full": first(&report.full, OTHERS),
        "shared_limits": first(&report.shared_limits, OTHERS),
        "failures": failures,
        "suppressed": first(&report.suppressed, OTHERS),
        "frames": frames.known,
        "later": {"findings": later_findings.len(), "processes": later_processes.len()},
        "left_out": {
            "findings": left(report.findings.len(), findings.len() + later_findings.len()),
            "processes": left(report.processes.len(), processes.len() + later_processes.len()),
            "full processes": left(report.full.len(), OTHERS),
            "shared limits": left(report.shared_limits.len(), OTHERS),
            "failures": left(report.failures.len(), OTHERS),
            "problems": left(report.problems.len(), OTHERS),
            "suppressions": left(report.suppressed.len(), OTHERS),
        },
    }));
    // They are inert already.
    at_once["findings"] = findings.into();
    at_once["processes"] = processes.into();
    let mut later = json!({"frames": inert(json!(later_frames.known))});
    later["findings"] = later_findings.into();
    later["processes"] = later_processes.into();
    Content { at_once, later }
}

/// Findings as the page has them, as many as fit into so many bytes of JSON with the frames that only they have.
fn of_findings<'a>(
    findings: impl Iterator<Item = &'a Finding>,
    bytes: usize,
    frames: &mut Frames<'a>,
) -> Vec<Value> {
    let mut room = bytes;
    let mut taken = Vec::new();
    for finding in findings {
        let known = frames.known.len();
        let value = inert(of_finding(finding, frames));
        let new_frames: usize = frames.known[known..]
            .iter()
            .map(|frame| length(&json!(frame)))
            .sum();
        let Some(left) = room.checked_sub(length(&value) + new_frames) else {
            break;
        };
        room = left;
        taken.push(value);
    }
    taken
}

/// As many values as fit into so many bytes of JSON, made inert.
fn within(bytes: usize, values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut room = bytes;
    values
        .map(inert)
        .take_while(|value| {
            let left = room.checked_sub(length(value));
            room = left.unwrap_or(0);
            left.is_some()
        })
        .collect()
}

/// Bytes of a value as JSON.
fn length(value: &Value) -> usize {
    value.to_string().len()
}

/// Every frame once.
#[derive(Default)]
struct Frames<'a> {
    known: Vec<&'a Frame>,
    /// The place of a frame in `known`, by what tells it from other frames.
    numbers: HashMap<(Hex, &'a str, &'a str, Option<u32>, bool), usize>,
}

impl<'a> Frames<'a> {
    fn numbers(&mut self, stack: &'a [Frame]) -> Vec<usize> {
        stack
            .iter()
            .take(FRAMES)
            .map(|frame| {
                let key = (
                    frame.address,
                    frame.symbol.as_str(),
                    frame.module.as_str(),
                    frame.line,
                    frame.inlined,
                );
                *self.numbers.entry(key).or_insert_with(|| {
                    self.known.push(frame);
                    self.known.len() - 1
                })
            })
            .collect()
    }
}

fn of_finding<'a>(finding: &'a Finding, frames: &mut Frames<'a>) -> Value {
    let stack = frames.numbers(&finding.stack);
    let last_user = frames.numbers(&finding.last_user);
    let bounded = Finding {
        evidence: first(&finding.evidence, PARTS),
        examples: first(&finding.examples, PARTS)
            .into_iter()
            .map(|mut example| {
                example.held_by.truncate(PARTS);
                example
            })
            .collect(),
        stack: Vec::new(),
        last_user: Vec::new(),
        history: Vec::new(),
        ..finding.clone()
    };
    with(
        &bounded,
        [
            ("stack", json!(stack)),
            ("lines", lines(&finding.stack)),
            ("last_user", json!(last_user)),
            ("last_user_lines", lines(&finding.last_user)),
            (
                "frames_left_out",
                json!(finding.stack.len().saturating_sub(FRAMES)),
            ),
            ("history", thinned(&finding.history)),
        ],
    )
}

fn of_failure<'a>(failure: &'a Failure, frames: &mut Frames<'a>) -> Value {
    let stack = frames.numbers(&failure.stack);
    let bounded = Failure {
        holders: first(&failure.holders, PARTS),
        stack: Vec::new(),
        ..failure.clone()
    };
    with(
        &bounded,
        [("stack", json!(stack)), ("lines", lines(&failure.stack))],
    )
}

/// The stack as a person sees it, interpreters folded.
fn lines(stack: &[Frame]) -> Value {
    let mut next = 0;
    folded(&stack[..stack.len().min(FRAMES)])
        .into_iter()
        .map(|line| match line {
            Line::Frame {
                number, stands_out, ..
            } => {
                next = number + 1;
                json!([number, u8::from(stands_out)])
            }
            Line::Folded { count, whose } => {
                let first = next;
                next += count;
                json!([first, whose, count])
            }
        })
        .collect()
}

/// The problems, with the first of their findings and processes each, and how many there are.
fn of_problems(problems: &[Problem]) -> Vec<Value> {
    let bounded = |problem: &Problem| {
        let mut bounded = problem.clone();
        bounded.findings.truncate(PARTS);
        bounded.pids.truncate(PARTS);
        bounded.parts.truncate(PARTS);
        let counts: Vec<usize> = bounded
            .parts
            .iter()
            .map(|part| part.findings.len())
            .collect();
        for part in &mut bounded.parts {
            part.findings.truncate(PARTS);
        }
        with(
            &bounded,
            [
                ("pid_count", json!(problem.pids.len())),
                ("part_count", json!(problem.parts.len())),
                ("finding_counts", json!(counts)),
            ],
        )
    };
    problems.iter().take(OTHERS).map(bounded).collect()
}

fn of_process(process: &Process) -> Value {
    let bounded = Process {
        cmdline: first(&process.cmdline, PARTS),
        limits: first(&process.limits, PARTS),
        outstanding: most(&process.outstanding),
        preexisting: most(&process.preexisting),
        history: Vec::new(),
        ..process.clone()
    };
    with(&bounded, [("history", thinned(&process.history))])
}

/// The processes to show: those with findings, then those that hold most.
fn chosen<'a>(report: &'a Report, findings: &[Finding]) -> Vec<&'a Process> {
    let found: HashSet<(u32, u64)> = findings
        .iter()
        .map(|finding| (finding.pid, finding.start_time))
        .collect();
    let mut processes: Vec<&Process> = report.processes.iter().collect();
    processes.sort_by_cached_key(|process| {
        (
            !found.contains(&(process.pid, process.start_time)),
            std::cmp::Reverse(sum(&process.outstanding)),
            std::cmp::Reverse(sum(&process.preexisting)),
        )
    });
    processes
}

/// Sums over the whole report, also over what the page leaves out.
fn totals(report: &Report) -> Value {
    let of = |verdict| {
        let all = report.findings.iter();
        all.filter(|finding| finding.verdict == verdict).count()
    };
    let held = |process: &&Process| sum(&process.outstanding);
    let problems = |verdict| {
        let all = report.problems.iter();
        all.filter(|problem| problem.verdict == verdict).count()
    };
    json!({
        "problems": {"leak": problems(Verdict::Leak), "suspect": problems(Verdict::Suspect)},
        "leak": of(Verdict::Leak),
        "suspect": of(Verdict::Suspect),
        "steady": of(Verdict::Steady),
        "outstanding": report.processes.iter().fold(0, |all: u64, process| all.saturating_add(held(&process))),
        "holders": report.processes.iter().filter(|process| held(process) > 0).count(),
        "processes": report.processes.len(),
    })
}

/// Losses and unfinished stacks with what they mean.
fn of_health(report: &Report) -> Value {
    let health = &report.health;
    let explained = |counts: &BTreeMap<String, u64>, meaning: fn(&str) -> Option<&'static str>| {
        counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .take(OTHERS)
            .map(|(name, count)| json!({"name": name, "count": count, "meaning": meaning(name)}))
            .collect::<Vec<Value>>()
    };
    json!({
        "events": health.events,
        "lost": health.lost,
        "losses": explained(&health.lost_by_cause, meaning_of_loss),
        "reconciled": health.reconciled,
        "adopted": health.adopted,
        "stacks_truncated": health.stacks_truncated,
        "stack_ends": explained(&health.stacks_truncated_by_reason, meaning_of_end),
        "uncovered": first(&health.uncovered, OTHERS),
    })
}

/// The history with at most [`POINTS`] points, the first and the last among them.
fn thinned(history: &[Point]) -> Value {
    let last = history.len().saturating_sub(1);
    let count = history.len().min(POINTS);
    (0..count)
        .map(|number| &history[number * last / count.saturating_sub(1).max(1)])
        .flat_map(|point| [json!(rounded(point.seconds)), json!(point.outstanding)])
        .collect()
}

/// Milliseconds are enough for a chart.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// An object with some of its keys set to something else.
fn with<const N: usize>(object: &impl Serialize, keys: [(&str, Value); N]) -> Value {
    let mut value = json!(object);
    for (key, other) in keys {
        value[key] = other;
    }
    value
}

fn first<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    all.iter().take(most).cloned().collect()
}

/// The kinds of which there are most; there are fewer than [`PARTS`] × 2 kinds.
fn most(counts: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut all: Vec<(&String, &u64)> = counts.iter().filter(|(_, count)| **count > 0).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    all.truncate(PARTS * 2);
    all.into_iter()
        .map(|(kind, count)| (kind.clone(), *count))
        .collect()
}

fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts
        .values()
        .fold(0, |sum: u64, count| sum.saturating_add(*count))
}
