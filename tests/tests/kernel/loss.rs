//! Loss is reported, and never becomes a leak.

use harness::report::DESCRIPTOR_KINDS;
use harness::victim::program;
use harness::{Tracer, Victim, alone, grow_old, proc};

#[test]
fn what_a_small_ring_loses_is_counted_and_put_right() {
    let _alone = alone();
    let mut victim = Victim::start("flood", &[]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &["--ring-size", "4096"]);
    victim.tell();
    victim.expect("held");
    let truth = proc::descriptors(pid);
    grow_old();
    let report = tracer.stop();
    let excerpt = report.excerpt(pid);
    assert!(report.health.lost > 0, "nothing was lost? {excerpt}");
    assert_eq!(
        report.health.lost,
        report.health.lost_by_cause.values().sum::<u64>(),
        "{excerpt}"
    );
    let process = report.process(pid).expect("the process is in the report");
    for kind in DESCRIPTOR_KINDS {
        assert_eq!(
            process.holds(kind),
            *truth.get(kind).unwrap_or(&0),
            "of {kind}; /proc has {truth:?}{excerpt}"
        );
    }
    assert!(
        report.leaks_of(pid).is_empty(),
        "what was closed is called a leak: {excerpt}"
    );
}

#[test]
fn who_makes_more_events_than_can_be_read_is_sampled_all_the_same() {
    let _alone = alone();
    let busy = program("busy");
    let busy = busy.to_str().expect("its path is text");
    let ran = Tracer::run(&["--all-events"], &[busy, "20"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document = &ran.report().document;
    let points = |process: &serde_json::Value| {
        let name = process["comm"].as_str();
        let points = process["history"]
            .as_array()
            .filter(|_| name == Some("busy"));
        points.map_or(0, Vec::len)
    };
    let processes = document["processes"].as_array().into_iter().flatten();
    let most = processes.map(points).max().unwrap_or(0);
    // One a second, and less often where a look at everything takes long.
    assert!(most >= 3, "{most} samples: {document:#}");
}

#[test]
fn a_trace_ends_while_more_events_come_than_can_be_read() {
    let _alone = alone();
    let mut busy = Victim::start("busy", &["600"]);
    let tracer = Tracer::start(&["--all-events", "-p", &busy.pid().to_string()]);
    busy.tell();
    busy.expect("held");
    let report = tracer.stop();
    assert!(report.health.events > 0, "{:?}", report.health);
}
