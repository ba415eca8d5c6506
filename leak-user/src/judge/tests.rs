//! Verdicts on histories whose truth is known.
#![allow(clippy::unwrap_used, reason = "tests")]

use leak_common::{Class, Handle, Kind, ProcessId};
use proptest::prelude::*;

use super::*;
use crate::event::{Acquired, Event, Executed, Forked, Released, SiteId};
use crate::ledger;

const PROCESS: ProcessId = ProcessId::new(7, 70);
const SITE: SiteId = SiteId(99);
const MILLI: Nanos = 1_000_000;
/// What is acquired at t is promoted at t + this.
const LATE: Nanos = 1200 * MILLI;

/// One resource: acquired, and released if it is, in milliseconds.
type Life = (u64, Option<u64>);

fn ledger(keep_exited: bool) -> Ledger {
    let mut ledger = Ledger::new(ledger::Config {
        keep_exited,
        ..ledger::Config::default()
    });
    ledger.apply(&Event::Executed(Executed {
        time: 0,
        process: PROCESS,
        comm: [0; 16],
    }));
    ledger
}

fn acquired(time: Nanos, kind: Kind, handle: Handle) -> Event {
    Event::Acquired(Acquired {
        time,
        process: PROCESS,
        kind,
        handle,
        site: SITE,
        size: 0,
        close_on_exec: false,
        kind_guessed: false,
        maybe_existed: false,
    })
}

fn descriptor(number: usize) -> Handle {
    Handle::new(Class::Descriptor, number as u64)
}

/// What the kernel side tells of these lives, in the order of its telling.
fn told(lives: &[Life]) -> Vec<(Nanos, Event)> {
    let mut events = Vec::new();
    for (number, &(from, to)) in lives.iter().enumerate() {
        let (time, handle) = (from * MILLI, descriptor(number));
        let to = to.map(|to| to * MILLI);
        if to.is_some_and(|to| to < time + LATE) {
            continue;
        }
        events.push((time + LATE, acquired(time, Kind::File, handle)));
        if let Some(to) = to {
            let released = Released {
                time: to,
                process: PROCESS,
                handle,
                acquired: None,
            };
            events.push((to, Event::Released(released)));
        }
    }
    events.sort_by_key(|(time, _)| *time);
    events
}

/// The finding after `end` milliseconds, sampled every `interval`.
fn finding(lives: &[Life], end: u64, interval: u64) -> Option<Judged> {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    let mut events = told(lives).into_iter().peekable();
    let mut now = 0;
    while now < end {
        now = (now + interval).min(end);
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now * MILLI) {
            ledger.apply(&event);
        }
        judge.sample(now * MILLI, &ledger);
    }
    check(&judge.findings(end * MILLI, 0, &ledger)).pop()
}

/// Asserts what holds of all findings.
fn check(findings: &[Judged]) -> Vec<Judged> {
    for finding in findings {
        assert!((0.0..=1.0).contains(&finding.confidence), "{finding:?}");
        assert!(finding.growth_per_second.is_finite() && finding.growth_per_second >= 0.0);
        assert!(finding.oldest_age.is_finite() && finding.oldest_age >= 0.0);
        assert!(!finding.evidence.is_empty());
    }
    assert!(findings.is_sorted_by(|a, b| order(a, b).is_le()));
    findings.to_vec()
}

fn verdict(lives: &[Life], end: u64, interval: u64) -> Verdict {
    finding(lives, end, interval).map_or(Verdict::Steady, |finding| finding.verdict)
}

fn ramp(from: u64, every: u64, count: u64) -> Vec<Life> {
    (0..count).map(|n| (from + n * every, None)).collect()
}

#[test]
fn a_ramp_is_a_leak_with_or_without_samples() {
    for interval in [200, 1000, 10_000] {
        let found = finding(&ramp(100, 700, 12), 10_000, interval).unwrap();
        assert_eq!(found.verdict, Verdict::Leak, "{interval} {found:?}");
        assert!(found.confidence > 0.6);
        let growth = found.growth_per_second;
        assert!((growth - 1.43).abs() < 0.4, "{growth}");
        assert_eq!(
            found.evidence[0],
            "12 acquired over 9.9 s and none released"
        );
        assert_eq!(found.samples.len(), 5);
    }
}

#[test]
fn a_young_ramp_is_suspect_and_says_what_it_waits_for() {
    let found = finding(&ramp(100, 200, 20), 4000, 500).unwrap();
    assert_eq!(found.verdict, Verdict::Suspect);
    assert!(
        found
            .evidence
            .iter()
            .any(|line| line.contains("needs 5.0 s")),
        "{found:?}"
    );
}

