//! What a person mends: findings that have one cause.

use serde::{Deserialize, Serialize};

use super::report::Verdict;

/// One cause, and the findings that it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The worst of its findings.
    pub verdict: Verdict,
    /// Of its first part.
    pub kind: String,
    /// The program, as its command line tells it, without directories and options of its interpreter.
    pub who: String,
    /// Where it is acquired: `FILE:LINE FUNCTION` of the innermost frame that is the user's; empty where no stack is
    /// known.
    #[serde(rename = "where")]
    pub place: String,
    /// What that line called to acquire it; empty where it called the kernel itself.
    pub via: String,
    /// What runs into the same limit as the first part, all together: nothing is counted twice. Example: of threads
    /// and their stacks these are the threads.
    pub outstanding: u64,
    pub growth_per_second: f64,
    /// Of the first limit that any of it runs into.
    pub exhaustion_seconds: Option<f64>,
    /// Indices into `findings`. The first tells most.
    pub findings: Vec<usize>,
    /// The processes that it is in.
    pub pids: Vec<u32>,
    /// What it consists of, the one that tells most first.
    pub parts: Vec<Part>,
}

/// Findings of a problem that are the same but for their process or their time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    pub kind: String,
    /// Indices into `findings`.
    pub findings: Vec<usize>,
    pub outstanding: u64,
    /// Of what is outstanding, what is from before the trace.
    pub preexisting: u64,
    pub bytes: u64,
    pub growth_per_second: f64,
}
