//! Growth of connections that are forgotten, and of those that go on being used.

use harness::report::Finding;
use harness::{Report, Tracer, Victim, beside_others};

use super::real_programs::python;

fn of_function<'a>(report: &'a Report, pid: u32, function: &str) -> &'a Finding {
    let mut of_process = report.findings.iter().filter(|found| found.pid == pid);
    let found = of_process.find(|found| {
        let mut frames = found.stack.iter();
        let told = matches!(found.kind.as_str(), "socket" | "file");
        told && frames.any(|frame| frame.symbol.contains(function))
    });
    found.unwrap_or_else(|| panic!("nothing at {function}: {}", report.excerpt(pid)))
}

#[test]
fn connections_that_go_on_being_used_are_told_from_forgotten_ones() {
    let _turn = beside_others();
    let Some(mut command) = python("used.py") else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    let mut victim = Victim::spawn(&mut command);
    victim.expect("ready");
    let tracer = Tracer::of(victim.pid(), &[]);
    victim.tell();
    victim.expect("held");
    let report = tracer.stop();
    let says = |function: &str, words: &str| {
        let found = of_function(&report, victim.pid(), function);
        let told = found.evidence.iter().any(|line| line.contains(words));
        assert!(told, "{words}: {}", report.excerpt(victim.pid()));
        found.verdict.clone()
    };
    let forgotten = says("open_and_forget", "was used since it was acquired");
    let used = says("open_and_use", "are in use");
    assert_eq!((forgotten.as_str(), used.as_str()), ("leak", "suspect"));
    // What is used is one open file, and nobody knows by which of its descriptors.
    let duplicates = of_function(&report, victim.pid(), "duplicate_and_forget");
    let told = |line: &String| line.contains("are in use");
    assert!(!duplicates.evidence.iter().any(told), "{duplicates:?}");
    assert_eq!(duplicates.verdict, "leak", "{duplicates:?}");
    // The other ends are forgotten too, as an idle client's is: that is no evidence.
    let accepted = report.findings.iter().filter(|found| {
        let mut frames = found.stack.iter();
        found.kind == "socket" && frames.any(|frame| frame.symbol.contains("accept"))
    });
    for found in accepted {
        let told = found
            .evidence
            .iter()
            .any(|line| line.contains("was used since"));
        assert!(!told, "{found:?}");
    }
}