#[test]
fn a_burst_at_the_start_is_steady() {
    let found = finding(&ramp(100, 10, 50), 20_000, 1000).unwrap();
    assert_eq!(found.verdict, Verdict::Steady);
    assert_eq!(found.growth_per_second, 0.0);
    assert!(
        found
            .evidence
            .iter()
            .any(|line| line.contains("none since")),
        "{found:?}"
    );
}

#[test]
fn a_sawtooth_is_steady() {
    let lives: Vec<Life> = (0..40)
        .map(|n| (n * 500, Some((n * 500 / 5000 + 1) * 5000)))
        .collect();
    assert_eq!(verdict(&lives, 20_000, 250), Verdict::Steady);
}

#[test]
fn a_rotating_cache_is_steady() {
    let lives: Vec<Life> = (0..60).map(|n| (n * 500, Some(n * 500 + 4000))).collect();
    assert_eq!(verdict(&lives, 30_000, 500), Verdict::Steady);
}

#[test]
fn a_pool_that_fills_and_stays_is_steady() {
    assert_eq!(verdict(&ramp(0, 400, 10), 30_000, 1000), Verdict::Steady);
}

#[test]
fn a_leak_among_much_churn_is_a_leak() {
    // One in four stays, the others live for two seconds.
    let lives: Vec<Life> = (0..200)
        .map(|n| (n * 150, (n % 4 != 0).then_some(n * 150 + 2000)))
        .collect();
    let found = finding(&lives, 30_000, 500).unwrap();
    assert_eq!(found.verdict, Verdict::Leak, "{found:?}");
    assert!((found.growth_per_second - 1.67).abs() < 0.5, "{found:?}");
}

#[test]
fn what_was_there_before_the_window_does_not_grow_in_it() {
    let mut ledger = ledger(false);
    for (_, event) in told(&ramp(100, 500, 10)) {
        ledger.apply(&event);
    }
    let judge = Judge::new(Config::default());
    let late = judge.findings(60_000 * MILLI, 20_000 * MILLI, &ledger);
    assert_eq!(late[0].verdict, Verdict::Steady);
}

#[test]
fn a_loss_lowers_confidence() {
    let mut ledger = ledger(false);
    for (_, event) in told(&ramp(100, 700, 12)) {
        ledger.apply(&event);
    }
    let judge = Judge::new(Config::default());
    let before = judge.findings(10_000 * MILLI, 0, &ledger)[0].clone();
    ledger.lost(Some(PROCESS));
    let after = judge.findings(10_000 * MILLI, 0, &ledger)[0].clone();
    assert_eq!(before.verdict, Verdict::Leak);
    assert!(after.confidence < before.confidence);
}

fn at_exit(lives: &[Life], exit: u64) -> Judged {
    let mut ledger = ledger(true);
    let (before, after): (Vec<_>, Vec<_>) = told(lives)
        .into_iter()
        .partition(|(time, _)| *time < exit * MILLI);
    for (_, event) in before {
        ledger.apply(&event);
    }
    let time = exit * MILLI;
    ledger.apply(&Event::Exited {
        time,
        process: PROCESS,
    });
    for (_, event) in after {
        ledger.apply(&event);
    }
    ledger.horizon(time + 10 * SECOND);
    let judge = Judge::new(Config::default());
    let mut findings = check(&judge.findings(time + 10 * SECOND, 0, &ledger));
    let found = findings.pop().unwrap();
    assert_eq!(found.outstanding, lives.len() as u64);
    assert_eq!(found.exited, Some(time));
    found
}

#[test]
fn what_was_acquired_throughout_a_life_and_held_at_its_end_is_a_leak() {
    // Half of it arrives after the exit.
    let found = at_exit(&ramp(50, 200, 10), 2000);
    assert_eq!(found.verdict, Verdict::Leak, "{found:?}");
    assert!((found.growth_per_second - 5.0).abs() < 0.1);
}

#[test]
fn a_burst_or_a_single_one_held_at_exit_is_steady() {
    assert_eq!(at_exit(&ramp(50, 5, 10), 2000).verdict, Verdict::Steady);
    assert_eq!(at_exit(&[(1000, None)], 2000).verdict, Verdict::Steady);
    assert_eq!(at_exit(&ramp(1100, 100, 9), 2000).verdict, Verdict::Suspect);
}

