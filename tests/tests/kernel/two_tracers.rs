//! Two tracers at once see the same, and the end of one does not disturb the other.

use harness::{BRIEF_NURSERY, Report, Tracer, Victim, alone, grow_old};

fn leak(name: &str) -> Victim {
    let mut victim = Victim::start("rows", &[name, "leak", "5"]);
    victim.tell();
    victim.expect("held");
    grow_old();
    victim
}

fn assert_sees(report: &Report, victim: &Victim, kind: &str, site: &str) {
    let pid = victim.pid();
    assert_eq!(
        report.outstanding_at(pid, kind, site),
        5,
        "{}",
        report.excerpt(pid)
    );
}

#[test]
fn both_see_a_leak_and_neither_disturbs_the_other() {
    let _alone = alone();
    let first = Tracer::of_descendants(&BRIEF_NURSERY);
    let second = Tracer::of_descendants(&BRIEF_NURSERY);
    let files = leak("openat");
    let report = first.stop();
    assert_sees(&report, &files, "file", "leak_openat");
    let sockets = leak("socket");
    let report = second.stop();
    assert_sees(&report, &files, "file", "leak_openat");
    assert_sees(&report, &sockets, "socket", "leak_socket");
}
