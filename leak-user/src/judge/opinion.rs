//! What the rules think of one site: each of them, in its turn, adds to the same opinion.

use crate::model::report::Verdict;

/// What a suspicion waits for that has no number.
pub(super) const LONGER: &str = "a longer look: a leak if it goes on, steady if it stops";

/// What the rules that have spoken so far find.
pub(super) struct Opinion {
    pub(super) verdict: Verdict,
    /// How much evidence there is, as a share of what it takes for a leak.
    pub(super) strength: f64,
    /// Seconds that the opinion rests on.
    pub(super) observed: f64,
    pub(super) growth_per_second: f64,
    /// The rule that decided.
    pub(super) rule: &'static str,
    /// One plain sentence each.
    pub(super) evidence: Vec<String>,
    /// Of a suspect: what will make it a leak or steady.
    pub(super) waits_for: Option<String>,
}

impl Opinion {
    /// A rule's opinion where nothing is found.
    pub(super) fn steady(rule: &'static str, observed: f64, evidence: Vec<String>) -> Opinion {
        Opinion {
            verdict: Verdict::Steady,
            strength: 0.0,
            observed,
            growth_per_second: 0.0,
            rule,
            evidence,
            waits_for: None,
        }
    }

    /// Makes the verdict worse in the name of `rule`, and says whether it did: a verdict
    /// that is as bad already stays, with the rule that found it. A suspicion says what it
    /// waits for.
    pub(super) fn worsen(&mut self, rule: &'static str, verdict: Verdict, waits_for: &str) -> bool {
        let is_worse = verdict < self.verdict;
        if is_worse {
            self.rule = rule;
            self.verdict = verdict;
            self.waits_for = (verdict == Verdict::Suspect).then(|| waits_for.to_owned());
        }
        is_worse
    }

    /// Adds evidence of a strength, that `observed` seconds show. The opinion is as strong
    /// as the strongest.
    pub(super) fn support(&mut self, strength: f64, observed: f64, sentence: String) {
        self.strength = self.strength.max(strength);
        self.observed = self.observed.max(observed);
        self.evidence.push(sentence);
    }
}

/// Numbers as evidence shows them: `1, 2, 3`.
pub(super) fn list(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    words.join(", ")
}
