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
    before(&mut ledger, hour * MILLI, 10_000..10_600, Kind::File);
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
        judge.sample(now, &ledger, &ledger.running());
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
    before(&mut ledger, 5, 10..160, Kind::Socket);
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
