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

/// The worst verdict of a history at any of `ends`, in milliseconds.
fn worst(lives: &[Life], ends: &[u64]) -> (Verdict, Option<Judged>) {
    let found = ends.iter().filter_map(|&end| {
        let known: Vec<Life> = lives
            .iter()
            .filter(|life| life.0 < end)
            .map(|&(from, to)| (from, to.filter(|&to| to < end)))
            .collect();
        finding(&known, end, 1000)
    });
    let worst = found.min_by_key(|found| found.verdict);
    (
        worst
            .as_ref()
            .map_or(Verdict::Steady, |found| found.verdict),
        worst,
    )
}

#[test]
fn five_a_second_are_a_leak_within_twenty_seconds_with_or_without_samples() {
    for interval in [200, 1000, 10_000, 100_000] {
        let found = finding(&ramp(100, 200, 100), 20_000, interval).unwrap();
        assert_eq!(found.verdict, Verdict::Leak, "{interval} {found:?}");
        // Not compared with /proc yet.
        assert!(found.confidence >= 0.9 * 0.8);
        let growth = found.growth_per_second;
        assert!((growth - 5.0).abs() < 1.0, "{growth}");
        assert_eq!(
            found.evidence[0],
            "94 acquired over 19.9 s and none released"
        );
        assert_eq!(found.samples.len(), 5);
        assert_eq!(found.rule, "growth");
    }
}

#[test]
fn one_a_second_is_suspect_at_first_and_says_what_it_waits_for() {
    let lives = ramp(100, 1000, 60);
    let found = finding(&lives, 20_000, 1000).unwrap();
    assert_eq!(found.verdict, Verdict::Suspect, "{found:?}");
    let waits = found.waits_for.unwrap();
    assert!(
        waits.starts_with("a leak if it goes on like this for "),
        "{waits}"
    );
    let found = finding(&lives, 60_000, 1000).unwrap();
    assert_eq!((found.verdict, found.waits_for), (Verdict::Leak, None));
}

#[test]
fn a_process_that_has_run_for_long_needs_less_growth() {
    let minute = 60_000;
    let lives = ramp(minute + 30_000, 150, 1000);
    let lives: Vec<Life> = lives
        .into_iter()
        .filter(|life| life.0 < 2 * minute)
        .collect();
    let mut judge = Judge::new(Config::default());
    let mut ledger = ledger(false);
    ledger.baseline(&crate::ledger::BaselineProcess {
        id: PROCESS,
        parent: None,
        comm: [0; 16],
        time: 90_000 * MILLI,
        descriptors: Vec::new(),
        mappings: Vec::new(),
        threads: Vec::new(),
        children: Vec::new(),
    });
    let mut verdicts = Vec::new();
    let mut events = told(&lives).into_iter().peekable();
    for now in (91_000..=110_000).step_by(1000).map(|now| now * MILLI) {
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now) {
            ledger.apply(&event);
        }
        judge.sample(now, &ledger);
        let found = judge.findings(now, 90_000 * MILLI, &ledger);
        verdicts.extend(check(&found).first().map(|found| found.verdict));
    }
    let leak = verdicts
        .iter()
        .position(|&verdict| verdict == Verdict::Leak);
    assert!(
        leak.is_some_and(|second| (5..11).contains(&second)),
        "{verdicts:?}"
    );
}

#[test]
fn a_leak_as_old_as_its_process_is_known_by_what_was_there_before() {
    let hour = 3_600_000;
    let mut ledger = ledger(false);
    ledger.baseline(&crate::ledger::BaselineProcess {
        id: PROCESS,
        parent: None,
        comm: [0; 16],
        time: hour * MILLI,
        descriptors: (10_000..13_600).map(|fd| (fd, Kind::File)).collect(),
        mappings: Vec::new(),
        threads: Vec::new(),
        children: Vec::new(),
    });
    for (_, event) in told(&ramp(hour + 100, 500, 20)) {
        ledger.apply(&event);
    }
    let judge = Judge::new(Config::default());
    let found = judge.findings((hour + 11_500) * MILLI, hour * MILLI, &ledger);
    assert_eq!(found[0].verdict, Verdict::Leak, "{:?}", found[0]);
    assert!(
        found[0]
            .evidence
            .iter()
            .any(|line| line.starts_with("3600 were there before"))
    );
}

