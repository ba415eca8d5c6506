//! A report: the answer on one screen, then each problem, then everything else, and where that is longer than a screen,
//! the answer again as the last lines.

mod failures;
mod finding;
mod full;
mod health;
mod problem;
mod processes;
mod screen;
mod shared;

use std::io;

use leak_common::Kind;

use super::{TextOptions, amounts::counted, page::Page};
use crate::model::report::{Finding, Report, Verdict};
use problem::Problems;

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
    let problems = Problems::of(report);
    screen::write(report, &problems, options, &mut page)?;
    details(report, &problems, options, &mut page)?;
    if page.lines() >= options.height {
        page.blank()?;
        let rule = "-".repeat(page.width());
        page.line(&rule)?;
        screen::write(report, &problems, options, &mut page)?;
    }
    Ok(())
}

fn details(
    report: &Report,
    problems: &Problems<'_>,
    options: &TextOptions,
    page: &mut Page,
) -> io::Result<()> {
    for (at, problem) in problems.all.iter().enumerate().take(options.top) {
        page.blank()?;
        problem::write(report, at + 1, problem, options, page)?;
    }
    if let Some(left @ 1..) = problems.all.len().checked_sub(options.top) {
        page.blank()?;
        let left = counted(left as u64, "more problem", "more problems");
        page.paragraph(0, &format!("... and {left} (-n shows more)"))?;
    }
    if options.all {
        steady(report, problems, options, page)?;
    }
    full::write(report, options.top, page)?;
    failures::write(report, options, page)?;
    processes::write(report, problems, options.top, page)?;
    shared::write(report, options.top, page)?;
    health::write(report, page)
}

/// Findings that are told with no problem.
fn steady(
    report: &Report,
    problems: &Problems<'_>,
    options: &TextOptions,
    page: &mut Page,
) -> io::Result<()> {
    let findings = report.findings.iter().enumerate();
    let steady =
        findings.filter(|(at, finding)| finding.verdict == Verdict::Steady && !problems.tell(*at));
    let steady: Vec<&Finding> = steady.map(|(_, finding)| finding).collect();
    for finding in steady.iter().take(options.top) {
        page.blank()?;
        finding::write(report, finding, None, options, page)?;
    }
    match steady.len().saturating_sub(options.top) {
        0 => Ok(()),
        left => {
            page.blank()?;
            let left = counted(left as u64, "more steady finding", "more steady findings");
            page.paragraph(0, &format!("... and {left} (-n shows more)"))
        }
    }
}

/// Whether both kinds run into the same limits.
fn same_class(one: &str, other: &str) -> bool {
    let class = |kind| Kind::from_name(kind).map(Kind::class);
    one == other || class(one).is_some() && class(one) == class(other)
}

#[cfg(test)]
mod tests;
