//! Writes JSON lines: an object for each finding, and at the end one with the sums and how far the report can be
//! trusted. For log collectors and `jq`.

mod events;

use std::io;

use serde::Serialize;

use super::{Format, Writer, json};
use crate::model::report::{
    Finding, Full, Health, Process, Report, SharedLimit, Suppressed, Verdict,
};

/// Schema of a finding's line.
const FINDING: &str = "leaktrace.finding/1";

/// Schema of the last line.
const SUMMARY: &str = "leaktrace.summary/1";

/// How each line begins.
#[derive(Serialize)]
struct Head<'a> {
    schema: &'static str,
    host: &'a str,
    boot_id: &'a str,
    /// End of the window, RFC 3339.
    time: &'a str,
    window_seconds: f64,
}

/// A finding, with what a reader of one line needs of the rest of the report. Its own keys are those of the report's
/// contract.
#[derive(Serialize)]
struct FindingLine<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    exe: &'a str,
    container_id: Option<&'a str>,
    #[serde(flatten)]
    finding: &'a Finding,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    leaks: usize,
    suspects: usize,
    steady: usize,
    processes: usize,
    failures: usize,
    health: &'a Health,
    full: &'a [Full],
    shared_limits: &'a [SharedLimit],
    suppressed: &'a [Suppressed],
}

pub(super) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "One finding a line, schema leaktrace.finding/1, and a summary at the end",
        write: |report, _, out| write(report, out),
    }),
    events: Some(events::start),
    ..Format::new("jsonl")
};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in &report.findings {
        json::write_line(&finding_line(report, finding), out)?;
    }
    json::write_line(&summary(report), out)
}

fn head<'a>(report: &'a Report, schema: &'static str) -> Head<'a> {
    Head {
        schema,
        host: &report.host.hostname,
        boot_id: &report.host.boot_id,
        time: &report.window.end,
        window_seconds: report.window.seconds,
    }
}

fn finding_line<'a>(report: &'a Report, finding: &'a Finding) -> FindingLine<'a> {
    let process = report.process_of(finding);
    FindingLine {
        head: head(report, FINDING),
        exe: process.map_or("", |process: &Process| &process.exe),
        container_id: process.and_then(|process| process.container_id.as_deref()),
        finding,
    }
}

fn summary(report: &Report) -> SummaryLine<'_> {
    let count = |verdict| {
        let of = |finding: &&Finding| finding.verdict == verdict;
        report.findings.iter().filter(of).count()
    };
    SummaryLine {
        head: head(report, SUMMARY),
        leaks: count(Verdict::Leak),
        suspects: count(Verdict::Suspect),
        steady: count(Verdict::Steady),
        processes: report.processes.len(),
        failures: report.failures.len(),
        health: &report.health,
        full: &report.full,
        shared_limits: &report.shared_limits,
        suppressed: &report.suppressed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::model::{escape::is_unsafe, sample};

    fn written(report: &Report) -> String {
        sample::text(|out| write(report, out))
    }

    fn parsed(text: &str) -> Vec<Value> {
        let line = |line| serde_json::from_str(line).unwrap();
        text.lines().map(line).collect()
    }

    #[test]
    fn every_finding_has_a_line_and_the_last_line_sums_up() {
        let report = sample::leaking();
        let text = written(&report);
        assert!(text.ends_with("}\n"));
        let lines = parsed(&text);
        assert_eq!(lines.len(), report.findings.len() + 1);
        for (line, finding) in lines.iter().zip(&report.findings) {
            let line = line.as_object().unwrap();
            assert_eq!(line["schema"], "leaktrace.finding/1");
            assert_eq!(line["host"], "web1");
            assert_eq!(line["time"], "2026-01-02T03:04:15Z");
            let own = serde_json::to_value(finding).unwrap();
            for (key, value) in own.as_object().unwrap() {
                assert_eq!(&line[key], value, "{key}");
            }
        }
        assert_eq!(lines[0]["exe"], "/usr/sbin/nginx");
        let summary = &lines[3];
        assert_eq!(summary["schema"], "leaktrace.summary/1");
        assert_eq!(
            [
                &summary["leaks"],
                &summary["suspects"],
                &summary["steady"],
                &summary["processes"]
            ],
            [1, 1, 1, 2]
        );
        assert_eq!(summary["health"]["events"], 12_345);
    }

    #[test]
    fn a_quiet_report_is_its_summary() {
        let lines = parsed(&written(&sample::empty()));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["leaks"], 0);
    }

    proptest! {
        #[test]
        fn hostile_names_stay_within_their_line(name in any::<String>()) {
            let name = format!("\n\r\u{2028}\x1b{name}");
            let report = sample::named(&name);
            let text = written(&report);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)));
            let lines = parsed(&text);
            prop_assert_eq!(lines.len(), report.findings.len() + 1);
            prop_assert_eq!(lines[0]["comm"].as_str(), Some(name.as_str()));
            prop_assert_eq!(lines[0]["stack"][0]["symbol"].as_str(), Some(name.as_str()));
        }
    }
}
