//! Every sentence of evidence is true: it agrees with the numbers beside it, and with what happened.

use proptest::prelude::*;

use super::*;
use crate::ledger::SiteCounts;

/// What a site did until a time, as nobody but this test knows it.
struct Truth {
    /// When what is outstanding and old was acquired, and how many were acquired in all.
    held: Vec<Nanos>,
    acquired: u64,
    released: u64,
    young: u64,
    /// The first acquisition that outlived the nursery.
    first: Nanos,
    now: Nanos,
}

impl Truth {
    fn of(lives: &[Life], end: u64) -> Truth {
        let begun = lives.iter().filter(|life| life.0 * MILLI <= end * MILLI);
        let mut truth = Truth {
            held: Vec::new(),
            acquired: 0,
            released: 0,
            young: 0,
            first: u64::MAX,
            now: end * MILLI,
        };
        for &(from, to) in begun {
            truth.acquired += 1;
            let old = from * MILLI + LATE;
            let ended = to.is_some_and(|to| to <= end);
            if old <= truth.now && to.is_none_or(|to| to * MILLI >= old) {
                truth.first = truth.first.min(from * MILLI);
            }
            if ended {
                truth.released += 1;
            } else if old <= truth.now {
                truth.held.push(from * MILLI);
            } else {
                truth.young += 1;
            }
        }
        truth
    }

    /// How many of what is held are older than an age.
    fn older(&self, age: f64) -> f64 {
        let old = |&&time: &&Nanos| crate::model::time::seconds(self.now - time) > age - 0.06;
        self.held.iter().filter(old).count() as f64
    }
}

/// The finding after `end` milliseconds, with what the kernel counts.
fn counted_finding(lives: &[Life], end: u64, interval: u64) -> Option<Judged> {
    finding_with(lives, end, interval, |ledger, now| {
        let begun = lives.iter().filter(|life| life.0 <= now);
        let early = |life: &&Life| {
            let to = life.1.filter(|&to| to <= now);
            to.is_some_and(|to| to * MILLI < life.0 * MILLI + LATE)
        };
        ledger.site_counted(
            SITE,
            SiteCounts {
                acquired: begun.clone().count() as u64,
                released: Some(begun.filter(early).count() as u64),
                young: 0,
                elsewhere: 0,
            },
        );
    })
}

/// The numbers of a sentence, if its words are those of a pattern, in which each `#` stands for one.
fn numbers(sentence: &str, pattern: &str) -> Option<Vec<f64>> {
    let mut found = Vec::new();
    let mut rest = sentence;
    let mut parts = pattern.split('#');
    rest = rest.strip_prefix(parts.next()?)?;
    for part in parts {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        found.push(rest[..end].parse().ok()?);
        rest = rest[end..].strip_prefix(part)?;
    }
    rest.is_empty().then_some(found)
}

const NEVER_RELEASED: &str = "# acquired over # s and none released";
const OLD_NOT_RELEASED: &str = "# outlived the nursery over # s, none of them released";
const SOME_RELEASED: &str = "# that outlived the nursery over # s, # of them released";
const QUARTERS: &str = "outstanding by the quarter of # s they were acquired in: #, #, #, #";
const ABOUT: &str = "outstanding by the quarter of # s they were acquired in, about: #, #, #, #";
const AT_FIRST: &str = "all outstanding were acquired in the first # s, none since";
const OLD_AT_FIRST: &str = "those held for longer than # s were acquired in the first # s";
const ALL_YOUNG: &str = "none has been held for longer than # s";
const SOONER: &str =
    "what it releases is released within # s; # have been held for longer than # s";
const MOSTLY: &str =
    "what it releases is nearly all released within # s; # have been held for longer than # s";