#[test]
fn zombies_are_a_leak_one_is_a_suspicion_a_young_one_is_nothing() {
    let mut ledger = ledger(false);
    let mut fork = |number: u32| {
        let child = ProcessId::new(100 + number, 1);
        let time = u64::from(number) * 10 * MILLI;
        ledger.apply(&Event::Forked(Forked {
            time,
            parent: PROCESS,
            child,
            shares_files: false,
            shares_memory: false,
            comm: [0; 16],
        }));
        ledger.apply(&Event::Exited {
            time: time + MILLI,
            process: child,
        });
        ledger.apply(&acquired(
            time,
            Kind::Process,
            Handle::task(Class::Process, child),
        ));
    };
    fork(1);
    let one = fork_findings(&ledger, 12 * SECOND);
    assert_eq!(one, Verdict::Suspect);
    assert_eq!(fork_findings(&ledger, 5 * SECOND), Verdict::Steady);
    let mut ledger_of_two = ledger;
    for number in [2, 3] {
        let child = ProcessId::new(100 + number, 1);
        ledger_of_two.apply(&Event::Exited {
            time: 0,
            process: child,
        });
        let handle = Handle::task(Class::Process, child);
        ledger_of_two.apply(&Event::Forked(Forked {
            time: 20 * MILLI,
            parent: PROCESS,
            child,
            shares_files: false,
            shares_memory: false,
            comm: [0; 16],
        }));
        ledger_of_two.apply(&acquired(20 * MILLI, Kind::Process, handle));
        ledger_of_two.apply(&Event::Exited {
            time: 30 * MILLI,
            process: child,
        });
    }
    assert_eq!(fork_findings(&ledger_of_two, 12 * SECOND), Verdict::Leak);
}

fn fork_findings(ledger: &Ledger, now: Nanos) -> Verdict {
    let findings = check(&Judge::new(Config::default()).findings(now, 0, ledger));
    findings[0].verdict
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_even_leak_is_called_one(
        start in 0_u64..3000,
        every in 200_u64..1500,
        seconds in 12_u64..60,
        noise in prop::collection::vec(0_u64..100, 300),
        interval in prop::sample::select(vec![250_u64, 1000, 100_000]),
    ) {
        let end = seconds * 1000;
        let lives: Vec<Life> = (0..300_usize)
            .map(|n| (start + n as u64 * every + noise[n] * every / 300, None))
            .take_while(|&(time, _)| time < end)
            .collect();
        let found = finding(&lives, end, interval).unwrap();
        prop_assert_eq!(found.verdict, Verdict::Leak, "{:?}", found);
    }

    #[test]
    fn a_plateau_with_turnover_is_no_leak(
        held in 1_u64..40,
        life in 1500_u64..8000,
        noise in prop::collection::vec(0_u64..1000, 400),
        interval in prop::sample::select(vec![250_u64, 1000, 100_000]),
    ) {
        // `held` at a time, each replaced at the end of its life.
        let mut lives: Vec<Life> = Vec::new();
        for slot in 0..held {
            let mut from = slot * 10;
            for turn in 0..400_u64 {
                let to = from + life + noise[((slot * 7 + turn) % 400) as usize];
                lives.push((from, Some(to)));
                from = to + 20;
                if from > 40_000 {
                    break;
                }
            }
        }
        prop_assert_ne!(verdict(&lives, 40_000, interval), Verdict::Leak);
    }

    #[test]
    fn a_burst_is_steady_whatever_its_size(
        start in 0_u64..5000,
        width in 1_u64..2000,
        count in 1_u64..200,
        interval in prop::sample::select(vec![250_u64, 1000, 100_000]),
    ) {
        let lives: Vec<Life> = (0..count).map(|n| (start + n * width / count, None)).collect();
        prop_assert_eq!(verdict(&lives, 20_000, interval), Verdict::Steady);
    }

    #[test]
    fn a_sawtooth_is_no_leak(
        every in 100_u64..600,
        period in 3000_u64..9000,
        interval in prop::sample::select(vec![250_u64, 1000]),
    ) {
        let lives: Vec<Life> = (0..)
            .map(|n| (n * every, Some((n * every / period + 1) * period)))
            .take_while(|&(time, _)| time < 40_000)
            .collect();
        prop_assert_ne!(verdict(&lives, 40_000, interval), Verdict::Leak);
    }

    #[test]
    fn no_history_and_no_clock_makes_it_panic(
        lives in prop::collection::vec((any::<u64>(), prop::option::of(any::<u64>())), 0..60),
        clock in prop::collection::vec((any::<u64>(), any::<u64>()), 1..20),
    ) {
        let mut ledger = ledger(true);
        let mut judge = Judge::new(Config::default());
        for (number, (from, to)) in lives.into_iter().enumerate() {
            ledger.apply(&acquired(from, Kind::File, descriptor(number)));
            if let Some(time) = to {
                let handle = descriptor(number);
                let released = Released { time, process: PROCESS, handle, acquired: None };
                ledger.apply(&Event::Released(released));
            }
        }
        for (now, start) in clock {
            judge.sample(now, &ledger);
            check(&judge.findings(now, start, &ledger));
        }
        ledger.apply(&Event::Exited { time: 5, process: PROCESS });
        check(&judge.findings(u64::MAX, 0, &ledger));
    }
}
