//! What the doctor found: checks with a result, and what would help. The JSON form is a contract (schema
//! `leaktrace.doctor/1`): keys may be added, never renamed.

use serde::{Deserialize, Serialize};

/// The schema's name.
pub const SCHEMA: &str = "leaktrace.doctor/1";

/// All checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorReport {
    pub schema: String,
    /// In the order in which they build on each other.
    pub checks: Vec<Check>,
    /// The programs that were loaded.
    #[serde(default)]
    pub programs: Vec<Program>,
}

/// A program as the kernel took it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// What it serves.
    pub kind: String,
    /// Instructions that the verifier walked; absent where the kernel does not tell.
    pub verified_instructions: Option<u32>,
    /// Milliseconds until it was verified and translated.
    pub load_ms: f64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A few words.
    pub name: String,
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pass,
    /// Tracing works, with less.
    Warn,
    /// Tracing is not possible.
    Fail,
}

impl DoctorReport {
    #[must_use]
    pub fn new(checks: Vec<Check>) -> DoctorReport {
        DoctorReport {
            schema: SCHEMA.to_owned(),
            checks,
            programs: Vec::new(),
        }
    }

    /// The worst result; a pass where nothing was checked.
    #[must_use]
    pub fn worst(&self) -> Status {
        let statuses = self.checks.iter().map(|check| check.status);
        statuses.max().unwrap_or(Status::Pass)
    }
}
