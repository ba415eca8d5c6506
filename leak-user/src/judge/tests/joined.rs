//! Claims on sites that are counted as one: their stacks differ, the place does not.

use proptest::prelude::*;

use super::*;
use crate::ledger::Resource;

/// Where the process generates code.
const GENERATED: Range<u64> = 0x7000_0000..0x7100_0000;

/// A function of a library, and of the program around the generated code.
const CALL: [u64; 2] = [0x10_0010, 0x10_0020];
const MAIN: u64 = 0x20_0030;

/// A stack through code at an address; `whole` says whether its end is known.
#[derive(Clone, Debug)]
struct Stack {
    frames: Vec<u64>,
    end: StackEnd,
}

fn through(generated: &[u64]) -> Stack {
    let frames = CALL.iter().chain(generated).copied();
    Stack {
        frames: frames.chain([MAIN]).collect(),
        end: StackEnd::Complete,
    }
}

/// The same where the caller of generated code is not found.
fn broken(generated: &[u64]) -> Stack {
    let frames = CALL.iter().chain(generated).copied();
    Stack {
        frames: frames.collect(),
        end: StackEnd::Broken,
    }
}

/// Findings after `end` milliseconds, each life by the stack of its number; sampled each second.
fn findings(lives: &[Life], end: u64, stack: impl Fn(usize) -> Stack) -> Vec<Judged> {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    judge.generated(&GeneratedCode {
        process: PROCESS,
        ranges: vec![GENERATED.into()],
    });
    let number = |event: &Event| match event {
        Event::Acquired(acquired) => Some(acquired.handle.value() as usize),
        _ => None,
    };
    let mut events = told(lives).into_iter().peekable();
    let mut now = 0;
    while now < end {
        now = (now + 1000).min(end);
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now * MILLI) {
            let (Event::Acquired(one), Some(number)) = (&event, number(&event)) else {
                ledger.apply(&event);
                continue;
            };
            let Stack { frames, end } = stack(number);
            let id = SiteId(frames.iter().fold(1, |id: u64, frame| {
                id.wrapping_mul(0x100_0000_01b3).wrapping_add(*frame)
            }));
            ledger.apply(&Event::Site(Site {
                time: one.time,
                process: PROCESS,
                kind: Kind::File,
                id,
                tid: 7,
                frames: frames.into(),
                end,
            }));
            ledger.apply(&Event::Acquired(Acquired { site: id, ..*one }));
        }
        judge.sample(now * MILLI, &ledger, &ledger.running());
    }
    check(&judge.findings(end * MILLI, 0, &ledger))
}

/// Code at one of some addresses: compiled anew every `every` lives.
fn recompiled(number: usize, every: usize) -> u64 {
    GENERATED.start + 0x40 + (number / every) as u64 * 0x1000
}

#[test]
fn a_line_that_is_compiled_again_stays_one_site() {
    let lives = ramp(100, 200, 100);
    for shape in [through, broken] {
        let found = findings(&lives, 20_000, |n| shape(&[recompiled(n, 7), 0x7000_9000]));
        one_leak(&found);
        assert_eq!((found.len(), found[0].outstanding), (1, 94), "{found:?}");
        assert_eq!(found[0].rule, "growth");
        assert!(found[0].ways.is_empty());
        says(&found[0], "counted together with 13 other stacks");
        says(&found[0], "94 acquired over 19.9 s and none released");
    }
}

#[test]
fn a_pool_is_no_leak_where_its_code_is_compiled_again() {
    // Twelve at a time, each for two seconds; the code moves at 14 s, as its last third begins.
    let lives: Vec<Life> = (0..240).map(|n| (n * 167, Some(n * 167 + 2000))).collect();
    let moved = |n: usize| through(&[recompiled(n, 84)]);
    for end in [10_000, 16_000, 20_000, 40_000] {
        let known = lives.iter().filter(|life| life.0 < end);
        let known: Vec<Life> = known
            .map(|&(from, to)| (from, to.filter(|&to| to < end)))
            .collect();
        let found = findings(&known, end, moved);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].verdict, Verdict::Steady, "{found:?}");
    }
}

