//! What a process closes before it exits, and what only looks like it.

use super::*;

/// A process that acquires these and exits at a time, in milliseconds.
struct Run {
    lives: Vec<Life>,
    exit: u64,
}

impl Run {
    /// Acquires one every so often until `until`, and closes all of them within `takes` before
    /// it exits at `exit`.
    fn closing(every: u64, until: u64, exit: u64, takes: u64) -> Run {
        let times: Vec<u64> = (0..until / every).map(|n| n * every).collect();
        let number = times.len() as u64;
        let closed = |n: usize| exit - takes + takes * n as u64 / number.max(1);
        let lives = times.iter().enumerate();
        Run {
            lives: lives.map(|(n, &at)| (at, Some(closed(n)))).collect(),
            exit,
        }
    }

    fn findings(&self) -> Vec<Judged> {
        let mut ledger = ledger(true);
        let mut judge = Judge::new(Config::default());
        let mut events = told(&self.lives);
        let exited = Event::Exited {
            time: self.exit * MILLI,
            process: PROCESS,
        };
        events.push((self.exit * MILLI, exited));
        // What had not arrived is told late.
        events.sort_by_key(|(time, _)| *time);
        let mut events = events.into_iter().peekable();
        let end = self.exit + 2000;
        let mut now = 0;
        while now < end {
            now = (now + 1000).min(end);
            while let Some((_, event)) = events.next_if(|(time, _)| *time <= now * MILLI) {
                ledger.apply(&event);
            }
            ledger.horizon((now * MILLI).saturating_sub(LATE));
            judge.sample(now * MILLI, &ledger, &ledger.running());
        }
        check(&judge.findings(end * MILLI, 0, &ledger))
    }

    fn verdict(&self) -> Verdict {
        let worst = self.findings().into_iter().map(|found| found.verdict).min();
        worst.unwrap_or(Verdict::Steady)
    }
}

#[test]
fn what_is_closed_in_the_rush_before_an_exit_counts_as_held_until_then() {
    // Ten a second for twelve seconds, closed within a millisecond or a few seconds.
    for takes in [1, 100, 3000] {
        let found = Run::closing(100, 12_000, 12_010 + takes, takes).findings();
        one_leak(&found);
        says(&found[0], "before the process exited");
        assert_eq!(found[0].rule, "held-at-exit");
        assert!((found[0].growth_per_second - 10.0).abs() < 1.0, "{found:?}");
        // The last second's were released in silence.
        assert!((105..=120).contains(&found[0].outstanding), "{found:?}");
        assert_eq!(found[0].released + found[0].outstanding, found[0].acquired);
    }
}

#[test]
fn a_short_life_shows_a_leak_if_it_leaks_throughout() {
    assert_eq!(Run::closing(100, 4000, 4005, 1).verdict(), Verdict::Leak);
    // Too few of them, or too short to tell from work that was done.
    assert_ne!(Run::closing(250, 4000, 4005, 1).verdict(), Verdict::Leak);
    assert_ne!(Run::closing(20, 2500, 2505, 1).verdict(), Verdict::Leak);
}

#[test]
fn a_program_may_end_shortly_after_its_last_acquisition() {
    // As a test runner that writes its report.
    let found = Run::closing(50, 15_000, 16_500, 1).findings();
    one_leak(&found);
    assert_eq!(
        Run::closing(50, 15_000, 25_000, 1).verdict(),
        Verdict::Steady
    );
}

#[test]
fn what_is_held_by_design_and_closed_at_the_end_is_nothing_to_speak_of() {
    // Thirty files from the start on.
    assert_eq!(Run::closing(1, 30, 10_000, 1).findings(), []);
    // A pool that fills for a while and is closed long after.
    assert_eq!(Run::closing(100, 8000, 40_000, 500).findings(), []);
}

#[test]
fn a_phase_of_work_that_ends_long_before_the_exit_is_not_its_end() {
    // All of it is closed within a second, eight seconds before the exit.
    let mut run = Run::closing(100, 15_000, 16_000, 900);
    run.exit = 24_000;
    assert_eq!(run.findings(), []);
}

#[test]
fn connections_that_come_and_go_are_no_leak_though_the_last_go_at_the_exit() {
    // Each lives for five seconds; the exit ends what is left.
    let lives = (0..600).map(|n| (n * 50, Some((n * 50 + 5000).min(30_000 + n / 100))));
    let run = Run {
        lives: lives.collect(),
        exit: 30_010,
    };
    assert_ne!(run.verdict(), Verdict::Leak);
}

#[test]
fn a_leak_among_connections_that_come_and_go_is_seen_at_the_exit() {
    // Every third one is forgotten until the end.
    let life = |n: u64| match n % 3 {
        0 => 40_000 + n / 100,
        _ => n * 50 + 3000,
    };
    let run = Run {
        lives: (0..800)
            .map(|n| (n * 50, Some(life(n).min(40_010))))
            .collect(),
        exit: 40_015,
    };
    one_leak(&run.findings());
}

