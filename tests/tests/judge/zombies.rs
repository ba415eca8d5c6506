//! Children that were dead before the trace began.

use harness::{Tracer, Victim, beside_others, proc};

#[test]
fn zombies_from_before_the_trace_are_found_and_counted_once_with_those_that_come() {
    let _turn = beside_others();
    let mut leaks = Victim::start("zombies", &["forgotten", "16"]);
    let waits = Victim::start("zombies", &["waited", "16"]);
    let (leaking, waiting) = (leaks.pid(), waits.pid().to_string());
    assert_eq!(proc::zombies(leaking), 16);
    let tracer = Tracer::of(leaking, &["-p", &waiting, "-d", "15s"]);
    leaks.tell();
    let report = tracer.ends_by_itself();
    let excerpt = report.excerpt(leaking);
    assert_eq!(proc::zombies(leaking), 17);
    let found: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.pid == leaking && finding.kind == "process")
        .collect();
    assert_eq!(found.len(), 1, "{excerpt}");
    assert_eq!(
        (found[0].verdict.as_str(), found[0].outstanding),
        ("leak", 17),
        "{excerpt}"
    );
    let found = report.document["findings"].as_array().unwrap();
    let found = found
        .iter()
        .find(|finding| finding["pid"] == leaking && finding["kind"] == "process");
    let found = found.expect("it was found above");
    assert_eq!(found["preexisting"], 16, "{excerpt}");
    assert_eq!(found["growth_per_second"], 0.0, "{excerpt}");
    let others = report
        .findings
        .iter()
        .filter(|finding| finding.pid == waits.pid());
    assert_eq!(others.count(), 0, "{}", report.excerpt(waits.pid()));
}
