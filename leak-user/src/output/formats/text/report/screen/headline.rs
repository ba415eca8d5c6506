//! What is the case, in a line or a few: never that nothing leaks where something fails, is full, or may have gone unseen.

use std::io;

use super::super::{health, problem::Problems};
use crate::{
    model::{
        escape::escape,
        report::{Process, Report, Verdict},
    },
    output::formats::text::{
        amounts::{counted, duration},
        page::{Ink, Page},
    },
};

/// Sentences on what was not covered that stand with the answer.
const UNCOVERED: usize = 2;

/// Writes it; the number of lines.
pub(super) fn write(
    report: &Report,
    problems: &Problems<'_>,
    page: &mut Page,
) -> io::Result<usize> {
    let before = page.lines();
    let count = |verdict| {
        problems
            .all
            .iter()
            .filter(|problem| problem.verdict == verdict)
            .count() as u64
    };
    let (leaks, suspects) = (count(Verdict::Leak), count(Verdict::Suspect));
    let time = duration(report.window.seconds);
    let outstanding = outstanding(report);
    match (leaks, suspects) {
        _ if report.health.unmatched.is_some() => {
            let unmatched = report.health.unmatched.as_deref().unwrap_or_default();
            page.headline(
                Ink::Suspect,
                "Nothing was traced",
                &format!(" in {time}: {}.", escape(unmatched)),
            )?;
            return Ok(page.lines() - before);
        }
        (0, 0) => {
            let (ink, label) = nothing(report);
            page.headline(ink, label, &format!(" in {time}; {outstanding}."))?;
        }
        (0, _) => page.headline(
            Ink::Suspect,
            &counted(suspects, "suspect", "suspects"),
            &format!(" found in {time}; {outstanding}."),
        )?,
        (_, 0) => page.headline(
            Ink::Leak,
            &counted(leaks, "leak", "leaks"),
            &format!(" found in {time}; {outstanding}."),
        )?,
        (_, _) => page.headline(
            Ink::Leak,
            &counted(leaks, "leak", "leaks"),
            &format!(
                " and {} found in {time}; {outstanding}.",
                counted(suspects, "suspect", "suspects")
            ),
        )?,
    }
    let is_quiet = leaks + suspects == 0 && report.full.is_empty();
    health::doubt(&report.health, is_quiet, page)?;
    growing(report, leaks + suspects == 0, page)?;
    for sentence in report.health.uncovered.iter().take(UNCOVERED) {
        page.paragraph(0, &format!("Not covered: {}", escape(sentence)))?;
    }
    if let left @ 1.. = report.health.uncovered.len().saturating_sub(UNCOVERED) {
        page.paragraph(0, &format!("... and {left} more that was not covered"))?;
    }
    Ok(page.lines() - before)
}

/// What to say where no finding is a leak.
fn nothing(report: &Report) -> (Ink, &'static str) {
    match (report.failures.is_empty(), report.full.is_empty()) {
        (false, _) => (Ink::Leak, "Calls fail; nothing found that grows"),
        (true, false) => (Ink::Suspect, "Nothing found that grows"),
        (true, true) if growing_sites(report) > 0 => (Ink::Bold, "No leak found yet"),
        (true, true) => (Ink::Bold, "No leak found"),
    }
}

/// A trace shorter than this has too few samples for a verdict on what grows slowly, in seconds.
const SHORT: f64 = 20.0;

/// Sites that grow, in a trace too short to judge them.
fn growing_sites(report: &Report) -> u64 {
    if report.window.seconds >= SHORT {
        return 0;
    }
    let grows = |finding: &&crate::model::report::Finding| {
        finding.verdict == Verdict::Steady
            && finding.growth_per_second > 0.0
            && report
                .process_of(finding)
                .is_some_and(|process| !process.exited)
    };
    report.findings.iter().filter(grows).count() as u64
}

fn growing(report: &Report, nothing_found: bool, page: &mut Page) -> io::Result<()> {
    match growing_sites(report) {
        count @ 1.. if nothing_found => {
            let sites = counted(count, "site grows", "sites grow");
            page.paragraph(
                0,
                &format!(
                    "{sites}, and the trace was too short to tell a leak: trace for a minute."
                ),
            )
        }
        _ => Ok(()),
    }
}

/// How much is outstanding, in how many processes.
fn outstanding(report: &Report) -> String {
    let held = |process: &Process| {
        process
            .outstanding
            .values()
            .fold(0, |sum: u64, count| sum.saturating_add(*count))
    };
    let total = report
        .processes
        .iter()
        .fold(0, |sum: u64, process| sum.saturating_add(held(process)));
    if total == 0 {
        return "nothing that was acquired meanwhile is still held".to_owned();
    }
    let holders = report
        .processes
        .iter()
        .filter(|process| held(process) > 0)
        .count() as u64;
    format!(
        "{} outstanding in {}",
        counted(total, "resource", "resources"),
        counted(holders, "process", "processes")
    )
}
