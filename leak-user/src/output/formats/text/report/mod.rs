//! A report: the result in a few lines, the findings, then everything else.

mod failures;
mod finding;
mod full;
mod health;
mod processes;
mod shared;

use std::io;

use super::{
    TextOptions,
    amounts::{counted, duration},
    page::{Ink, Page},
};
use crate::model::report::{Finding, Process, Report, Verdict};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(
    report: &Report,
    options: &TextOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options.width, options.color);
    full::write(&report.full, options.top, &mut page)?;
    summary(report, options, &mut page)?;
    let shown: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|finding| options.all || finding.verdict != Verdict::Steady)
        .collect();
    for finding in shown.iter().take(options.top) {
        page.blank()?;
        finding::write(finding, report.process_of(finding), &mut page)?;
    }
    if let Some(left @ 1..) = shown.len().checked_sub(options.top) {
        page.blank()?;
        let left = counted(left as u64, "more finding", "more findings");
        page.paragraph(0, &format!("... and {left} (-n shows more)"))?;
    }
    failures::write(&report.failures, options.top, &mut page)?;
    processes::write(report, options.top, &mut page)?;
    shared::write(&report.shared_limits, options.top, &mut page)?;
    health::write(report, &mut page)
}

/// The result in a few lines.
fn summary(report: &Report, options: &TextOptions, page: &mut Page) -> io::Result<()> {
    let count = |verdict| {
        let of = |finding: &&Finding| finding.verdict == verdict;
        report.findings.iter().filter(of).count() as u64
    };
    let (leaks, suspects, steady) = (
        count(Verdict::Leak),
        count(Verdict::Suspect),
        count(Verdict::Steady),
    );
    let time = duration(report.window.seconds);
    let outstanding = outstanding(report);
    let full = !report.full.is_empty();
    match (leaks, suspects) {
        (0, 0) => page.headline(
            Ink::Bold,
            // Where a process is full, something was not given back, or the limit is too low.
            if full {
                "Nothing found that grows"
            } else {
                "No leak found"
            },
            &format!(" in {time}; {outstanding}."),
        )?,
        (0, _) => page.headline(
            Ink::Suspect,
            &counted(suspects, "suspect", "suspects"),
            &match full {
                true => format!(" found in {time}; {outstanding}."),
                false => format!(" and no leak found in {time}; {outstanding}."),
            },
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
    if steady > 0 && !options.all {
        let sites = counted(steady, "steady site is", "steady sites are");
        page.paragraph(0, &format!("{sites} not shown (--all shows them)."))?;
    }
    failures::mention(&report.failures, page)?;
    health::doubt(&report.health, leaks + suspects == 0 && !full, page)
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
        return "nothing that was acquired is outstanding".to_owned();
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

#[cfg(test)]
mod tests;
