//! One bug, one problem: puts together the findings of a report that have one cause. It works on a finished report, so
//! that it knows what was suppressed, and a saved report gives the same.
//!
//! Two findings have one cause if one of these is true (see `same_cause` and `marks`):
//!
//! * The code of the same function acquires both, called from the same lines, at the same pace: the pipes of one `Popen`,
//!   a descriptor and its dup. The function is the innermost that a person can change ([`crate::model::frames::owner`]).
//!   Where that is where a program starts, it has to be the same line: a `main` does many things.
//! * One is the memory of the other: the stack of a thread (`part_of`).
//! * They are the two ends of connections within the host, or other descriptors of the same open files, at the same pace.
//! * Other processes of the same program, of one parent or control group, acquire the same at the same stack.
//! * Both are of one kind in one process, and one was acquired before the trace: by the same code, as far as can be told.
//!
//! Everything here is symmetric, and problems are what hangs together by it. So the order of findings changes nothing.

mod marks;
mod sets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use leak_common::{Class, Kind};

use crate::model::{
    frames::place,
    problem::{Part, Problem},
    report::{Finding, Frame, Report, Verdict},
    who,
};
use marks::{Mark, Marks};
use sets::Sets;

/// Tells the problems of a report.
pub fn tell(report: &mut Report) {
    report.problems = problems(report);
}

/// The problems, the worst first.
fn problems(report: &Report) -> Vec<Problem> {
    let marks: Vec<Marks> = (0..report.findings.len())
        .map(|at| Marks::of(report, at))
        .collect();
    let mut sets = Sets::new(marks.len());
    let mut marked: BTreeMap<&Mark, Vec<usize>> = BTreeMap::new();
    for (at, marks) in marks.iter().enumerate() {
        for mark in &marks.all {
            marked.entry(mark).or_default().push(at);
        }
    }
    for (mark, members) in marked {
        for pair in pairs(report, members) {
            if mark.needs_no_pace() || same_pace(&report.findings[pair.0], &report.findings[pair.1])
            {
                sets.join(pair.0, pair.1);
            }
        }
    }
    for (at, finding) in report.findings.iter().enumerate() {
        if let Some(other) = whole_of(report, finding).or_else(|| before(report, &marks, at)) {
            sets.join(at, other);
        }
    }
    let mut problems: Vec<Problem> = sets
        .all()
        .into_iter()
        .filter(|set| set.iter().any(|&at| matters(&report.findings[at])))
        .map(|set| problem(report, &marks, &set))
        .collect();
    problems.sort_by(|a, b| {
        let soon = |problem: &Problem| problem.exhaustion_seconds.unwrap_or(f64::INFINITY);
        a.verdict
            .cmp(&b.verdict)
            .then(soon(a).total_cmp(&soon(b)))
            .then(b.growth_per_second.total_cmp(&a.growth_per_second))
            .then(b.outstanding.cmp(&a.outstanding))
            .then_with(|| (&a.pids, &a.kind, &a.place).cmp(&(&b.pids, &b.kind, &b.place)))
    });
    problems
}

/// Whether it is something to mend.
fn matters(finding: &Finding) -> bool {
    finding.verdict != Verdict::Steady
}

/// Most findings with one mark that are compared each with each; of more, only neighbours by number outstanding are.
const EACH_WITH_EACH: usize = 64;

fn pairs(report: &Report, mut members: Vec<usize>) -> Vec<(usize, usize)> {
    if members.len() > EACH_WITH_EACH {
        members.sort_by_key(|&at| report.findings[at].outstanding);
        return members.windows(2).map(|pair| (pair[0], pair[1])).collect();
    }
    let mut pairs = Vec::new();
    for (at, &one) in members.iter().enumerate() {
        pairs.extend(members[at + 1..].iter().map(|&other| (one, other)));
    }
    pairs
}

