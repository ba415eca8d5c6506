//! The JSON report as its contract words it, read without the tracer's own types:
//! a renamed key fails here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

/// A report.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    pub schema: String,
    pub window: Window,
    pub health: Health,
    pub processes: Vec<Process>,
    pub findings: Vec<Finding>,
    /// The whole document.
    #[serde(skip)]
    pub document: Value,
    /// What the tracer said on stderr.
    #[serde(skip)]
    pub stderr: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Window {
    pub seconds: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Health {
    pub events: u64,
    pub lost: u64,
    pub lost_by_cause: BTreeMap<String, u64>,
    pub reconciled: u64,
    pub adopted: u64,
    pub stacks_truncated: u64,
    pub uncovered: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub start_time: u64,
    pub comm: String,
    pub exe: String,
    pub cmdline: Vec<String>,
    pub outstanding: BTreeMap<String, u64>,
    pub preexisting: BTreeMap<String, u64>,
    #[serde(default)]
    pub exited: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    pub verdict: String,
    pub confidence: f64,
    pub kind: String,
    pub pid: u32,
    pub comm: String,
    pub acquired: u64,
    pub released: u64,
    pub outstanding: u64,
    pub bytes: u64,
    pub evidence: Vec<String>,
    pub stack: Vec<Frame>,
    pub examples: Vec<Example>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Frame {
    pub symbol: String,
    pub module: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub inlined: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Example {
    pub handle: String,
    pub age_seconds: f64,
    pub description: String,
}

/// Kinds whose handles are descriptors.
pub const DESCRIPTOR_KINDS: [&str; 13] = [
    "file",
    "directory",
    "socket",
    "pipe",
    "eventfd",
    "epoll",
    "timerfd",
    "signalfd",
    "inotify",
    "memfd",
    "pidfd",
    "iouring",
    "anon",
];

impl Report {
    /// Reads a report.
    ///
    /// # Panics
    /// Where it is missing, is no JSON, lacks a key or has another schema.
    #[must_use]
    pub fn read(path: &Path, stderr: &str) -> Report {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("no report ({error}); the tracer said:\n{stderr}"));
        Report::parse(&text, stderr)
    }

    /// Reads the text of a report.
    ///
    /// # Panics
    /// As [`read`](Report::read).
    #[must_use]
    pub fn parse(text: &str, stderr: &str) -> Report {
        let document: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("the report is no JSON: {error}\n{text:.2000}"));
        let mut report = Report::deserialize(&document)
            .unwrap_or_else(|error| panic!("the report breaks its contract: {error}"));
        assert_eq!(report.schema, "leaktrace.report/1");
        report.document = document;
        report.stderr = stderr.to_owned();
        report
    }

    /// The process with this id; where the id was used twice, the one that lives.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<&Process> {
        let mut all: Vec<&Process> = self.processes.iter().filter(|p| p.pid == pid).collect();
        all.sort_by_key(|process| process.exited);
        all.first().copied()
    }

    /// Findings of a process whose innermost function (inlined ones aside) is this.
    #[must_use]
    pub fn at(&self, pid: u32, function: &str) -> Vec<&Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.pid == pid && finding.function() == Some(function))
            .collect()
    }

    /// How many of a kind a function acquired in a process and did not release.
    #[must_use]
    pub fn outstanding_at(&self, pid: u32, kind: &str, function: &str) -> u64 {
        self.at(pid, function)
            .iter()
            .filter(|finding| finding.kind == kind)
            .map(|finding| finding.outstanding)
            .sum()
    }

    /// Findings of a process that call something a leak.
    #[must_use]
    pub fn leaks_of(&self, pid: u32) -> Vec<&Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.pid == pid && finding.verdict == "leak")
            .collect()
    }

    /// The part that concerns a process, for messages.
    #[must_use]
    pub fn excerpt(&self, pid: u32) -> String {
        let of_pid = |list: &Value| -> Vec<Value> {
            let list = list.as_array().cloned().unwrap_or_default();
            list.into_iter()
                .filter(|entry| entry["pid"] == json!(pid))
                .map(abridged)
                .collect()
        };
        let excerpt = json!({
            "health": self.document["health"],
            "processes": of_pid(&self.document["processes"]),
            "findings": of_pid(&self.document["findings"]),
        });
        let text = serde_json::to_string_pretty(&excerpt).unwrap_or_default();
        let end = text.floor_char_boundary(8000);
        format!("\nreport on {pid}: {}", &text[..end])
    }
}

/// An entry without the outer frames and all but one of its examples.
fn abridged(mut entry: Value) -> Value {
    for (list, length) in [("stack", 4), ("examples", 1)] {
        if let Some(list) = entry.get_mut(list).and_then(Value::as_array_mut) {
            list.truncate(length);
        }
    }
    entry
}

impl Process {
    /// Outstanding and preexisting of a kind together.
    #[must_use]
    pub fn holds(&self, kind: &str) -> u64 {
        self.outstanding.get(kind).unwrap_or(&0) + self.preexisting.get(kind).unwrap_or(&0)
    }

    /// Outstanding and preexisting descriptors, all kinds.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        DESCRIPTOR_KINDS.iter().map(|kind| self.holds(kind)).sum()
    }
}

impl Finding {
    /// The innermost function that has a frame of its own.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.stack
            .iter()
            .find(|frame| !frame.inlined)
            .map(|frame| frame.symbol.as_str())
    }

    /// Whether a function is on the stack.
    #[must_use]
    pub fn passes(&self, function: &str) -> bool {
        self.stack.iter().any(|frame| frame.symbol == function)
    }
}
