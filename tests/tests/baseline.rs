//! What was open before the trace: told apart, and followed all the same.

use harness::{BRIEF_NURSERY, Tracer, Victim, alone, grow_old, proc};

#[test]
fn what_was_open_before_is_preexisting_until_it_is_closed() {
    let _alone = alone();
    let mut victim = Victim::start("baseline", &[]);
    let pid = victim.pid();
    let before = proc::descriptors(pid)["file"];
    let tracer = Tracer::start(&[&["-p", &pid.to_string()], &BRIEF_NURSERY[..]].concat());
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
    let _alone = alone();
    let victim = Victim::start("baseline", &[]);
    let pid = victim.pid();
    let tracer = Tracer::start(&[&["-p", &pid.to_string()], &BRIEF_NURSERY[..]].concat());
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
