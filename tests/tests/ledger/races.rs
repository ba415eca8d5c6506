//! Threads that race for the same descriptor numbers: in the end the tracer
//! counts what `/proc` shows, kind by kind.

use harness::report::DESCRIPTOR_KINDS;
use harness::{Tracer, Victim, alone, grow_old, proc};

#[test]
fn after_a_race_the_count_is_that_of_proc() {
    let _alone = alone();
    let mut victim = Victim::start("races", &["10"]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    victim.expect("held");
    let truth = proc::descriptors(pid);
    grow_old();
    let report = tracer.stop();
    let process = report.process(pid).expect("the process is in the report");
    for kind in DESCRIPTOR_KINDS {
        assert_eq!(
            process.holds(kind),
            *truth.get(kind).unwrap_or(&0),
            "of {kind}; /proc has {truth:?}{}",
            report.excerpt(pid)
        );
    }
    let leaks = report.leaks_of(pid);
    assert!(
        leaks.is_empty(),
        "nothing grows here: {}",
        report.excerpt(pid)
    );
}
