//! What holds of all histories of a shape.

use proptest::prelude::*;

use super::*;

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
        prop_assert_eq!(super::verdict(&lives, end, 1000), Verdict::Steady);
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
                ledger.apply(&released(time, handle));
            }
        }
        for (now, start) in clock {
            judge.sample(now, &ledger, &ledger.running());
            check(&judge.findings(now, start, &ledger));
        }
        ledger.apply(&Event::Exited { time: 5, process: PROCESS });
        check(&judge.findings(u64::MAX, 0, &ledger));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A pool of few connections that renews some of them, while the peers of others close.
    #[test]
    fn a_pool_whose_peers_close_is_no_leak(
        size in 3..20usize, renewed in prop::collection::vec((0..20usize, 5..60u64), 0..40),
        closed_at in prop::collection::vec(5..60u64, 20),
    ) {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        let mut since = vec![0; size];
        for n in 0..size {
            ledger.apply(&acquired(MILLI * n as u64, Kind::Socket, descriptor(n)));
        }
        for second in 2..=60 {
            for &(slot, at) in &renewed {
                if at == second && since[slot % size] < second {
                    let handle = descriptor(slot % size);
                    ledger.apply(&released(second * SECOND - 1, handle));
                    ledger.apply(&acquired(second * SECOND, Kind::Socket, handle));
                    since[slot % size] = second;
                }
            }
            let closed = (0..size).filter(|&n| (since[n] + 1..=second).contains(&closed_at[n]));
            judge.observe(&Observation {
                time: second * SECOND,
                process: PROCESS,
                close_wait: closed
                    .map(|n| (descriptor(n), format!("peer{n}:{}", since[n])))
                    .collect(),
                watches: Vec::new(),
                stacks: Vec::new(),
                adders: Vec::new(),
            });
            judge.sample(second * SECOND, &ledger, &ledger.running());
            for found in check(&judge.findings(second * SECOND, 0, &ledger)) {
                prop_assert_ne!(found.verdict, Verdict::Leak, "{:?}", found);
            }
        }
    }
}
