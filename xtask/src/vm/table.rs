//! What a run of vm-test prints: the steps of one kernel, and a line for each kernel at the end.

use super::trial::Trial;

/// Characters of one remark: refused programs come with the verifier's log.
const LONGEST: usize = 300;

/// The steps of a kernel, with everything there is to say about each.
pub(crate) fn details(trial: &Trial) -> String {
    let mut text = String::new();
    for outcome in &trial.outcomes {
        let findings = &outcome.findings;
        let line = format!(
            "  {:<10}{:<6}{:>6.1} s  {}",
            outcome.step,
            result(outcome.findings.failures.is_empty()),
            outcome.seconds,
            findings.summary
        );
        text.push_str(line.trim_end());
        text.push('\n');
        for failure in &findings.failures {
            text.push_str(&format!("      wrong: {}\n", printable(failure)));
        }
        for note in &findings.notes {
            text.push_str(&format!("      {}\n", printable(note)));
        }
    }
    text
}

/// All kernels: how each step went and how long it took.
pub(crate) fn of(trials: &[Trial]) -> String {
    let Some(first) = trials.first() else {
        return String::new();
    };
    let mut text = format!("{:<8}", "kernel");
    for outcome in &first.outcomes {
        text.push_str(&format!("{:<15}", outcome.step));
    }
    text.push_str("   total\n");
    for trial in trials {
        text.push_str(&format!("{:<8}", trial.kernel));
        for outcome in &trial.outcomes {
            let result = result(outcome.findings.failures.is_empty());
            text.push_str(&format!("{result:<4} {:>6.1} s  ", outcome.seconds));
        }
        text.push_str(&format!("{:>6.1} s\n", trial.seconds));
    }
    text
}

fn result(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAIL" }
}

/// On one line of bounded length, without what could command a terminal: some of it comes from a guest that may be
/// broken.
fn printable(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(LONGEST).map(harmless).collect();
    if text.chars().count() > LONGEST {
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::trial::{Findings, Outcome};
    use super::*;

    fn trial() -> Trial {
        let outcome = |step, failures: &[&str]| Outcome {
            step,
            seconds: 2.04,
            findings: Findings {
                summary: "12 of them".to_owned(),
                notes: vec!["a note".to_owned()],
                failures: failures.iter().map(|text| (*text).to_owned()).collect(),
            },
        };
        Trial {
            kernel: "5.10".parse().unwrap(),
            seconds: 61.5,
            outcomes: vec![outcome("boot", &[]), outcome("leaks", &["bad\x1b[2J"])],
        }
    }

    #[test]
    fn what_is_wrong_follows_its_step() {
        assert_eq!(
            details(&trial()),
            "  boot      ok       2.0 s  12 of them
      a note
  leaks     FAIL     2.0 s  12 of them
      wrong: bad [2J
      a note
"
        );
    }

    #[test]
    fn long_remarks_are_cut() {
        assert_eq!(printable(&"e".repeat(LONGEST)), "e".repeat(LONGEST));
        let cut = printable(&"\u{e9}".repeat(LONGEST + 1));
        assert_eq!(cut, "\u{e9}".repeat(LONGEST) + " ...");
    }

    #[test]
    fn each_kernel_has_a_line() {
        assert_eq!(
            of(&[trial()]),
            "kernel  boot           leaks             total
5.10    ok      2.0 s  FAIL    2.0 s    61.5 s
"
        );
        assert_eq!(of(&[]), "");
    }
}
