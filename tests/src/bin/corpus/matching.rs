//! What a report says of each program: its findings by the process they are of, next
//! to what the table expects. Knows no clock and no process.

use serde::Deserialize;
use serde_json::Value;

use crate::running::ProcessId;
use crate::table::Program;

/// Worst last, so that the greatest of several is what counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// No finding.
    #[default]
    None,
    Steady,
    Suspect,
    Leak,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::None => "-",
            Verdict::Steady => "steady",
            Verdict::Suspect => "suspect",
            Verdict::Leak => "leak",
        }
    }
}

/// What is read of a finding.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) confidence: f64,
    pub(crate) kind: String,
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) start_time: u64,
    pub(crate) comm: String,
    pub(crate) acquired: u64,
    pub(crate) released: u64,
    pub(crate) outstanding: u64,
    pub(crate) growth_per_second: f64,
    #[serde(default)]
    pub(crate) rule: String,
    pub(crate) evidence: Vec<String>,
    #[serde(default)]
    pub(crate) waits_for: Option<String>,
    stack: Vec<Frame>,
    #[serde(default)]
    pub(crate) history: Vec<Point>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Frame {
    symbol: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Point {
    pub(crate) seconds: f64,
    pub(crate) outstanding: u64,
}

impl Finding {
    fn passes(&self, part: &str) -> bool {
        self.stack.iter().any(|frame| frame.symbol.contains(part))
    }

    /// The names on its stack, innermost first.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = &str> {
        self.stack.iter().map(|frame| frame.symbol.as_str())
    }
}

/// What one report says of one program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Of a leak: the worst verdict in the kinds it has. Of a correct program: the worst.
    pub(crate) verdict: Verdict,
    /// The finding with that verdict.
    pub(crate) finding: Option<Finding>,
    /// Whether what has to be on the stack is.
    pub(crate) right_stack: bool,
    /// Called leaks, and are none.
    pub(crate) false_alarms: Vec<Finding>,
    /// How sure each leak was called one, and whether it is.
    pub(crate) calls: Vec<(f64, bool)>,
}

/// What a report says of all programs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matched {
    /// In the order of the programs.
    pub(crate) outcomes: Vec<Outcome>,
    /// Leaks in processes that are none of the corpus.
    pub(crate) elsewhere: Vec<Finding>,
}

/// Judges the findings of a report.
pub(crate) fn judge(
    programs: &[&Program],
    document: &Value,
    owner: impl Fn(ProcessId) -> Option<usize>,
) -> Result<Matched, String> {
    let findings = Vec::<Finding>::deserialize(&document["findings"])
        .map_err(|error| format!("the report's findings break their contract: {error}"))?;
    let mut of_program: Vec<Vec<Finding>> = programs.iter().map(|_| Vec::new()).collect();
    let mut elsewhere = Vec::new();
    for finding in findings {
        let of = owner((finding.pid, finding.start_time)).and_then(|of| of_program.get_mut(of));
        match of {
            Some(of) => of.push(finding),
            None if finding.verdict == Verdict::Leak => elsewhere.push(finding),
            None => {}
        }
    }
    let outcomes = programs.iter().zip(of_program);
    Ok(Matched {
        outcomes: outcomes
            .map(|(program, findings)| outcome(program, findings))
            .collect(),
        elsewhere,
    })
}

fn outcome(program: &Program, findings: Vec<Finding>) -> Outcome {
    let has = |kinds: &[String], finding: &Finding| kinds.contains(&finding.kind);
    let mut outcome = Outcome::default();
    for finding in findings {
        let expected = has(&program.leaks, &finding);
        if finding.verdict == Verdict::Leak {
            let is_true = expected || has(&program.echoes, &finding);
            outcome.calls.push((finding.confidence, is_true));
            if !is_true {
                outcome.false_alarms.push(finding.clone());
            }
        }
        if program.is_leak() && !expected {
            continue;
        }
        // The one that names the place, where several are as bad.
        let right_stack = program.stackless || finding.passes(&program.at);
        let rank = (finding.verdict, right_stack, finding.outstanding);
        let best = outcome.finding.as_ref().map(|best| best.outstanding);
        let present = best.map(|outstanding| (outcome.verdict, outcome.right_stack, outstanding));
        if present.is_none_or(|present| present < rank) {
            outcome.verdict = finding.verdict;
            outcome.right_stack = right_stack;
            outcome.finding = Some(finding);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn program(row: &str) -> Program {
        toml::from_str(row).expect("a row")
    }

    fn finding(pid: u32, verdict: &str, kind: &str, symbol: &str) -> Value {
        json!({"verdict": verdict, "confidence": 0.9, "kind": kind, "pid": pid, "start_time": 1, "comm": "x",
            "acquired": 9, "released": 0, "outstanding": 9, "growth_per_second": 1.0, "rule": "growth",
            "evidence": [], "stack": [{"symbol": symbol}], "history": []})
    }

    fn judged(programs: &[&Program], findings: &[Value]) -> Matched {
        let owner = |(pid, _): ProcessId| (pid as usize).checked_sub(10);
        judge(programs, &json!({ "findings": findings }), owner).expect("the contract is kept")
    }

    const LEAK: &str =
        "name = 'a'\nrun = 'c/x'\nleaks = ['file']\nrate = 5.0\nat = 'take'\nechoes = ['mapping']";
    const CORRECT: &str = "name = 'b'\nrun = 'c/x'";

    #[test]
    fn a_leak_counts_in_its_own_process_and_kind_with_its_place() {
        let (leak, correct) = (program(LEAK), program(CORRECT));
        let matched = judged(
            &[&leak, &correct],
            &[
                finding(10, "leak", "file", "other"),
                finding(10, "leak", "file", "take_it"),
                finding(10, "leak", "mapping", "echo"),
                finding(11, "suspect", "file", "take_it"),
            ],
        );
        let [of_leak, of_correct] = &matched.outcomes[..] else {
            panic!("two programs");
        };
        assert_eq!(
            (of_leak.verdict, of_leak.right_stack),
            (Verdict::Leak, true)
        );
        assert_eq!(of_leak.calls, [(0.9, true); 3]);
        assert!(of_leak.false_alarms.is_empty());
        assert_eq!(of_correct.verdict, Verdict::Suspect);
        assert!(of_correct.false_alarms.is_empty());
    }

    #[test]
    fn a_leak_elsewhere_is_a_false_alarm() {
        let (leak, correct) = (program(LEAK), program(CORRECT));
        let matched = judged(
            &[&leak, &correct],
            &[
                finding(10, "leak", "socket", "take"),
                finding(11, "leak", "file", "take"),
                finding(12, "leak", "file", "take"),
            ],
        );
        assert_eq!(matched.outcomes[0].verdict, Verdict::None);
        assert_eq!(matched.outcomes[0].false_alarms.len(), 1);
        assert_eq!(matched.outcomes[1].false_alarms.len(), 1);
        assert_eq!(matched.elsewhere.len(), 1);
    }
}
