//! The data of the page: the report within bounds. Each frame is there once, histories have fewer points, and sums are
//! those of the whole report.
//!
//! Keys are those of the JSON report, except that a `stack` holds indices into `frames`, and a `history` is a flat
//! list: time, count, time, count.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Value, json};

use super::embed::inert;
use crate::model::{
    hex::Hex,
    loss::{meaning_of_end, meaning_of_loss, meaning_of_losses},
    report::{Failure, Finding, Frame, Point, Process, Report, Verdict},
};

/// Findings of the page at most; the worst are first.
const FINDINGS: usize = 500;
/// Processes, those with findings first.
const PROCESSES: usize = 500;
/// First failures, shared limits and suppressions: at most this many of each.
const OTHERS: usize = 200;
/// Parts of one finding or process: at most this many examples, arguments, sentences, limits and holders each.
const PARTS: usize = 16;
/// Frames of a stack.
const FRAMES: usize = 128;
/// Points of a history.
const POINTS: usize = 240;

/// The document in the page.
pub(super) fn of(report: &Report) -> Value {
    let mut frames = Frames::default();
    let findings: Vec<Value> = report
        .findings
        .iter()
        .take(FINDINGS)
        .map(|finding| of_finding(finding, &mut frames))
        .collect();
    let failures: Vec<Value> = report
        .failures
        .iter()
        .take(OTHERS)
        .map(|failure| of_failure(failure, &mut frames))
        .collect();
    let processes: Vec<Value> = chosen(report).into_iter().map(of_process).collect();
    let left = |all: usize, most: usize| all.saturating_sub(most);
    inert(json!({
        "host": report.host,
        "window": report.window,
        "health": of_health(report),
        "totals": totals(report),
        "findings": findings,
        "processes": processes,
        "full": first(&report.full, OTHERS),
        "shared_limits": first(&report.shared_limits, OTHERS),
        "failures": failures,
        "suppressed": first(&report.suppressed, OTHERS),
        "frames": frames.known,
        "left_out": {
            "findings": left(report.findings.len(), FINDINGS),
            "processes": left(report.processes.len(), PROCESSES),
            "full processes": left(report.full.len(), OTHERS),
            "shared limits": left(report.shared_limits.len(), OTHERS),
            "failures": left(report.failures.len(), OTHERS),
            "suppressions": left(report.suppressed.len(), OTHERS),
        },
    }))
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
        history: Vec::new(),
        ..finding.clone()
    };
    with(
        &bounded,
        [
            ("stack", json!(stack)),
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
    with(&bounded, [("stack", json!(stack))])
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
fn chosen(report: &Report) -> Vec<&Process> {
    let found: std::collections::HashSet<(u32, u64)> = report
        .findings
        .iter()
        .take(FINDINGS)
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
    processes.truncate(PROCESSES);
    processes
}

/// Sums over the whole report, also over what the page leaves out.
fn totals(report: &Report) -> Value {
    let of = |verdict| {
        let all = report.findings.iter();
        all.filter(|finding| finding.verdict == verdict).count()
    };
    let held = |process: &&Process| sum(&process.outstanding);
    json!({
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
        "loss": meaning_of_losses(health.lost_by_cause.keys().map(String::as_str)),
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