#[test]
fn what_replaces_as_many_from_before_is_steady() {
    let hour = 3_600_000;
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    ledger.baseline(&crate::ledger::BaselineProcess {
        id: PROCESS,
        parent: None,
        comm: [0; 16],
        time: hour * MILLI,
        descriptors: (10_000..10_600).map(|fd| (fd, Kind::File)).collect(),
        mappings: Vec::new(),
        threads: Vec::new(),
        children: Vec::new(),
    });
    let mut found = Vec::new();
    for second in 1..30_u64 {
        let now = (hour + second * 1000) * MILLI;
        for n in 0..10 {
            let new = descriptor((second * 10 + n) as usize);
            ledger.apply(&acquired(now - 900 * MILLI, Kind::File, new));
            let handle = descriptor((10_000 + second * 10 + n) as usize);
            let released = Released {
                time: now,
                process: PROCESS,
                handle,
                acquired: None,
            };
            ledger.apply(&Event::Released(released));
        }
        judge.sample(now, &ledger);
        found = check(&judge.findings(now, hour * MILLI, &ledger));
    }
    assert_eq!(found[0].verdict, Verdict::Steady, "{:?}", found[0]);
    assert!(
        found[0]
            .evidence
            .iter()
            .any(|line| line.contains("holds no more"))
    );
}

#[test]
fn one_leak_by_many_ways_is_found_and_the_largest_speaks() {
    let mut ledger = ledger(false);
    for n in 0..120_u64 {
        let site = SiteId(1000 + n % 40);
        ledger.apply(&Event::Site(crate::event::Site {
            time: n * 200 * MILLI,
            process: PROCESS,
            kind: Kind::File,
            id: site,
            tid: 7,
            frames: [10, 20, 30, 1000 + n % 40, 50].into(),
            end: leak_common::wire::StackEnd::Complete,
        }));
        let Event::Acquired(mut one) =
            acquired(n * 200 * MILLI, Kind::File, descriptor(n as usize))
        else {
            unreachable!()
        };
        one.site = site;
        ledger.apply(&Event::Acquired(one));
    }
    let found = check(&Judge::new(Config::default()).findings(25_000 * MILLI, 0, &ledger));
    assert_eq!(found[0].verdict, Verdict::Leak, "{:?}", found[0]);
    assert_eq!(found[0].rule, "growth-by-many-ways");
    assert!(
        found[1..]
            .iter()
            .all(|found| found.verdict != Verdict::Leak)
    );
}

#[test]
fn a_tracer_that_had_to_wait_takes_no_silence_for_an_end() {
    let mut ledger = ledger(false);
    for (_, event) in told(&ramp(100, 150, 100)) {
        ledger.apply(&event);
    }
    // All until 15 s is known; the report is made at 25 s.
    ledger.horizon(15_000 * MILLI);
    let judge = Judge::new(Config::default());
    let found = check(&judge.findings(25_000 * MILLI, 0, &ledger));
    assert_eq!(found[0].verdict, Verdict::Leak, "{:?}", found[0]);
}

