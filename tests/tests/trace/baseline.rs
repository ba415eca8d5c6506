//! What was open before the trace: told apart, and followed all the same.

use std::collections::BTreeMap;

use harness::{Tracer, Victim, beside_others, grow_old, proc};

#[test]
fn what_was_open_before_is_preexisting_until_it_is_closed() {
    let _turn = beside_others();
    let mut victim = Victim::start("baseline", &[]);
    let pid = victim.pid();
    let before = proc::descriptors(pid)["file"];
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    victim.expect("closed");
    victim.tell();
    victim.expect("held");
    grow_old();
    let report = tracer.stop();
    let excerpt = report.excerpt(pid);
    let process = report.process(pid).expect("the process is in the report");
    assert_eq!(
        process.preexisting.get("file"),
        Some(&(before - 4)),
        "{excerpt}"
    );
    assert_eq!(process.outstanding.get("file"), Some(&2), "{excerpt}");
    assert_eq!(
        report.outstanding_at(pid, "file", "leak_baseline"),
        2,
        "{excerpt}"
    );
    assert_eq!(
        process.descriptors(),
        proc::descriptor_count(pid),
        "{excerpt}"
    );
    assert!(report.leaks_of(pid).is_empty(), "{excerpt}");
}

#[test]
fn an_idle_process_has_a_baseline_and_no_finding_that_grows() {
    let _turn = beside_others();
    let victim = Victim::start("baseline", &[]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    grow_old();
    let report = tracer.stop();
    let excerpt = report.excerpt(pid);
    let process = report.process(pid).expect("the process is in the report");
    for (kind, count) in proc::descriptors(pid) {
        assert_eq!(
            process.preexisting.get(kind),
            Some(&count),
            "{kind}{excerpt}"
        );
    }
    assert!(
        process.outstanding.values().all(|count| *count == 0),
        "{excerpt}"
    );
}

#[test]
fn what_began_while_the_hooks_were_placed_is_from_before_the_trace() {
    let _turn = beside_others();
    let mut victim = Victim::start("starting", &[]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    victim.expect("held");
    grow_old();
    let report = tracer.stop();
    let excerpt = report.excerpt(pid);
    for finding in report.findings.iter().filter(|f| f.pid == pid) {
        assert!(
            finding.acquired == 0 || !finding.stack.is_empty(),
            "{} of {} were acquired without a stack{excerpt}",
            finding.acquired,
            finding.kind
        );
        for example in finding.examples.iter().filter(|_| finding.acquired > 0) {
            assert!(example.age_seconds <= report.window.seconds, "{excerpt}");
        }
    }
    let process = report.process(pid).expect("the process is in the report");
    let held = |kind: &str| {
        let of = |counts: &BTreeMap<String, u64>| counts.get(kind).copied().unwrap_or(0);
        of(&process.preexisting) + of(&process.outstanding)
    };
    assert!(process.outstanding.contains_key("thread"), "{excerpt}");
    assert_eq!(held("thread") + 1, proc::threads(pid), "{excerpt}");
    assert_eq!(held("process"), proc::zombies(pid), "{excerpt}");
}
