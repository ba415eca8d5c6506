//! A pool that is full, beside sessions that come and go at the same site: what is held is level
//! although old resources were acquired for long.

use proptest::prelude::*;

use super::*;

/// Sessions, one every `every`, that live as long as `lives` says in turn, until `end`.
fn sessions(every: u64, lives: &[u64], end: u64) -> Vec<Life> {
    (0..end / every)
        .map(|n| {
            let from = n * every + 7;
            (from, Some(from + lives[n as usize % lives.len()]))
        })
        .collect()
}

/// The findings at each of `ends` of a tracer that came at `attach`, in milliseconds; it
/// looks every second. What was there before has no site.
fn findings_since(lives: &[Life], attach: u64, ends: &[u64]) -> Vec<(u64, Vec<Judged>)> {
    let mut lives = lives.to_vec();
    lives.sort_unstable();
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    let mut events: Vec<(Nanos, Event)> = Vec::new();
    let (before, since): (Vec<Life>, Vec<Life>) =
        lives.iter().partition(|&&(from, _)| from < attach);
    let there: Vec<Life> = before
        .into_iter()
        .filter(|&(_, to)| to.is_none_or(|to| to >= attach))
        .collect();
    if attach > 0 {
        let held = 100_000..100_000 + there.len() as u32;
        super::before(&mut ledger, attach * MILLI, held, Kind::File);
    }
    for (number, &(_, to)) in there.iter().enumerate() {
        let to = to.map(|to| to * MILLI);
        events.extend(to.map(|to| (to, released(to, descriptor(100_000 + number)))));
    }
    events.extend(told(&since));
    events.sort_by_key(|(time, _)| *time);
    let mut events = events.into_iter().peekable();
    let last = ends.iter().copied().max().unwrap_or(0);
    let mut found = Vec::new();
    for now in (attach + 1000..=last).step_by(1000) {
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now * MILLI) {
            ledger.apply(&event);
        }
        judge.sample(now * MILLI, &ledger, &ledger.running());
        if ends.contains(&now) {
            let findings = judge.findings(now * MILLI, attach * MILLI, &ledger);
            found.push((now, check(&findings)));
        }
    }
    found
}

/// Fails if one of the findings is a leak or tells a rate.
fn none_grows(found: &[(u64, Vec<Judged>)]) -> Result<(), TestCaseError> {
    for (end, findings) in found {
        for finding in findings {
            prop_assert_ne!(finding.verdict, Verdict::Leak, "at {} {:?}", end, finding);
            let rate = finding.growth_per_second;
            prop_assert!(rate == 0.0, "at {} {:?}", end, finding);
        }
    }
    Ok(())
}

/// Lives from the shortest to that and the width, or seldom far longer: the parts are
/// thousandths of it.
fn lengths(shortest: u64, width: u64, parts: &[u64], seldom: bool) -> Vec<u64> {
    let exponential = |part: u64| -(1.0 - part as f64 / 1_001.0).ln() / 2.0;
    let length = |&part: &u64| match seldom {
        true => shortest + (exponential(part) * width as f64) as u64,
        false => shortest + part * width / 1_000,
    };
    parts.iter().map(length).collect()
}

/// Whole seconds, in milliseconds.
fn every_second(from: u64, to: u64) -> Vec<u64> {
    (from.next_multiple_of(1000)..=to).step_by(1000).collect()
}

#[test]
fn a_full_pool_beside_sessions_of_one_length_is_steady() {
    for (life, every) in [(8_000, 400), (12_000, 200), (8_000, 100), (3_000, 50)] {
        let mut lives = ramp(4_000, 250, 120);
        lives.extend(sessions(every, &[life], 140_000));
        let found = findings_since(&lives, 0, &every_second(55_000, 140_000));
        none_grows(&found).unwrap_or_else(|told| panic!("{life} {every}: {told}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pool_that_is_full_is_no_leak_beside_any_sessions(
        size in 5_u64..200,
        full in 2_000_u64..60_000,
        every in 60_u64..3_000,
        shortest in 1_500_u64..20_000,
        spread in prop::collection::vec(0_u64..1_000, 97),
        width in 0_u64..15_000,
        seldom in any::<bool>(),
        attach in prop_oneof![Just(0_u64), 0_u64..100_000],
    ) {
        let lengths = lengths(shortest, width, &spread, seldom);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let end = 200_000;
        let mut lives = ramp(0, (full / size).max(1), size);
        lives.extend(sessions(every, &lengths, end));
        // From when on it is level, and half as long again has been seen of that.
        let level = full.max(longest).max(attach);
        let seen = attach + (level - attach) * 3 / 2 + 2 * longest + 10_000;
        let found = findings_since(&lives, attach, &every_second(seen, end));
        none_grows(&found)?;
    }

    #[test]
    fn a_leak_beside_a_full_pool_and_sessions_is_found(
        size in 5_u64..400,
        full in 2_000_u64..30_000,
        every in 60_u64..1_000,
        leaks in 200_u64..1_500,
        shortest in 1_500_u64..5_000,
        spread in prop::collection::vec(0_u64..1_000, 97),
        width in 0_u64..3_000,
        seldom in any::<bool>(),
        attach in prop_oneof![Just(0_u64), 0_u64..60_000],
    ) {
        let lengths = lengths(shortest, width, &spread, seldom);
        let end = attach + 120_000;
        let mut lives = ramp(0, (full / size).max(1), size);
        lives.extend(sessions(every, &lengths, end));
        lives.extend(ramp(100, leaks, end / leaks));
        let found = findings_since(&lives, attach, &every_second(end, end));
        for (end, findings) in found {
            prop_assert_eq!(findings[0].verdict, Verdict::Leak, "at {} {:?}", end, findings);
        }
    }
}