#[test]
fn a_program_that_executes_itself_leaks_as_one() {
    let mut ledger = ledger(false);
    for n in 0..240_u64 {
        let site = SiteId(1000 + n);
        ledger.apply(&Event::Site(crate::event::Site {
            time: n * 200 * MILLI,
            process: PROCESS,
            kind: Kind::File,
            id: site,
            tid: 7,
            frames: [10 + n, 20 + n, 30 + n].into(),
            end: leak_common::wire::StackEnd::Complete,
        }));
        let one = acquired(n * 200 * MILLI, Kind::File, descriptor(n as usize));
        if let Event::Acquired(one) = one {
            ledger.apply(&Event::Acquired(Acquired { site, ..one }));
        }
    }
    let found = check(&Judge::new(Config::default()).findings(49_000 * MILLI, 0, &ledger));
    assert_eq!(found[0].verdict, Verdict::Leak, "{:?}", found[0]);
    assert!(
        found[0]
            .evidence
            .iter()
            .any(|line| line.contains("239 other places"))
    );
    assert!(
        found[1..]
            .iter()
            .all(|found| found.verdict != Verdict::Leak)
    );
}

#[test]
fn sockets_that_wait_for_their_owners_close_are_a_leak_if_there_are_ever_more() {
    for (number, verdict) in [(1, Verdict::Suspect), (6, Verdict::Leak)] {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        for n in 0..number {
            ledger.apply(&acquired(n * SECOND, Kind::Socket, descriptor(n as usize)));
        }
        for second in 1..=20 {
            let closed = (0..number).filter(|&n| n < second);
            judge.observe(&Observation {
                time: second * SECOND,
                process: PROCESS,
                close_wait: closed
                    .map(|n| (descriptor(n as usize), format!("10.0.0.7:{}", 4000 + n)))
                    .collect(),
                watches: Vec::new(),
            });
        }
        let found = check(&judge.findings(20 * SECOND, 0, &ledger));
        assert_eq!(
            (found[0].verdict, found[0].rule),
            (verdict, "close-wait"),
            "{:?}",
            found[0]
        );
        let told = |line: &String| line.contains("CLOSE_WAIT for up to 19.0 s: the peer (10.0.0.7");
        assert!(found[0].evidence.iter().any(told), "{:?}", found[0]);
    }
}

#[test]
fn sockets_from_before_the_trace_that_nobody_closes_have_a_finding() {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    ledger.baseline(&crate::ledger::BaselineProcess {
        id: PROCESS,
        parent: None,
        comm: [0; 16],
        time: 5,
        descriptors: (10..160).map(|fd| (fd, Kind::Socket)).collect(),
        mappings: Vec::new(),
        threads: Vec::new(),
        children: Vec::new(),
    });
    for second in [1, 20] {
        judge.observe(&Observation {
            time: second * SECOND,
            process: PROCESS,
            close_wait: (10..160)
                .map(|fd| (descriptor(fd), "192.0.2.1:80".to_owned()))
                .collect(),
            watches: Vec::new(),
        });
    }
    let found = check(&judge.findings(20 * SECOND, 0, &ledger));
    assert_eq!(
        (found[0].verdict, found[0].outstanding),
        (Verdict::Leak, 150),
        "{found:?}"
    );
}

#[test]
fn an_inotify_descriptor_that_gets_ever_more_watches_is_a_leak() {
    for (per_second, verdict) in [(0, Verdict::Steady), (5, Verdict::Leak)] {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        ledger.apply(&acquired(0, Kind::Inotify, descriptor(3)));
        for second in 1..=30 {
            judge.observe(&Observation {
                time: second * SECOND,
                process: PROCESS,
                close_wait: Vec::new(),
                watches: vec![(descriptor(3), 10 + second * per_second)],
            });
        }
        let found = check(&judge.findings(30 * SECOND, 0, &ledger));
        assert_eq!(found[0].verdict, verdict, "{:?}", found[0]);
    }
}

