//! Growth of what is used again, and of what is not.

use proptest::prelude::*;

use super::*;

/// The finding on sockets that are acquired one every `every` milliseconds, `count` of them,
/// after `end` milliseconds. `last` says of an acquisition when it was used last, both in
/// milliseconds.
fn socket_finding(
    every: u64,
    count: u64,
    end: u64,
    accepted: bool,
    last: Option<&dyn Fn(u64) -> u64>,
) -> Option<Judged> {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    let mut told = 0;
    let mut now = 0;
    while now < end {
        now = (now + 1000).min(end);
        while told < count && told * every * MILLI + LATE <= now * MILLI {
            let handle = descriptor(told as usize);
            ledger.apply(&acquired(told * every * MILLI, Kind::Socket, handle));
            told += 1;
        }
        judge.sample(now * MILLI, &ledger, &ledger.running());
    }
    if let Some(last) = last {
        let step = (told / 60).max(1);
        let sample = (0..told).step_by(step as usize).map(|n| n * every);
        judge.used(&LastUses {
            time: end * MILLI,
            site: SITE,
            accepted,
            resources: sample.map(|at| (at * MILLI, last(at) * MILLI)).collect(),
        });
    }
    check(&judge.findings(end * MILLI, 0, &ledger)).pop()
}

fn verdict_of(found: &Option<Judged>) -> Verdict {
    found
        .as_ref()
        .map_or(Verdict::Steady, |found| found.verdict)
}

#[test]
fn what_is_not_used_again_is_a_leak_with_less_growth() {
    // Three a second for 20 s: 54 that count, where 75 are needed.
    let counted = socket_finding(333, 60, 20_000, false, None);
    assert_eq!(verdict_of(&counted), Verdict::Suspect);
    let unused = socket_finding(333, 60, 20_000, false, Some(&|at| at)).unwrap();
    assert_eq!(unused.verdict, Verdict::Leak, "{unused:?}");
    says(&unused, "looked at was used since it was acquired");
    // Of clients that are idle that says nothing.
    let idle = socket_finding(333, 60, 20_000, true, Some(&|at| at));
    assert_eq!(verdict_of(&idle), Verdict::Suspect);
}

#[test]
fn a_leak_of_what_is_used_is_found_after_the_time_of_a_ramp() {
    let end = 75_000;
    let found = socket_finding(200, 400, end, true, Some(&|_| end)).unwrap();
    assert_eq!(found.verdict, Verdict::Leak, "{found:?}");
    let end = 40_000;
    let found = socket_finding(200, 400, end, true, Some(&|_| end)).unwrap();
    assert_eq!(found.verdict, Verdict::Suspect, "{found:?}");
    says(&found, "are in use");
    let waits_for = found.waits_for.unwrap();
    assert!(waits_for.contains("although it is in use"), "{waits_for}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_ramp_of_half_a_minute_is_no_leak_at_any_time(
        every in 25..500u64, seconds in 10..60u64, accepted: bool, pause in 0..1000u64,
    ) {
        let end = seconds * 1000;
        let last = |at: u64| at.max(end - pause);
        let found = socket_finding(every, 30_000 / every, end, accepted, Some(&last));
        prop_assert_ne!(verdict_of(&found), Verdict::Leak, "{:?}", found);
    }

    #[test]
    fn uses_alone_make_no_verdict(
        every in 25..500u64, count in 0..200u64, ago in 0..60_000u64,
    ) {
        // All that was acquired lately enough to be growth ended long ago.
        let end = count * every + 60_000;
        let last = |at: u64| at.max(end.saturating_sub(ago));
        for accepted in [false, true] {
            let found = socket_finding(every, count, end, accepted, Some(&last));
            prop_assert_eq!(verdict_of(&found), Verdict::Steady, "{:?}", found);
        }
    }

    #[test]
    fn what_is_forgotten_is_found_as_soon_as_without_a_look(
        every in 50..500u64, seconds in 10..90u64, used in 0..2000u64, accepted: bool,
    ) {
        let end = seconds * 1000;
        let count = end / every;
        let last = |at: u64| (at + used).min(end);
        let without = socket_finding(every, count, end, accepted, None);
        let with = socket_finding(every, count, end, accepted, Some(&last));
        prop_assert!(verdict_of(&with) <= verdict_of(&without), "{:?} {:?}", with, without);
    }
}