/// How many more of one than of another are the same pace: samples are not taken at the same moment.
const SLACK: u64 = 2;

/// Most resources of one kind that a call takes for each of another: a context of zmq has ten descriptors.
const MOST_EACH: f64 = 12.0;

/// Whether as many were acquired of one as of the other, or a small multiple.
fn same_pace(one: &Finding, other: &Finding) -> bool {
    // What is from before the trace came at any time.
    let count = |finding: &Finding| match finding.outstanding.saturating_sub(finding.preexisting) {
        0 => finding.outstanding,
        during => during,
    };
    let (less, more) = (count(one).min(count(other)), count(one).max(count(other)));
    if more - less <= SLACK {
        return true;
    }
    let ratio = more as f64 / less.max(1) as f64;
    let whole = ratio.round();
    whole <= MOST_EACH && (ratio - whole).abs() <= (0.06 * whole).min(0.2)
}

/// The finding that this one is a part of.
fn whole_of(report: &Report, finding: &Finding) -> Option<usize> {
    let kind = finding.part_of.as_ref()?;
    let of_kind = |other: &&(usize, &Finding)| {
        other.1.kind == *kind && same_process(other.1, finding) && other.1.part_of.is_none()
    };
    let all: Vec<(usize, &Finding)> = report.findings.iter().enumerate().collect();
    let closest = all.iter().filter(of_kind).max_by_key(|(_, other)| {
        let shared = shared_callers(&other.stack, &finding.stack);
        (
            matters(other),
            shared,
            other.outstanding,
            marks::shape(&other.stack),
        )
    });
    closest.map(|(at, _)| *at)
}

/// Of what was acquired out of sight, the finding that tells by which code: of the same process, kind and rule, or the
/// only one that matters.
fn before(report: &Report, marks: &[Marks], at: usize) -> Option<usize> {
    let finding = &report.findings[at];
    if !finding.stack.is_empty() || !matters(finding) {
        return None;
    }
    let is_during = |other: &&usize| {
        let other = &report.findings[**other];
        !other.stack.is_empty()
            && matters(other)
            && other.kind == finding.kind
            && same_process(other, finding)
    };
    let all: Vec<usize> = (0..marks.len()).collect();
    let during: Vec<usize> = all.iter().filter(is_during).copied().collect();
    let same_rule = during
        .iter()
        .filter(|other| report.findings[**other].rule == finding.rule);
    let largest = |at: &&usize| {
        let other = &report.findings[**at];
        (other.outstanding, marks::shape(&other.stack))
    };
    match during.as_slice() {
        [only] => Some(*only),
        _ => same_rule.max_by_key(largest).copied(),
    }
}

fn same_process(one: &Finding, other: &Finding) -> bool {
    (one.pid, one.start_time) == (other.pid, other.start_time)
}

/// How many of the outermost frames are the same.
fn shared_callers(one: &[Frame], other: &[Frame]) -> usize {
    let same = |(a, b): &(&Frame, &Frame)| a.address == b.address && a.symbol == b.symbol;
    one.iter()
        .rev()
        .zip(other.iter().rev())
        .take_while(same)
        .count()
}

