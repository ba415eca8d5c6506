//! Growth that ends because calls fail, and what only looks like it.

use super::*;
use crate::event::{Call, Failed};
use crate::model::refusal::Refusal;

fn refused_at(millis: u64, kind: Kind) -> Failed {
    Failed {
        time: millis * MILLI,
        process: PROCESS,
        kind,
        site: SITE,
        size: 0,
        call: Call::System(257),
        error: Refusal::Files,
        tid: 7,
    }
}

/// The finding after `end` milliseconds, with a call refused meanwhile.
fn with_refusal(lives: &[Life], failed: &Failed, end: u64) -> Judged {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    let mut events = told(lives).into_iter().peekable();
    let mut now = 0;
    while now < end {
        now = (now + 1000).min(end);
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now * MILLI) {
            ledger.apply(&event);
        }
        if failed.time <= now * MILLI {
            judge.refused(failed);
        }
        judge.sample(now * MILLI, &ledger, &ledger.running());
    }
    check(&judge.findings(end * MILLI, 0, &ledger))
        .pop()
        .unwrap()
}

#[test]
fn a_leak_that_has_reached_its_limit_is_one_with_the_numbers_of_that_time() {
    // Twenty a second up to 290, which takes 14.5 s; then every call fails.
    let lives = ramp(0, 50, 290);
    assert_eq!(verdict(&lives, 60_000, 1000), Verdict::Steady);
    for end in [20_000, 60_000, 600_000] {
        let found = with_refusal(&lives, &refused_at(14_500, Kind::File), end);
        assert_eq!((found.verdict, found.rule), (Verdict::Leak, "wall"));
        says(&found, "290 acquired over 14.5 s and none released");
        says(&found, "EMFILE");
        assert!((found.growth_per_second - 20.0).abs() < 1.0, "{found:?}");
        assert!(found.observed < 15.0, "{found:?}");
    }
}

#[test]
fn a_slow_leak_that_has_reached_a_low_limit_is_one() {
    let found = with_refusal(&ramp(0, 125, 115), &refused_at(14_375, Kind::File), 60_000);
    assert_eq!(found.verdict, Verdict::Leak, "{found:?}");
}

#[test]
fn a_pool_that_was_full_long_before_a_call_failed_stays_steady() {
    // Filled within two seconds; something else ran into the limit half a minute later.
    let found = with_refusal(&ramp(0, 20, 100), &refused_at(30_000, Kind::Socket), 60_000);
    assert_eq!(found.verdict, Verdict::Steady, "{found:?}");
}

#[test]
fn what_is_given_back_after_a_refusal_was_no_leak() {
    // A burst of connections that ran into the limit and was over five seconds later.
    let lives: Vec<Life> = (0..290).map(|n| (n * 50, Some(20_000 + n * 5))).collect();
    let half: Vec<Life> = lives
        .iter()
        .enumerate()
        .map(|(n, &(from, to))| (from, to.filter(|_| n % 2 == 0)))
        .collect();
    for lives in [lives, half] {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        for (time, event) in told(&lives) {
            ledger.apply(&event);
            judge.sample(time, &ledger, &ledger.running());
        }
        judge.refused(&refused_at(14_500, Kind::File));
        let found = check(&judge.findings(60_000 * MILLI, 0, &ledger));
        let worst = found.iter().map(|one| one.verdict).min();
        assert!(
            worst.is_none_or(|worst| worst == Verdict::Steady),
            "{found:?}"
        );
    }
}

#[test]
fn turnover_at_the_limit_is_no_leak() {
    // A busy server: full after ten seconds, and each connection is replaced after five.
    let lives: Vec<Life> = (0..2400).map(|n| (n * 25, Some(n * 25 + 5000))).collect();
    let found = with_refusal(&lives, &refused_at(10_000, Kind::File), 60_000);
    assert_eq!(found.verdict, Verdict::Steady, "{found:?}");
}

#[test]
fn instances_of_inotify_have_a_limit_of_their_own() {
    let lives = ramp(0, 50, 290);
    let found = with_refusal(&lives, &refused_at(14_500, Kind::Inotify), 60_000);
    assert_eq!(found.verdict, Verdict::Steady, "{found:?}");
}

#[test]
fn a_leak_by_many_ways_that_has_reached_its_limit_is_one() {
    // Ten ways of two a second each, up to 290; then every call fails.
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    for n in 0..290_u64 {
        let time = n * 50 * MILLI;
        let way = SiteId(1000 + n % 10);
        let frames = [1, 2, 3, 100 + n % 10];
        acquired_at(&mut ledger, time, (way, &frames), descriptor(n as usize));
        judge.sample(time, &ledger, &ledger.running());
    }
    for end in [20_000, 60_000] {
        judge.sample(end * MILLI, &ledger, &ledger.running());
        let found = check(&judge.findings(end * MILLI, 0, &ledger));
        if end == 60_000 {
            assert!(
                found.iter().all(|one| one.verdict == Verdict::Steady),
                "{found:?}"
            );
        }
    }
    judge.refused(&refused_at(14_500, Kind::File));
    let found = check(&judge.findings(60_000 * MILLI, 0, &ledger));
    one_leak(&found);
    assert_eq!(found[0].rule, "growth-by-many-ways");
    says(&found[0], "EMFILE");
}

#[test]
fn a_process_that_dies_of_its_limit_leaked_until_then() {
    for closes in [false, true] {
        let mut ledger = ledger(true);
        let mut judge = Judge::new(Config::default());
        // Eight a second up to 115, which is too few for a young process without a refusal.
        for n in 0..115_u64 {
            ledger.apply(&acquired(
                n * 125 * MILLI,
                Kind::File,
                descriptor(n as usize),
            ));
            judge.sample(n * 125 * MILLI, &ledger, &ledger.running());
        }
        judge.refused(&refused_at(14_375, Kind::File));
        // The last second's are released in silence.
        for n in 0..107 {
            if closes {
                ledger.apply(&released(14_380 * MILLI, descriptor(n)));
            }
        }
        ledger.apply(&Event::Exited {
            time: 14_400 * MILLI,
            process: PROCESS,
        });
        judge.sample(15_000 * MILLI, &ledger, &ledger.running());
        one_leak(&check(&judge.findings(16_000 * MILLI, 0, &ledger)));
    }
}
