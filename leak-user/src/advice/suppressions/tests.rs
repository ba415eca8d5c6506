#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::model::report::{Frame, Verdict};

pub(super) fn suppressions(text: &str) -> Suppressions {
    let mut suppressions = Suppressions::default();
    suppressions.add(text).unwrap();
    suppressions
}

pub(super) fn finding(kind: &str, comm: &str, symbols: &[&str]) -> Finding {
    Finding {
        verdict: Verdict::Leak,
        kind: kind.to_owned(),
        comm: comm.to_owned(),
        outstanding: 7,
        stack: symbols
            .iter()
            .map(|symbol| Frame {
                symbol: (*symbol).to_owned(),
                ..Frame::default()
            })
            .collect(),
        ..Finding::default()
    }
}

pub(super) fn report(findings: Vec<Finding>) -> Report {
    Report {
        findings,
        ..Report::default()
    }
}

#[test]
fn what_is_suppressed_is_counted_by_its_reason() {
    let list = suppressions(
        r#"
        [[suppress]]
        kind = "socket"
        frames = ["connect", "pool_*"]
        why = "the pool grows to 500"

        [[suppress]]
        kind = ["file", "mapping"]
        comm = "postgres*"
        why = "bounded by max_connections"
        "#,
    );
    let mut report = report(vec![
        finding("socket", "app", &["connect", "open", "pool_add"]),
        finding("socket", "app", &["connect", "pool_grow", "main"]),
        finding("socket", "app", &["pool_add", "connect"]),
        finding("file", "app", &["connect", "pool_add"]),
        finding("mapping", "postgres: main", &[]),
    ]);
    list.apply(&mut report);
    let left: Vec<&str> = report.findings.iter().map(|f| f.kind.as_str()).collect();
    assert_eq!(left, ["socket", "file"]);
    let suppressed = |why: &str, findings, outstanding| Suppressed {
        why: why.to_owned(),
        built_in: false,
        findings,
        outstanding,
    };
    assert_eq!(
        report.suppressed,
        [
            suppressed("the pool grows to 500", 2, 14),
            suppressed("bounded by max_connections", 1, 7),
        ]
    );
    assert_eq!(report.worst(), Some(Verdict::Leak));
}

/// Asserts that a list is refused, with its line and what is wrong named.
fn refused(text: &str, line: &str, named: &str) {
    let error = Suppressions::default().add(text).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains(line) && error.contains(named),
        "{text}: {error}"
    );
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (lines, line, named) in [
        ("comm = \"a\"\nwhat = 1", "line 3", "what"),
        ("kind = \"file\"", "line 1", "frames and comm"),
        ("comm = \"a\"\nkind = \"fil\"", "line 1", "\"fil\""),
        ("comm = \"a\"\nkind = []", "line 1", "kind"),
        ("frames = [\"a\", \"\"]", "line 2", "empty"),
        ("comm = a", "line 2", ""),
    ] {
        let text = format!("[[suppress]]\n{lines}\nwhy = \"x\"\n");
        refused(&text, line, named);
    }
    for (text, line, named) in [
        (
            "\n[[suppress]]\nkind = \"file\"\nwhy = \"x\"\n",
            "line 2",
            "frames and comm",
        ),
        ("[[suppress]]\ncomm = \"a\"\n", "line 1", "why"),
        ("[[suppress]]\ncomm = \"a\"\nwhy = \" \"\n", "line 1", "why"),
        (
            "[[suppres]]\ncomm = \"a\"\nwhy = \"x\"\n",
            "line 1",
            "suppres",
        ),
    ] {
        refused(text, line, named);
    }
}

proptest! {
    #[test]
    fn a_list_that_is_about_nothing_changes_nothing(
        symbols in prop::collection::vec("[a-z:*|]{0,9}", 0..6),
        comm in "[a-z]{0,15}",
        outstanding in any::<u64>(),
    ) {
        let list = suppressions(
            "[[suppress]]\nframes = [\"*\", \"* in *.so\"]\nwhy = \"x\"\n\
             [[suppress]]\ncomm = \"A*\"\nwhy = \"y\"\n",
        );
        let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let found = Finding { outstanding, ..finding("file", &comm, &symbols) };
        let before = report(vec![found.clone(), found]);
        let mut after = before.clone();
        list.apply(&mut after);
        prop_assert_eq!(after, before);
    }

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}") {
        let _ = Suppressions::default().add(&text);
    }

    #[test]
    fn what_leaves_the_findings_is_counted(
        kinds in prop::collection::vec(0..3_usize, 0..20),
        outstanding in 0..1000_u64,
    ) {
        let kind = ["file", "socket", "pipe"];
        let list = suppressions("[[suppress]]\nkind = \"pipe\"\ncomm = \"*\"\nwhy = \"x\"\n");
        let findings = kinds.iter().map(|&k| Finding { outstanding, ..finding(kind[k], "c", &[]) });
        let mut report = report(findings.collect());
        list.apply(&mut report);
        let gone = report.suppressed.first().cloned().unwrap_or_default();
        prop_assert_eq!(gone.findings as usize + report.findings.len(), kinds.len());
        prop_assert_eq!(gone.outstanding, gone.findings * outstanding);
        prop_assert!(report.findings.iter().all(|finding| finding.kind != "pipe"));
    }
}