fn problem(report: &Report, marks: &[Marks], set: &[usize]) -> Problem {
    let parts = parts(report, marks, set);
    let findings: Vec<usize> = parts
        .iter()
        .flat_map(|part| part.findings.clone())
        .collect();
    let main = parts
        .first()
        .map(|part| part.kind.clone())
        .unwrap_or_default();
    let of_class = |part: &&Part| class(&part.kind) == class(&main);
    let all = || findings.iter().map(|&at| &report.findings[at]);
    let pids: BTreeSet<u32> = all().map(|finding| finding.pid).collect();
    let told = all().find(|finding| !finding.stack.is_empty());
    let place = told.and_then(|finding| place::place(&finding.stack));
    let first = &report.findings[findings[0]];
    Problem {
        verdict: all()
            .map(|finding| finding.verdict)
            .min()
            .unwrap_or_default(),
        who: report
            .process_of(first)
            .map_or_else(|| first.comm.clone(), who::command),
        place: place
            .as_ref()
            .map(|place| place::line(place.own))
            .unwrap_or_default(),
        via: place.map(|place| place.via.to_owned()).unwrap_or_default(),
        outstanding: parts
            .iter()
            .filter(of_class)
            .map(|part| part.outstanding)
            .fold(0, u64::saturating_add),
        growth_per_second: parts
            .iter()
            .filter(of_class)
            .map(|part| part.growth_per_second)
            .sum(),
        exhaustion_seconds: all()
            .filter(|finding| matters(finding))
            .filter_map(|finding| finding.exhaustion_seconds)
            .min_by(f64::total_cmp),
        pids: pids.into_iter().collect(),
        kind: main,
        findings,
        parts,
    }
}

/// What is the same but for its process and its time is one part; the one that tells most comes first.
fn parts(report: &Report, marks: &[Marks], set: &[usize]) -> Vec<Part> {
    let mut by_shape: BTreeMap<(&str, u64), Vec<usize>> = BTreeMap::new();
    let (told, untold): (Vec<usize>, Vec<usize>) = set
        .iter()
        .partition(|&&at| !report.findings[at].stack.is_empty());
    for at in told {
        let key = (report.findings[at].kind.as_str(), marks[at].shape);
        by_shape.entry(key).or_default().push(at);
    }
    for at in untold {
        let kind = report.findings[at].kind.as_str();
        let held = |members: &[usize]| {
            members
                .iter()
                .map(|&at| report.findings[at].outstanding)
                .sum::<u64>()
        };
        let of_kind = by_shape.iter().filter(|((other, _), _)| *other == kind);
        let largest = of_kind.max_by_key(|(key, members)| (held(members), key.1));
        let key = largest.map_or((kind, 0), |(key, _)| *key);
        by_shape.entry(key).or_default().push(at);
    }
    let mut parts: Vec<(bool, Verdict, u64, Part)> = Vec::new();
    for ((kind, shape), mut members) in by_shape {
        members.sort_by_key(|&at| order(&report.findings[at]));
        let all = || members.iter().map(|&at| &report.findings[at]);
        let sum = |of: fn(&Finding) -> u64| all().map(of).fold(0, u64::saturating_add);
        let part = Part {
            kind: kind.to_owned(),
            outstanding: sum(|finding| finding.outstanding),
            preexisting: sum(|finding| finding.preexisting),
            bytes: sum(|finding| finding.bytes),
            growth_per_second: all()
                .map(|finding| finding.growth_per_second.max(0.0))
                .sum(),
            findings: members.clone(),
        };
        let is_memory = all().all(|finding| finding.part_of.is_some());
        let verdict = all()
            .map(|finding| finding.verdict)
            .min()
            .unwrap_or_default();
        parts.push((is_memory, verdict, shape, part));
    }
    parts.sort_by(|a, b| {
        (a.0, a.1)
            .cmp(&(b.0, b.1))
            .then(b.3.outstanding.cmp(&a.3.outstanding))
            .then(b.3.growth_per_second.total_cmp(&a.3.growth_per_second))
            .then_with(|| (&a.3.kind, a.2).cmp(&(&b.3.kind, b.2)))
    });
    parts.into_iter().map(|(.., part)| part).collect()
}

/// The order of findings in a part, which their order in the report does not change: what has a stack and matters most.
fn order(finding: &Finding) -> impl Ord + use<> {
    (
        finding.stack.is_empty(),
        finding.verdict,
        std::cmp::Reverse(finding.outstanding),
        finding.pid,
        finding.start_time,
    )
}

/// What runs into the same limits.
fn class(kind: &str) -> Option<Class> {
    Kind::from_name(kind).map(Kind::class)
}
