//! How well leaktrace did: recall, right stacks, false alarms, calibration, and
//! whether that meets the targets.

use crate::matching::{Outcome, Verdict};
use crate::table::Program;

/// Of the slow leaks, what has to be found.
const SLOW_RECALL: f64 = 0.95;

/// A time that was traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) seconds: u64,
    /// The programs had run for the window before; else they began with it.
    pub(crate) later: bool,
}

/// What was found in one window, of all programs in their order.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) window: Window,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Found of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) found: usize,
    pub(crate) all: usize,
}

impl Share {
    fn add(&mut self, found: bool) {
        self.found += usize::from(found);
        self.all += 1;
    }

    pub(crate) fn value(self) -> f64 {
        self.found as f64 / self.all.max(1) as f64
    }
}

/// All that was traced, against the table.
pub(crate) struct Score<'a> {
    programs: &'a [Program],
    traced: &'a [Traced],
}

impl<'a> Score<'a> {
    pub(crate) fn new(programs: &'a [Program], traced: &'a [Traced]) -> Score<'a> {
        Score { programs, traced }
    }

    /// The windows, each once, in the order they were traced.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let mut windows = Vec::new();
        for traced in self.traced {
            if !windows.contains(&traced.window) {
                windows.push(traced.window);
            }
        }
        windows
    }

    /// The outcomes of a program in a window, one a round.
    pub(crate) fn outcomes(
        &self,
        program: usize,
        window: Window,
    ) -> impl Iterator<Item = &'a Outcome> {
        let traced = self.traced.iter();
        traced
            .filter(move |traced| traced.window == window)
            .filter_map(move |traced| traced.outcomes.get(program))
    }

    /// The window by whose end a leak is due; none where that one was not traced.
    fn due_window(&self, program: &Program) -> Option<Window> {
        let mut windows = self.windows().into_iter();
        windows.find(|window| !window.later && window.seconds == program.due())
    }

    /// Of the leaks that `takes` chooses, those found when due, counted for each round.
    pub(crate) fn recall(&self, takes: impl Fn(&Program) -> bool) -> Share {
        let mut share = Share::default();
        self.each_due(takes, |outcome| share.add(outcome.verdict == Verdict::Leak));
        share
    }

    /// Of the leaks that `takes` chooses, those found in a window, due or not.
    pub(crate) fn recall_in(&self, window: Window, takes: impl Fn(&Program) -> bool) -> Share {
        let mut share = Share::default();
        for (index, program) in self.programs.iter().enumerate() {
            if program.is_leak() && takes(program) {
                for outcome in self.outcomes(index, window) {
                    share.add(outcome.verdict == Verdict::Leak);
                }
            }
        }
        share
    }

    /// Of those found when due, the ones with the right place on their stack.
    pub(crate) fn right_stacks(&self, takes: impl Fn(&Program) -> bool) -> Share {
        let mut share = Share::default();
        self.each_due(takes, |outcome| {
            if outcome.verdict == Verdict::Leak {
                share.add(outcome.right_stack);
            }
        });
        share
    }

    /// Leaks that were not found when due: which, and what was said instead.
    pub(crate) fn misses(&self) -> Vec<(usize, Window, &'a Outcome)> {
        let mut misses = Vec::new();
        for (index, program) in self
            .programs
            .iter()
            .enumerate()
            .filter(|(_, p)| p.is_leak())
        {
            let Some(window) = self.due_window(program) else {
                continue;
            };
            let outcomes = self.outcomes(index, window);
            misses.extend(
                outcomes
                    .filter(|outcome| outcome.verdict != Verdict::Leak)
                    .map(|outcome| (index, window, outcome)),
            );
        }
        misses
    }

    /// What was called a leak and is none: in correct programs, or (`strays`) in leaks of
    /// another kind.
    pub(crate) fn false_alarms(&self, strays: bool) -> Vec<(usize, Window, &'a Outcome)> {
        let mut alarms = Vec::new();
        for traced in self.traced {
            for (index, outcome) in traced.outcomes.iter().enumerate() {
                let is_stray = self.programs.get(index).is_some_and(Program::is_leak);
                if is_stray == strays && !outcome.false_alarms.is_empty() {
                    alarms.push((index, traced.window, outcome));
                }
            }
        }
        alarms
    }

    /// Correct programs in a window, all rounds, and how many had that verdict.
    pub(crate) fn correct(&self, window: Window, verdict: Verdict) -> Share {
        let mut share = Share::default();
        for (index, _) in self
            .programs
            .iter()
            .enumerate()
            .filter(|(_, p)| !p.is_leak())
        {
            for outcome in self.outcomes(index, window) {
                share.add(outcome.verdict == verdict);
            }
        }
        share
    }

    /// The shortest window in which a leak was called one, by round.
    pub(crate) fn seconds_to_verdict(&self, program: usize) -> Option<u64> {
        let windows = self.windows().into_iter().filter(|window| !window.later);
        windows
            .filter(|&window| {
                let mut outcomes = self.outcomes(program, window);
                outcomes.any(|outcome| outcome.verdict == Verdict::Leak)
            })
            .map(|window| window.seconds)
            .min()
    }

    /// For each tenth of confidence from 0.0 on: leaks called with it, and how many were true.
    pub(crate) fn calibration(&self) -> [Share; 10] {
        let mut bins = [Share::default(); 10];
        let outcomes = self.traced.iter().flat_map(|traced| &traced.outcomes);
        for &(confidence, is_true) in outcomes.flat_map(|outcome| &outcome.calls) {
            let bin = (confidence.clamp(0.0, 0.999) * 10.0) as usize;
            bins[bin].add(is_true);
        }
        bins
    }

    /// What was asked and not met, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let fast = self.recall(Program::is_fast);
        if fast.found < fast.all {
            failures.push(format!(
                "{} of {} fast leaks were not found when due",
                fast.all - fast.found,
                fast.all
            ));
        }
        let slow = self.recall(|program| !program.is_fast());
        if slow.all > 0 && slow.value() < SLOW_RECALL {
            failures.push(format!(
                "of slow leaks {:.2} were found when due, less than {SLOW_RECALL}",
                slow.value()
            ));
        }
        let alarms = self.false_alarms(false).len();
        if alarms > 0 {
            failures.push(format!(
                "{alarms} times a correct program was called a leak"
            ));
        }
        failures
    }

    fn each_due(&self, takes: impl Fn(&Program) -> bool, mut each: impl FnMut(&Outcome)) {
        let leaks = self
            .programs
            .iter()
            .enumerate()
            .filter(|(_, p)| p.is_leak() && takes(p));
        for (index, program) in leaks {
            if let Some(window) = self.due_window(program) {
                self.outcomes(index, window).for_each(&mut each);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Finding;

    fn programs() -> Vec<Program> {
        let row = |text: &str| toml::from_str(text).expect("a row");
        vec![
            row("name = 'fast'\nrun = 'c/x'\nleaks = ['file']\nrate = 5.0\nat = 'f'"),
            row("name = 'slow'\nrun = 'c/x'\nleaks = ['file']\nrate = 1.0\nat = 'f'"),
            row("name = 'correct'\nrun = 'c/x'"),
        ]
    }

    fn traced(seconds: u64, verdicts: [Verdict; 3]) -> Traced {
        let outcomes = verdicts.map(|verdict| Outcome {
            verdict,
            right_stack: true,
            ..Outcome::default()
        });
        Traced {
            window: Window {
                seconds,
                later: false,
            },
            outcomes: outcomes.to_vec(),
        }
    }

    #[test]
    fn each_leak_is_counted_in_the_window_it_is_due_in() {
        use Verdict::{Leak, Steady, Suspect};
        let programs = programs();
        let all = [
            traced(10, [Suspect, Steady, Steady]),
            traced(20, [Leak, Steady, Suspect]),
            traced(60, [Steady, Suspect, Steady]),
        ];
        let score = Score::new(&programs, &all);
        assert_eq!(score.recall(Program::is_fast), Share { found: 1, all: 1 });
        assert_eq!(score.recall(|p| !p.is_fast()), Share { found: 0, all: 1 });
        assert_eq!(score.right_stacks(|_| true), Share { found: 1, all: 1 });
        assert_eq!(score.seconds_to_verdict(0), Some(20));
        assert_eq!(score.misses().len(), 1);
        let window = all[1].window;
        assert_eq!(score.correct(window, Suspect), Share { found: 1, all: 1 });
        assert_eq!(score.failures().len(), 1, "{:?}", score.failures());
    }

    #[test]
    fn what_is_not_due_yet_does_not_count() {
        let programs = programs();
        let all = [traced(10, [Verdict::Steady; 3])];
        let score = Score::new(&programs, &all);
        assert_eq!(score.recall(|_| true), Share::default());
        assert!(score.failures().is_empty());
    }

    #[test]
    fn one_false_alarm_fails_the_corpus() {
        let programs = programs();
        let mut all = [traced(20, [Verdict::Leak; 3])];
        all[0].outcomes[2].false_alarms.push(Finding::default());
        all[0].outcomes[2].calls.push((0.55, false));
        let score = Score::new(&programs, &all);
        assert_eq!(score.false_alarms(false).len(), 1);
        assert_eq!(score.calibration()[5], Share { found: 0, all: 1 });
        assert_eq!(score.failures().len(), 1);
    }
}
