//! Claims on single histories.

use super::*;

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
    before(&mut ledger, 90_000 * MILLI, 0..0, Kind::File);
    let mut verdicts = Vec::new();
    let mut events = told(&lives).into_iter().peekable();
    for now in (91_000..=110_000).step_by(1000).map(|now| now * MILLI) {
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now) {
            ledger.apply(&event);
        }
        judge.sample(now, &ledger, &ledger.running());
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
    before(&mut ledger, hour * MILLI, 10_000..13_600, Kind::File);
    for (_, event) in told(&ramp(hour + 100, 500, 20)) {
        ledger.apply(&event);
    }
    let judge = Judge::new(Config::default());
    let found = judge.findings((hour + 11_500) * MILLI, hour * MILLI, &ledger);
    assert_eq!(found[0].verdict, Verdict::Leak, "{:?}", found[0]);
    let told = |line: &String| line.starts_with("3600 were there before");
    assert!(found[0].evidence.iter().any(told), "{:?}", found[0]);
}

#[test]
fn what_replaces_as_many_from_before_is_steady() {
    let hour = 3_600_000;
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    before(&mut ledger, hour * MILLI, 10_000..10_600, Kind::File);
    let mut found = Vec::new();
    for second in 1..30_u64 {
        let now = (hour + second * 1000) * MILLI;
        for n in 0..10 {
            let new = descriptor((second * 10 + n) as usize);
            ledger.apply(&acquired(now - 900 * MILLI, Kind::File, new));
            let handle = descriptor((10_000 + second * 10 + n) as usize);
            ledger.apply(&released(now, handle));
        }
        judge.sample(now, &ledger, &ledger.running());
        found = check(&judge.findings(now, hour * MILLI, &ledger));
    }
    assert_eq!(found[0].verdict, Verdict::Steady, "{:?}", found[0]);
    says(&found[0], "holds no more");
}

#[test]
fn one_leak_by_many_ways_is_found_and_the_largest_speaks() {
    let mut ledger = ledger(false);
    for n in 0..120_u64 {
        let site = SiteId(1000 + n % 40);
        acquired_at(
            &mut ledger,
            n * 200 * MILLI,
            (site, &[10, 20, 30, 1000 + n % 40, 50]),
            descriptor(n as usize),
        );
    }
    let found = check(&Judge::new(Config::default()).findings(25_000 * MILLI, 0, &ledger));
    one_leak(&found);
    assert_eq!(found[0].rule, "growth-by-many-ways");
    let mut others: Vec<SiteKey> = found[1..].iter().map(|judged| judged.key).collect();
    let mut ways = found[0].ways.clone();
    others.sort();
    ways.sort();
    assert_eq!(ways, others);
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
        acquired_at(
            &mut ledger,
            n * 200 * MILLI,
            (site, &[10 + n, 20 + n, 30 + n]),
            descriptor(n as usize),
        );
    }
    let found = check(&Judge::new(Config::default()).findings(49_000 * MILLI, 0, &ledger));
    one_leak(&found);
    says(&found[0], "239 other places");
}

#[test]
fn a_burst_at_the_start_is_steady() {
    let found = finding(&ramp(100, 10, 50), 20_000, 1000).unwrap();
    assert_eq!(found.verdict, Verdict::Steady);
    assert_eq!(found.growth_per_second, 0.0);
    says(&found, "none since");
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

pub(super) fn at_exit(lives: &[Life], exit: u64) -> Judged {
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
