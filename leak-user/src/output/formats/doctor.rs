//! What the doctor found: checks with a result, and what would help. As text, and
//! as JSON (schema `leaktrace.doctor/1`: keys may be added, never renamed).

use std::io;

use serde::{Deserialize, Serialize};

use super::{
    json,
    text::{Ink, Page},
};
use crate::model::escape::{escape, width};

/// The schema's name.
pub const SCHEMA: &str = "leaktrace.doctor/1";

/// All checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorReport {
    pub schema: String,
    /// In the order in which they build on each other.
    pub checks: Vec<Check>,
    /// The programs that were loaded.
    #[serde(default)]
    pub programs: Vec<Program>,
}

/// A program as the kernel took it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// What it serves.
    pub kind: String,
    /// Instructions that the verifier walked; absent where the kernel does not tell.
    pub verified_instructions: Option<u32>,
    /// Milliseconds until it was verified and translated.
    pub load_ms: f64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A few words.
    pub name: String,
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pass,
    /// Tracing works, with less.
    Warn,
    /// Tracing is not possible.
    Fail,
}

impl DoctorReport {
    #[must_use]
    pub fn new(checks: Vec<Check>) -> DoctorReport {
        DoctorReport {
            schema: SCHEMA.to_owned(),
            checks,
            programs: Vec::new(),
        }
    }

    /// The worst result; a pass where nothing was checked.
    #[must_use]
    pub fn worst(&self) -> Status {
        let statuses = self.checks.iter().map(|check| check.status);
        statuses.max().unwrap_or(Status::Pass)
    }
}

/// Writes the checks for people, in lines of `width` columns.
///
/// # Errors
///
/// Those of `out`.
pub fn write_text(
    report: &DoctorReport,
    columns: usize,
    color: bool,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut page = Page::new(out, columns, color);
    for check in &report.checks {
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
        if let Some(fix) = &check.fix {
            page.hanging(6, 6 + width("fix: "), &format!("fix: {}", escape(fix)))?;
        }
    }
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

/// Writes the checks as JSON.
///
/// # Errors
///
/// Those of `out`.
pub fn write_json(report: &DoctorReport, out: &mut dyn io::Write) -> io::Result<()> {
    json::write_document(report, out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::model::sample;

    fn report() -> DoctorReport {
        let check = |name: &str, status, detail: &str, fix: Option<&str>| Check {
            name: name.to_owned(),
            status,
            detail: detail.to_owned(),
            fix: fix.map(str::to_owned),
        };
        DoctorReport::new(vec![
            check("kernel", Status::Pass, "6.18.0 x86_64", None),
            check(
                "tracefs",
                Status::Warn,
                "not mounted at /sys/kernel/tracing\x1b[2J",
                Some("mount -t tracefs tracefs /sys/kernel/tracing, else leaktrace mounts its own"),
            ),
            check(
                "privilege",
                Status::Fail,
                "CAP_BPF is missing",
                Some("run as root"),
            ),
        ])
    }

    fn text(report: &DoctorReport, color: bool) -> String {
        sample::text(|out| write_text(report, 60, color, out))
    }

    #[test]
    fn checks_are_listed_with_their_fix() {
        assert_eq!(
            text(&report(), false),
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
        let mut report = report();
        assert_eq!(report.worst(), Status::Fail);
        report.checks.pop();
        assert_eq!(report.worst(), Status::Warn);
        assert!(text(&report, false).ends_with("possible, with less: see the warnings above.\n"));
        report.checks.pop();
        assert_eq!(report.worst(), Status::Pass);
        assert!(text(&report, true).ends_with("\x1b[32mTracing is possible.\x1b[0m\n"));
    }

    #[test]
    fn json_has_the_schema_and_comes_back() {
        let mut out = Vec::new();
        write_json(&report(), &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["schema"], "leaktrace.doctor/1");
        assert_eq!(value["checks"][1]["status"], "warn");
        assert_eq!(value["checks"][0]["fix"], serde_json::Value::Null);
        assert_eq!(
            serde_json::from_slice::<DoctorReport>(&out).unwrap(),
            report()
        );
    }
}