#[test]
fn a_leak_by_many_ways_is_seen_at_the_end_too() {
    // Fifteen ways of four in three seconds each, for twelve seconds.
    let mut ledger = ledger(true);
    let mut judge = Judge::new(Config::default());
    for n in 0..240_u64 {
        let time = n * 50 * MILLI;
        let way = SiteId(1000 + n % 15);
        let frames = [1, 2, 3, 100 + n % 15];
        acquired_at(&mut ledger, time, (way, &frames), descriptor(n as usize));
        judge.sample(time, &ledger, &ledger.running());
    }
    for n in 0..240 {
        ledger.apply(&released(13_000 * MILLI, descriptor(n)));
    }
    ledger.apply(&Event::Exited {
        time: 13_001 * MILLI,
        process: PROCESS,
    });
    judge.sample(13_500 * MILLI, &ledger, &ledger.running());
    let found = check(&judge.findings(14_000 * MILLI, 0, &ledger));
    one_leak(&found);
    assert_eq!(found[0].rule, "growth-by-many-ways");
}

#[test]
fn one_of_each_program_that_executes_itself_is_growth_at_one_place() {
    // Each generation lives for a second, opens one that stays, and has its code elsewhere.
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    for n in 0..60_u64 {
        let time = n * 1000 * MILLI;
        ledger.apply(&Event::Executed(Executed {
            time,
            process: PROCESS,
            comm: [0; 16],
        }));
        let base = 0x7f00_0000_0000 + n * 0x35_1000;
        let frames = [base + 0x123, base + 0x456, base + 0x789, base + 0x1abc];
        let place = (SiteId(1000 + n), &frames[..]);
        acquired_at(&mut ledger, time + MILLI, place, descriptor(n as usize));
        judge.sample(time + 2 * MILLI, &ledger, &ledger.running());
    }
    let found = check(&judge.findings(60_000 * MILLI, 0, &ledger));
    one_leak(&found);
    says(&found[0], "together with 59 other ways to the same call");
}

#[test]
fn what_an_exec_closes_is_not_the_end() {
    let mut ledger = ledger(true);
    let mut judge = Judge::new(Config::default());
    for n in 0..100 {
        let event = acquired(n * 100 * MILLI, Kind::File, descriptor(n as usize));
        if let Event::Acquired(one) = event {
            ledger.apply(&Event::Acquired(Acquired {
                close_on_exec: true,
                ..one
            }));
        }
        judge.sample(n * 100 * MILLI, &ledger, &ledger.running());
    }
    ledger.apply(&Event::Executed(Executed {
        time: 10_000 * MILLI,
        process: PROCESS,
        comm: [0; 16],
    }));
    ledger.apply(&Event::Exited {
        time: 10_500 * MILLI,
        process: PROCESS,
    });
    assert_eq!(judge.findings(12_000 * MILLI, 0, &ledger), []);
}

#[test]
fn descriptors_that_another_process_shares_do_not_end() {
    let mut ledger = ledger(true);
    let judge = Judge::new(Config::default());
    let child = ProcessId::new(8, 80);
    for n in 0..100 {
        ledger.apply(&acquired(
            n * 100 * MILLI,
            Kind::File,
            descriptor(n as usize),
        ));
    }
    if let Event::Forked(fork) = forked(10_000 * MILLI, child) {
        ledger.apply(&Event::Forked(Forked {
            shares_files: true,
            ..fork
        }));
    }
    for n in 0..100 {
        ledger.apply(&released(10_001 * MILLI, descriptor(n)));
    }
    ledger.apply(&Event::Exited {
        time: 10_002 * MILLI,
        process: PROCESS,
    });
    assert_eq!(judge.findings(12_000 * MILLI, 0, &ledger), []);
}

mod at_any_pace {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_released_at_the_end_is_judged_as_what_is_not(
            every in 40..400u64, life in 15..60u64, takes in 1..4000u64
        ) {
            // A leak that the numbers for a running process call one is one at its end, too.
            let until = life * 1000;
            let open = ramp(0, every, until / every);
            let run = Run::closing(every, until, until + 10 + takes, takes);
            if verdict(&open, until, 1000) == Verdict::Leak {
                prop_assert_eq!(run.verdict(), Verdict::Leak);
            }
        }

        #[test]
        fn what_was_filled_in_the_first_half_of_a_life_is_no_leak(
            every in 1..200u64, filled in 10..30_000u64, longer in 1.8..5.0f64, takes in 1..5000u64
        ) {
            let exit = (filled as f64 * longer) as u64 + 4000 + takes;
            let run = Run::closing(every, filled, exit, takes);
            prop_assert_ne!(run.verdict(), Verdict::Leak);
        }

        #[test]
        fn numbers_add_up(every in 20..500u64, until in 2000..30_000u64, takes in 1..9000u64) {
            for found in Run::closing(every, until, until + 50 + takes, takes).findings() {
                prop_assert_eq!(found.acquired, found.outstanding + found.released);
            }
        }
    }
}
