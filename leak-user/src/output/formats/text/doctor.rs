//! What the doctor found, for people.

use std::io;

use super::{
    TextOptions,
    page::{Ink, Page},
};
use crate::model::{
    doctor::{Check, DoctorReport, Status},
    escape::{escape, width},
};

/// Writes all checks and the result; the options say nothing about which are shown.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(
    report: &DoctorReport,
    options: &TextOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for one in &report.checks {
        check(one, options, out)?;
    }
    result(report, options, out)
}

/// Writes one check.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn check(
    check: &Check,
    options: &TextOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options.width, options.color);
    let (ink, label) = match check.status {
        Status::Pass => (Ink::Fine, "pass"),
        Status::Warn => (Ink::Suspect, "warn"),
        Status::Fail => (Ink::Leak, "fail"),
    };
    let name = escape(&check.name);
    let text = match check.detail.as_str() {
        "" => format!("  {name}"),
        detail => format!("  {name}: {}", escape(detail)),
    };
    page.headline(ink, label, &text)?;
    match &check.fix {
        Some(fix) => page.hanging(6, 6 + width("fix: "), &format!("fix: {}", escape(fix))),
        None => Ok(()),
    }
}

/// Writes what comes of all checks.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn result(
    report: &DoctorReport,
    options: &TextOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options.width, options.color);
    page.blank()?;
    let count = |status| report.checks.iter().filter(|c| c.status == status).count();
    match (count(Status::Fail), count(Status::Warn)) {
        (0, 0) => page.headline(Ink::Fine, "Tracing is possible.", ""),
        (0, _) => page.headline(
            Ink::Suspect,
            "Tracing is possible,",
            " with less: see the warnings above.",
        ),
        (_, _) => page.headline(
            Ink::Leak,
            "Tracing is not possible:",
            " see what failed above.",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::model::sample;

    fn text(report: &DoctorReport, color: bool) -> String {
        let options = TextOptions {
            width: 60,
            color,
            ..TextOptions::default()
        };
        sample::text(|out| write(report, &options, out))
    }

    #[test]
    fn checks_are_listed_with_their_fix() {
        assert_eq!(
            text(&sample::checks(), false),
            r"pass  kernel: 6.18.0 x86_64
warn  tracefs: not mounted at /sys/kernel/tracing\x1b[2J
      fix: mount -t tracefs tracefs /sys/kernel/tracing,
           else leaktrace mounts its own
fail  privilege: CAP_BPF is missing
      fix: run as root

Tracing is not possible: see what failed above.
"
        );
    }

    #[test]
    fn the_last_line_follows_the_worst_check() {
        let mut report = sample::checks();
        assert_eq!(report.worst(), Status::Fail);
        report.checks.pop();
        assert_eq!(report.worst(), Status::Warn);
        assert!(text(&report, false).ends_with("possible, with less: see the warnings above.\n"));
        report.checks.pop();
        assert_eq!(report.worst(), Status::Pass);
        assert!(text(&report, true).ends_with("\x1b[32mTracing is possible.\x1b[0m\n"));
    }
}