#[test]
fn descriptors_that_started_programs_inherited_are_a_leak_if_there_are_ever_more() {
    let mut ledger = ledger(false);
    let mut now = 0;
    for n in 0..10_u64 {
        now = n * 2 * SECOND;
        let child = ProcessId::new(100 + n as u32, 200);
        let handle = descriptor(3);
        ledger.apply(&acquired(now, Kind::File, handle));
        ledger.apply(&Event::Forked(Forked {
            time: now + MILLI,
            parent: PROCESS,
            child,
            shares_files: false,
            shares_memory: false,
            comm: [0; 16],
        }));
        ledger.apply(&Event::Executed(Executed {
            time: now + 2 * MILLI,
            process: child,
            comm: [0; 16],
        }));
        let released = Released {
            time: now + 3 * MILLI,
            process: PROCESS,
            handle,
            acquired: None,
        };
        ledger.apply(&Event::Released(released));
    }
    let found = check(&Judge::new(Config::default()).findings(now + 4 * SECOND, 0, &ledger));
    assert_eq!(
        (found[0].verdict, found[0].rule),
        (Verdict::Leak, "inherited"),
        "{found:?}"
    );
    assert_eq!(found[0].process, PROCESS);
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
    assert_eq!(found.verdict, Verdict::Suspect, "{found:?}");
    let lives: Vec<Life> = (0..400)
        .map(|n| (n * 150, (n % 4 != 0).then_some(n * 150 + 2000)))
        .collect();
    let found = finding(&lives, 60_000, 500).unwrap();
    assert_eq!(found.verdict, Verdict::Leak, "{found:?}");
    assert!(found.evidence[1].starts_with("what it releases is released within 4.0 s"));
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
    for (_, event) in told(&ramp(100, 100, 200)) {
        ledger.apply(&event);
    }
    let judge = Judge::new(Config::default());
    let before = judge.findings(20_000 * MILLI, 0, &ledger)[0].clone();
    ledger.lost(Some(PROCESS));
    let after = judge.findings(20_000 * MILLI, 0, &ledger)[0].clone();
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

/// The finding on children that died at these seconds and were not reaped.
fn zombies(died: &[u64], now: u64) -> Judged {
    let mut ledger = ledger(false);
    for (number, &second) in died.iter().enumerate() {
        let child = ProcessId::new(100 + number as u32, 1);
        let time = second * SECOND;
        ledger.apply(&Event::Forked(Forked {
            time,
            parent: PROCESS,
            child,
            shares_files: false,
            shares_memory: false,
            comm: [0; 16],
        }));
        let handle = Handle::task(Class::Process, child);
        ledger.apply(&acquired(time, Kind::Process, handle));
        ledger.apply(&Event::Exited {
            time: time + MILLI,
            process: child,
        });
    }
    let judge = Judge::new(Config::default());
    check(&judge.findings(now * SECOND, 0, &ledger)).remove(0)
}

#[test]
fn ever_more_zombies_are_a_leak_one_is_a_suspicion_a_young_one_is_nothing() {
    assert_eq!(zombies(&[1], 5).verdict, Verdict::Steady);
    assert_eq!(zombies(&[1], 12).verdict, Verdict::Suspect);
    // A batch that nobody has come to wait for yet.
    assert_eq!(zombies(&[1, 1, 1, 1], 20).verdict, Verdict::Suspect);
    assert_eq!(zombies(&[1, 1], 90).verdict, Verdict::Leak);
    let found = zombies(&[1, 2, 3, 4], 20);
    assert_eq!((found.verdict, found.rule), (Verdict::Leak, "zombies"));
}

/// `held` at a time until `end`, each replaced at the end of its life.
fn turnover(held: u64, life: u64, noise: &[u64], end: u64) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for slot in 0..held {
        let mut from = slot * 10;
        let mut turn = 0;
        while from < end {
            let to = from + life + noise[((slot * 7 + turn) % noise.len() as u64) as usize];
            lives.push((from, Some(to)));
            from = to + 20;
            turn += 1;
        }
    }
    lives
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_even_leak_is_called_one(
        start in 0_u64..1000,
        every in prop_oneof![Just(40_u64), Just(100), Just(190), 200_u64..2500, 2500_u64..5000],
        noise in prop::collection::vec(0_u64..100, 700),
        interval in prop::sample::select(vec![250_u64, 1000, 100_000]),
    ) {
        // Fast ones within twenty seconds, slow ones within sixty.
        let end = if every <= 190 { 20_000 } else { 60_000 };
        let lives: Vec<Life> = (0..700_usize)
            .map(|n| (start + n as u64 * every + noise[n] * every / 150, None))
            .take_while(|&(time, _)| time < end)
            .collect();
        let found = finding(&lives, end, interval).unwrap();
        prop_assert_eq!(found.verdict, Verdict::Leak, "{:?}", found);
    }

    #[test]
    fn a_pool_that_fills_is_never_a_leak(
        every in 200_u64..3000,
        bound in 1_u64..31,
        start in 0_u64..5000,
    ) {
        let lives = ramp(start, every, bound);
        let ends = [5_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000];
        let full = start + every * bound;
        let ends: Vec<u64> = ends.into_iter().filter(|&end| end < 25_000 || end > full + full / 2).collect();
        let (verdict, found) = worst(&lives, &ends);
        prop_assert_ne!(verdict, Verdict::Leak, "{:?}", found);
        // In the end it is nothing any more.
        let end = 4 * (start + every * bound) + 60_000;
        prop_assert_eq!(super::tests::verdict(&lives, end, 1000), Verdict::Steady);
    }

    #[test]
    fn a_start_of_fifteen_seconds_is_no_leak_in_the_windows_that_people_use(
        every in 20_u64..1000,
        length in 1_000_u64..15_000,
    ) {
        let lives: Vec<Life> = ramp(0, every, length / every);
        let (verdict, found) = worst(&lives, &[5_000, 10_000, 20_000, 60_000, 120_000]);
        prop_assert_ne!(verdict, Verdict::Leak, "{:?}", found);
    }

    #[test]
    fn a_leak_among_turnover_is_found(
        every in 500_u64..2000,
        held in 1_u64..20,
        life in 1500_u64..4000,
        noise in prop::collection::vec(0_u64..1000, 400),
    ) {
        let mut lives = turnover(held, life, &noise, 60_000);
        lives.extend(ramp(50, every, 60_000 / every));
        let found = finding(&lives, 60_000, 1000).unwrap();
        prop_assert_eq!(found.verdict, Verdict::Leak, "{:?}", found);
    }

    #[test]
    fn more_of_the_same_is_never_less_of_a_leak(
        every in 100_u64..3000,
        times in 2_u64..5,
        end in 5_000_u64..90_000,
    ) {
        let less = finding(&ramp(0, every, end / every), end, 1000);
        let more = finding(&ramp(0, every / times, end * times / every), end, 1000);
        if let (Some(less), Some(more)) = (less, more) {
            prop_assert!(more.verdict <= less.verdict, "{:?} {:?}", less, more);
            if more.verdict == Verdict::Leak && less.verdict == Verdict::Leak {
                prop_assert!(more.confidence >= less.confidence - 0.02, "{:?} {:?}", less, more);
            }
        }
    }

    #[test]
    fn a_suspicion_becomes_a_leak_or_steady(every in 500_u64..4000, stops in any::<bool>()) {
        let count = if stops { 6 } else { 600_000 / every };
        let lives = ramp(0, every, count);
        let end = if stops { 40 * every + 60_000 } else { 120_000 };
        let lives: Vec<Life> = lives.into_iter().filter(|life| life.0 < end).collect();
        let expected = if stops { Verdict::Steady } else { Verdict::Leak };
        prop_assert_eq!(verdict(&lives, end, 1000), expected);
    }

    #[test]
    fn a_plateau_with_turnover_is_no_leak(
        held in 1_u64..40,
        life in 1500_u64..8000,
        noise in prop::collection::vec(0_u64..1000, 400),
    ) {
        let lives = turnover(held, life, &noise, 130_000);
        let (verdict, found) = worst(&lives, &[5_000, 10_000, 20_000, 40_000, 60_000, 120_000]);
        prop_assert_ne!(verdict, Verdict::Leak, "{:?}", found);
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
        every in 150_u64..600,
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