#[test]
fn what_is_called_by_other_parts_of_the_program_stays_apart() {
    let lives = ramp(100, 200, 100);
    let found = findings(&lives, 20_000, |n| {
        let mut stack = through(&[recompiled(n, 1)]);
        stack.frames.push(0x30_0000 + n as u64 % 2);
        stack
    });
    assert_eq!(found.len(), 2, "{found:?}");
    // Nor is other generated code the same where another library calls.
    let found = findings(&lives, 20_000, |n| {
        let mut stack = broken(&[recompiled(n, 1)]);
        stack.frames[1] += n as u64 % 2;
        stack
    });
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_stack_that_could_not_be_read_counts_where_it_fits() {
    let whole = || Stack {
        frames: vec![1, 2, 3, 4],
        end: StackEnd::Complete,
    };
    let cut = |frames: &[u64]| Stack {
        frames: frames.to_vec(),
        end: StackEnd::Locked,
    };
    let lives = ramp(100, 200, 100);
    let found = findings(&lives, 20_000, |n| match n % 4 {
        0 => cut(&[1]),
        1 => cut(&[1, 2]),
        _ => whole(),
    });
    one_leak(&found);
    assert_eq!((found.len(), found[0].outstanding), (1, 94), "{found:?}");
    says(
        &found[0],
        "2 other stacks that could not be read to the end",
    );
    // Alone it is no leak, whatever its number.
    let found = findings(&lives, 20_000, |n| match n % 4 {
        0 => whole(),
        _ => cut(&[7]),
    });
    let alone = found.iter().find(|found| found.outstanding > 50).unwrap();
    assert_eq!(alone.verdict, Verdict::Suspect, "{found:?}");
    says(alone, "stack not read");
}

#[test]
fn the_balance_of_all_is_that_of_one() {
    let lives: Vec<Life> = (0..90)
        .map(|n| (100 + n * 200, (n % 3 == 0).then_some(3000 + n * 200)))
        .collect();
    let one = findings(&lives, 20_000, |_| through(&[GENERATED.start + 0x40]));
    let many = findings(&lives, 20_000, |n| through(&[recompiled(n, 2)]));
    let figures = |found: &Judged| {
        let samples: Vec<Resource> = found.samples.clone();
        let of = (
            found.acquired,
            found.released,
            found.young,
            found.outstanding,
        );
        (of, samples, found.verdict, found.history.last().copied())
    };
    assert_eq!((one.len(), many.len()), (1, 1));
    assert_eq!(figures(&one[0]), figures(&many[0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However what one line acquires is spread over the places that its code has had.
    #[test]
    fn where_the_code_lies_never_changes_a_verdict(
        steps in prop::collection::vec((20..600u64, prop::option::of(1300..9000u64)), 1..150),
        places in prop::collection::vec(1..40u64, 150),
        whole: bool,
    ) {
        let mut time = 0;
        let lives: Vec<Life> = steps
            .into_iter()
            .map(|(pause, life)| {
                time += pause;
                (time, life.map(|life| time + life))
            })
            .collect();
        let end = time + 2000;
        let lives: Vec<Life> = lives
            .iter()
            .map(|&(from, to)| (from, to.filter(|&to| to < end)))
            .collect();
        let shape = if whole { through } else { broken };
        let one = findings(&lives, end, |_| shape(&[GENERATED.start + 0x40]));
        let many = findings(&lives, end, |n| shape(&[GENERATED.start + 0x40 * places[n]]));
        let kinds = |found: &[Judged]| {
            let all = found.iter().map(|found| (found.verdict, found.outstanding, found.rule));
            all.collect::<Vec<_>>()
        };
        prop_assert_eq!(kinds(&one), kinds(&many), "{:?} {:?}", one, many);
    }
}
