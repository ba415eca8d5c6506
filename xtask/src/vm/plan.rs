//! What the host asks of the guest and what it answers: the one file that both sides compile. The plan is a JSON
//! document in the initramfs; the answers come as one JSON document a line over the second serial port.

use serde::{Deserialize, Serialize};

/// Where the guest finds its plan.
pub(crate) const PLAN: &str = "/vm/plan.json";

/// One program to run, with what runs beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// How long it may take; it is killed after that.
    pub(crate) seconds: u64,
    /// What the command traces. Where there is any, the command has to say `tracing ` at the beginning of a line of its
    /// stderr before they start, and gets SIGINT when they are done.
    pub(crate) victims: Vec<Victim>,
    /// Milliseconds between the last victim's word and SIGINT.
    pub(crate) settle: u64,
}

/// A program that gets one line on stdin at its start and says a word when it holds what it will hold.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Victim {
    pub(crate) command: Vec<String>,
    /// What the line begins with that is waited for.
    pub(crate) word: String,
}

/// A line from the guest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The first: which kernel it is and how long it took to get there.
    Booted { release: String, milliseconds: u64 },
    /// A step has ended.
    Done(Done),
    /// The last: every step was tried.
    End,
}

/// How a step went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) name: String,
    pub(crate) milliseconds: u64,
    /// Exit code as a shell counts it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    /// What kept the step from being done as planned.
    pub(crate) trouble: Option<String>,
    /// In the order of the plan.
    pub(crate) victims: Vec<Held>,
}

/// What became of a victim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) pid: u32,
    /// Its exit code where it ended without having said its word.
    pub(crate) ended: Option<i32>,
    /// How many descriptors it had when it said its word.
    pub(crate) descriptors: u64,
}
