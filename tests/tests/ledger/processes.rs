//! Processes that come and go: many, sharing descriptors, reusing ids.

use std::fs;

use harness::{BRIEF_NURSERY, Report, Tracer, Victim};
use harness::{alone, be_taken_over, beside_others, eventually, grow_old, proc};

#[test]
fn a_leak_is_found_among_thousands_of_short_lives() {
    let _alone = alone();
    let tracer = Tracer::of_descendants(&BRIEF_NURSERY);
    let mut victim = Victim::start("storm", &["3000"]);
    let pid = victim.pid();
    victim.tell();
    victim.expect("held");
    grow_old();
    let truth = proc::descriptor_count(pid);
    let report = tracer.stop();
    assert_eq!(
        report.outstanding_at(pid, "file", "leak_storm"),
        10,
        "{}",
        report.excerpt(pid)
    );
    let process = report.process(pid).expect("the parent is in the report");
    assert_eq!(process.descriptors(), truth, "{}", report.excerpt(pid));
    assert_eq!(process.holds("process"), 0, "{}", report.excerpt(pid));
    for finding in &report.findings {
        let of_child = finding.comm == "storm" && finding.pid != pid;
        assert!(
            !(of_child && finding.verdict == "leak"),
            "a child that ended is called a leak: {}",
            report.excerpt(finding.pid)
        );
    }
}

/// Runs `victims/sharing.c`, with what it opens old before the child begins.
fn sharing(mode: &str) -> (Report, u32, u64) {
    let tracer = Tracer::of_descendants(&BRIEF_NURSERY);
    let mut victim = Victim::start("sharing", &[mode]);
    let pid = victim.pid();
    victim.tell();
    victim.expect("opened");
    be_taken_over();
    victim.tell();
    victim.expect("held");
    grow_old();
    let truth = proc::descriptor_count(pid);
    (tracer.stop(), pid, truth)
}

/// Asserts what the parent holds from each of its two sites, and in all.
fn assert_parent_holds(mode: &str, leak: u64, twin: u64) {
    let (report, pid, truth) = sharing(mode);
    let process = report.process(pid).expect("the parent is in the report");
    let seen = (
        report.outstanding_at(pid, "file", "leak_sharing"),
        report.outstanding_at(pid, "file", "twin_sharing"),
        process.descriptors(),
    );
    assert_eq!(
        seen,
        (leak, twin, truth),
        "leak, twin, all{}",
        report.excerpt(pid)
    );
}

#[test]
fn a_child_that_shares_the_table_releases_for_the_parent() {
    let _alone = alone();
    assert_parent_holds("files", 3, 0);
}

#[test]
fn what_a_thread_holds_in_a_table_of_its_own_is_held() {
    let _turn = beside_others();
    let (report, pid, _) = sharing("thread");
    let held = (
        report.outstanding_at(pid, "file", "leak_sharing"),
        report.outstanding_at(pid, "file", "twin_sharing"),
    );
    assert_eq!(held, (5, 0), "leak, twin{}", report.excerpt(pid));
}

#[test]
fn a_forked_child_closes_its_own_copies() {
    let _alone = alone();
    assert_parent_holds("fork", 3, 3);
}

#[test]
fn a_vforked_child_closes_its_own_copies() {
    let _alone = alone();
    assert_parent_holds("vfork", 3, 3);
}

/// Starts a victim that gets this process id, if that can be had.
fn start_as(pid: u32, arguments: &[&str]) -> Option<Victim> {
    let mut victim = None;
    // Others may take the id first: try again, for a while.
    let reused = eventually(|| {
        if fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            return true;
        }
        let started = Victim::start("rows", arguments);
        let reused = started.pid() == pid;
        victim = reused.then_some(started);
        reused
    });
    assert!(reused, "the id {pid} was never free");
    victim
}

#[test]
fn a_reused_process_id_is_another_process() {
    let _alone = alone();
    let tracer = Tracer::of_descendants(&BRIEF_NURSERY);
    let mut first = Victim::start("rows", &["openat", "leak", "5"]);
    let pid = first.pid();
    first.tell();
    first.expect("held");
    be_taken_over();
    first.end();
    let Some(mut second) = start_as(pid, &["socket", "leak", "2"]) else {
        eprintln!("skipped: the kernel does not let the next process id be chosen");
        return;
    };
    second.tell();
    second.expect("held");
    grow_old();
    let report = tracer.stop();
    assert_eq!(
        report.outstanding_at(pid, "socket", "leak_socket"),
        2,
        "{}",
        report.excerpt(pid)
    );
    let live = report.process(pid).expect("the second process is there");
    assert_eq!(
        live.descriptors(),
        proc::descriptor_count(pid),
        "the second process has what the first one held{}",
        report.excerpt(pid)
    );
    assert_eq!(live.outstanding.get("socket"), Some(&2));
    // A trace may forget processes that ended; one that it lists held five files.
    let first = report.processes.iter().find(|p| p.pid == pid && p.exited);
    if let Some(first) = first {
        assert_eq!(
            first.outstanding.get("file"),
            Some(&5),
            "{}",
            report.excerpt(pid)
        );
        assert_ne!(first.start_time, live.start_time);
    }
}

#[test]
fn what_survives_an_exec_keeps_its_stack_and_its_time() {
    let _turn = beside_others();
    let program = harness::victim::program("reexec");
    for (mode, left) in [("leak", 8), ("twin", 1)] {
        let ran = Tracer::run(&BRIEF_NURSERY, &[program.to_str().unwrap(), mode, "8"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let report = ran.report();
        let site = format!("{mode}_reexec");
        let held: u64 = report
            .findings
            .iter()
            .filter(|finding| finding.function() == Some(&site))
            .map(|finding| finding.outstanding)
            .sum();
        assert_eq!(held, left, "{:#}", report.document);
        let adopted = &report.document["health"]["adopted"];
        assert_eq!(adopted, 0, "{:#}", report.document["health"]);
    }
}
