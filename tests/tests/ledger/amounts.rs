//! The numbers of a finding are what happened: what is released, young or held adds up to what was
//! acquired.

use harness::{Report, Tracer, Victim, beside_others, grow_old};

/// Of a function: acquired, released, young and held together.
fn amounts(report: &Report, pid: u32, function: &str) -> (u64, u64, u64) {
    let findings = report.at(pid, function);
    let mut sums = (0, 0, 0);
    for finding in findings {
        assert_eq!(
            finding.acquired,
            finding.released + finding.young + finding.outstanding + finding.unaccounted,
            "{finding:?}"
        );
        assert_eq!(finding.unaccounted, 0, "nothing was lost: {finding:?}");
        sums.0 += finding.acquired;
        sums.1 += finding.released;
        sums.2 += finding.young + finding.outstanding;
    }
    sums
}

#[test]
fn what_is_younger_than_the_nursery_is_not_released() {
    let _turn = beside_others();
    let mut victim = Victim::start("amounts", &[]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    victim.expect("held");
    grow_old();
    victim.tell();
    victim.expect("late");
    let report = tracer.stop();
    let expected = [("leak_kept", (57, 0, 57)), ("leak_one", (60, 59, 1))];
    for (function, expected) in expected {
        let found = amounts(&report, pid, function);
        assert_eq!(found, expected, "{function}{}", report.excerpt(pid));
    }
    let kept = report.at(pid, "leak_kept")[0];
    let said = format!("{} acquired over ", kept.outstanding);
    assert!(kept.evidence[0].starts_with(&said), "{kept:?}");
    for function in ["twin_churned", "twin_aged"] {
        assert_eq!(report.outstanding_at(pid, "file", function), 0);
    }
}
