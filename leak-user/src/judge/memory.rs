//! Mapped memory: it grows for good reasons for a while (arenas, caches, a
//! collector's heap), and programs leave giving it back to their end.

use super::Opinion;
use crate::report::model::Verdict;

/// Growth of mappings is called a leak after this many seconds of it.
const OBSERVATION_SECONDS: f64 = 60.0;

/// Lowers the opinion on mappings to what they tell. `at_exit`: it is about what a
/// process held when it ended.
pub(super) fn temper(opinion: &mut Opinion, at_exit: bool) {
    if opinion.verdict == Verdict::Steady {
        return;
    }
    if at_exit {
        opinion.verdict = Verdict::Steady;
        opinion.growth_per_second = 0.0;
        opinion
            .evidence
            .push("memory ends with its process".to_owned());
    } else if opinion.verdict == Verdict::Leak && opinion.observed < OBSERVATION_SECONDS {
        opinion.verdict = Verdict::Suspect;
        opinion.evidence.push(format!(
            "memory grows for many reasons at first: a leak if it goes on for {OBSERVATION_SECONDS} s"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(verdict: Verdict, observed: f64) -> Opinion {
        Opinion {
            verdict,
            grown: 9.0,
            observed,
            growth_per_second: 1.0,
            rule: "growth",
            evidence: Vec::new(),
            waits_for: None,
        }
    }

    #[test]
    fn growing_memory_is_a_leak_only_after_a_while() {
        let mut young = opinion(Verdict::Leak, 20.0);
        temper(&mut young, false);
        assert_eq!(young.verdict, Verdict::Suspect);
        let mut old = opinion(Verdict::Leak, 90.0);
        temper(&mut old, false);
        assert_eq!(old.verdict, Verdict::Leak);
    }

    #[test]
    fn memory_held_at_exit_is_no_leak() {
        let mut held = opinion(Verdict::Leak, 90.0);
        temper(&mut held, true);
        assert_eq!(held.verdict, Verdict::Steady);
    }
}
