//! One problem in full: the finding that tells most, and a line for each other part of it.

use std::{borrow::Cow, io};

use super::{finding, screen::noun};
use crate::{
    model::{
        escape::escape,
        frames::place,
        problem::{Part, Problem},
        report::{Finding, Report, Verdict},
    },
    output::formats::{
        TextOptions,
        text::{
            amounts::{bytes, counted, growth},
            page::Page,
        },
    },
};

/// Parts that are told at most.
const PARTS: usize = 8;

/// Processes that are named at most.
const PROCESSES: usize = 8;

/// The problems of a report, the worst first.
pub(super) struct Problems<'a> {
    pub(super) all: Cow<'a, [Problem]>,
}

impl<'a> Problems<'a> {
    /// Those that the report tells. In one that tells none, as those of earlier versions, each finding is one.
    pub(super) fn of(report: &'a Report) -> Problems<'a> {
        if !report.problems.is_empty() {
            return Problems {
                all: Cow::Borrowed(&report.problems),
            };
        }
        let findings = report.findings.iter().enumerate();
        let matter = findings.filter(|(_, finding)| finding.verdict != Verdict::Steady);
        Problems {
            all: matter.map(|(at, finding)| alone(at, finding)).collect(),
        }
    }

    /// Whether a finding is told with one of them.
    pub(super) fn tell(&self, at: usize) -> bool {
        self.all
            .iter()
            .any(|problem| problem.findings.contains(&at))
    }
}

fn alone(at: usize, finding: &Finding) -> Problem {
    let part = Part {
        kind: finding.kind.clone(),
        findings: vec![at],
        outstanding: finding.outstanding,
        preexisting: finding.preexisting,
        bytes: finding.bytes,
        growth_per_second: finding.growth_per_second,
    };
    Problem {
        verdict: finding.verdict,
        kind: finding.kind.clone(),
        outstanding: finding.outstanding,
        growth_per_second: finding.growth_per_second,
        exhaustion_seconds: finding.exhaustion_seconds,
        findings: vec![at],
        pids: vec![finding.pid],
        parts: vec![part],
        ..Problem::default()
    }
}

/// Writes a problem. `number` is the one that it has on the first screen.
pub(super) fn write(
    report: &Report,
    number: usize,
    problem: &Problem,
    options: &TextOptions,
    page: &mut Page,
) -> io::Result<()> {
    let findings = problem
        .findings
        .iter()
        .filter_map(|&at| report.findings.get(at));
    let shown = if options.each { usize::MAX } else { 1 };
    for (at, finding) in findings.take(shown).enumerate() {
        if at > 0 {
            page.blank()?;
        }
        finding::write(report, finding, Some(number), options, page)?;
    }
    let others: Vec<&Part> = problem.parts.iter().skip(1).collect();
    if !others.is_empty() {
        page.line("    of the same cause")?;
    }
    for part in others.iter().take(PARTS) {
        page.paragraph(6, &line(report, problem, part))?;
    }
    if let left @ 1.. = others.len().saturating_sub(PARTS) {
        page.fitted(&format!("      ... and {left} more"))?;
    }
    processes(report, problem, page)
}

/// A part in one line: `+ 412 mappings (3.2 GiB), +4.1/s, at app.py:10 ask`.
fn line(report: &Report, problem: &Problem, part: &Part) -> String {
    let mut text = format!(
        "+ {} {}",
        part.outstanding,
        noun(&part.kind, part.outstanding)
    );
    if part.bytes > 0 {
        text += &format!(" ({})", bytes(part.bytes));
    }
    if let Some(pace) = growth(part.growth_per_second) {
        text += &format!(", {pace}");
    }
    let stacks = part
        .findings
        .iter()
        .filter_map(|&at| report.findings.get(at))
        .map(|finding| &finding.stack);
    let place = stacks.filter_map(|stack| place::place(stack)).next();
    if let Some(place) = place {
        let line = place::line(place.own);
        if line != problem.place {
            text += &format!(", at {}", escape(&line));
        }
        if !place.via.is_empty() {
            text += &format!(" via {}", escape(place.via));
        }
    }
    text
}

/// Where several processes have it: how much each holds, the most first.
fn processes(report: &Report, problem: &Problem, page: &mut Page) -> io::Result<()> {
    if problem.pids.len() < 2 {
        return Ok(());
    }
    let held = |pid: u32| {
        let of = problem
            .findings
            .iter()
            .filter_map(|&at| report.findings.get(at));
        let of = of.filter(|finding| {
            finding.pid == pid && super::same_class(&finding.kind, &problem.kind)
        });
        of.map(|finding| finding.outstanding)
            .fold(0, u64::saturating_add)
    };
    let mut all: Vec<(u64, u32)> = problem.pids.iter().map(|&pid| (held(pid), pid)).collect();
    all.sort_by_key(|&(held, pid)| (std::cmp::Reverse(held), pid));
    let mut list: Vec<String> = all
        .iter()
        .take(PROCESSES)
        .map(|(held, pid)| format!("{pid}: {held}"))
        .collect();
    if let left @ 1.. = all.len().saturating_sub(PROCESSES) {
        list.push(counted(left as u64, "more", "more"));
    }
    page.paragraph(4, &format!("held by pid {}", list.join(", ")))
}