/// Whether a sentence is true; `None` where nobody has said what it means.
fn is_true(sentence: &str, found: &Judged, truth: &Truth, lives: &[Life]) -> Option<bool> {
    let is = |pattern: &str| numbers(sentence, pattern);
    let held = truth.held.len() as f64;
    let since = |start: Nanos| crate::model::time::seconds(truth.now.saturating_sub(start));
    let in_first = |span: f64, older: f64| {
        let until = truth.first + ((span + 0.06) * SECOND as f64) as Nanos;
        let counts = |&&time: &&Nanos| since(time) > older;
        truth.held.iter().filter(counts).all(|&time| time <= until)
    };
    let slowest = || {
        let of =
            |life: &Life| Some((life.1.filter(|&to| to * MILLI <= truth.now)? - life.0) as f64);
        let old = |lived: &f64| *lived * MILLI as f64 >= LATE as f64;
        let lived = lives.iter().filter_map(of).filter(old);
        lived.fold(0.0, f64::max) / 1e3
    };
    if let Some(n) = is(NEVER_RELEASED) {
        return Some(
            n[0] == held && truth.released == 0 && (n[1] - since(truth.first)).abs() < 0.06,
        );
    }
    if let Some(n) = is(OLD_NOT_RELEASED) {
        return Some(n[0] == held && truth.released > 0 && found.released > 0);
    }
    if let Some(n) = is(SOME_RELEASED) {
        return Some(n[0] - n[2] == held && n[2] >= 1.0 && n[2] <= truth.released as f64);
    }
    if let Some(n) = is(QUARTERS).or(is(ABOUT)) {
        let sum: f64 = n[1..].iter().sum();
        return Some(sum <= held + 2.0);
    }
    if let Some(n) = is(AT_FIRST) {
        return Some(in_first(n[0], 0.0));
    }
    if let Some(n) = is(OLD_AT_FIRST) {
        return Some(in_first(n[1], n[0] + 0.06));
    }
    if let Some(n) = is(ALL_YOUNG) {
        return Some(truth.held.iter().all(|&time| since(time) <= n[0] + 0.06));
    }
    if let Some(n) = is(SOONER) {
        return Some(slowest() <= n[0] + 0.06 && n[1] <= truth.older(n[2]) + 1.0);
    }
    if let Some(n) = is(MOSTLY) {
        return Some(slowest() > n[0] - 0.06 && n[1] <= truth.older(n[2]) + 1.0);
    }
    if let Some(n) = is("others were released meanwhile: the process holds only # more than before")
    {
        return Some(truth.released > 0 && n[0] < held);
    }
    match sentence {
        "as many were released meanwhile: the process holds no more than before" => {
            Some(truth.released > 0)
        }
        "acquired too lately to tell" => Some(true),
        "it does not go on at that pace: it looks full" => {
            Some(found.verdict == Verdict::Steady && found.growth_per_second == 0.0)
        }
        "they are released at every age they reach" => Some(truth.released > 0),
        _ => None,
    }
}

/// Asserts that the numbers and sentences of a history are true.
fn all_true(lives: &[Life], end: u64, interval: u64) -> Result<(), TestCaseError> {
    let truth = Truth::of(lives, end);
    let Some(found) = counted_finding(lives, end, interval) else {
        prop_assert_eq!(truth.held.len(), 0);
        return Ok(());
    };
    let told = [
        found.acquired,
        found.released,
        found.young,
        found.outstanding,
    ];
    let held = truth.held.len() as u64;
    prop_assert_eq!(told, [truth.acquired, truth.released, truth.young, held]);
    prop_assert_eq!(found.unaccounted, 0);
    for sentence in &found.evidence {
        let verdict = is_true(sentence, &found, &truth, lives);
        prop_assert_eq!(verdict, Some(true), "{:?} in {:?}", sentence, found);
    }
    Ok(())
}

/// Lives of one sort: when they begin, and how long they last.
fn sort() -> impl Strategy<Value = Vec<Life>> {
    let every = prop_oneof![10_u64..200, 200_u64..3000];
    let lasts = prop_oneof![
        2 => Just(None),
        1 => (1_u64..1100).prop_map(Some),
        2 => (1_u64..20_000).prop_map(Some),
    ];
    let noise = prop::collection::vec(0_u64..2000, 1..20);
    (0_u64..40_000, every, 1_u64..500, lasts, noise).prop_map(
        |(start, every, count, lasts, noise)| {
            (0..count)
                .map(|n| {
                    let from = start + n * every + 1;
                    let more = noise[(n % noise.len() as u64) as usize];
                    (from, lasts.map(|lasts| from + lasts + more * lasts / 4000))
                })
                .collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sentence_of_a_history_is_false(
        sorts in prop::collection::vec(sort(), 1..4),
        end in prop_oneof![2_000_u64..20_000, 20_000_u64..70_000],
        interval in prop::sample::select(vec![500_u64, 1000, 7000]),
    ) {
        all_true(&sorts.concat(), end, interval)?;
    }

    #[test]
    fn what_is_held_at_an_exit_is_what_the_sentence_says(
        every in 10_u64..400,
        count in 1_u64..100,
        rest in 1_u64..3000,
    ) {
        let lives = ramp(50, every, count);
        let found = claims::at_exit(&lives, 50 + every * count + rest);
        let said = numbers(&found.evidence[0], "# held at exit, after a life of # s");
        prop_assert_eq!(said.map(|n| n[0]), Some(found.outstanding as f64));
        prop_assert_eq!(found.acquired, found.outstanding + found.released);
        if let Some(n) = numbers(
            found.evidence.get(1).map_or("", String::as_str),
            "by the quarter of its life they were acquired in: #, #, #, #",
        ) {
            prop_assert_eq!(n.iter().sum::<f64>(), found.outstanding as f64);
        }
    }
}
