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
    pub failures: Vec<Failure>,
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
    pub young: u64,
    pub outstanding: u64,
    pub unaccounted: u64,
    pub bytes: u64,
    pub evidence: Vec<String>,
    pub stack: Vec<Frame>,
    #[serde(default)]
    pub last_user: Vec<Frame>,
    pub examples: Vec<Example>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Failure {
    pub pid: u32,
    pub start_time: u64,
    pub comm: String,
    pub error: String,
    pub call: String,
    pub after_seconds: f64,
    pub count: u64,
    pub meaning: String,
    pub holders: Vec<Holder>,
    pub stack: Vec<Frame>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub comm: String,
    #[serde(default)]
    pub handle: String,
    #[serde(default)]
    pub what: String,
    pub count: u64,
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
    #[serde(default)]
    pub held_by: Vec<Holder>,
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

    /// The failures of a process.
    #[must_use]
    pub fn failures_of(&self, pid: u32) -> Vec<&Failure> {
        self.failures.iter().filter(|one| one.pid == pid).collect()
    }

    /// Findings of a process that call something a leak.
    #[must_use]
    pub fn leaks_of(&self, pid: u32) -> Vec<&Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.pid == pid && finding.verdict == "leak")
            .collect()
    }

    /// The part that concerns a process, for messages: a line for each finding.
    #[must_use]
    pub fn excerpt(&self, pid: u32) -> String {
        let of_pid = |key: &str| -> Vec<String> {
            let entries = self.document[key].as_array().into_iter().flatten();
            entries
                .filter(|entry| entry["pid"] == json!(pid))
                .map(|entry| abridged(entry.clone()).to_string())
                .collect()
        };
        format!(
            "\nhealth: {}\nprocesses {pid}:\n  {}\nfailures:\n  {}\nfindings:\n  {}",
            self.document["health"],
            of_pid("processes").join("\n  "),
            of_pid("failures").join("\n  "),
            of_pid("findings").join("\n  "),
        )
    }
}

/// An entry without what takes room: of a stack the names, of examples the first.
fn abridged(mut entry: Value) -> Value {
    if let Some(stack) = entry.get_mut("stack") {
        let frames = stack.as_array().cloned().unwrap_or_default();
        let names = frames.iter().take(8).map(|frame| frame["symbol"].clone());
        *stack = names.collect();
    }
    if let Some(examples) = entry.get_mut("examples").and_then(Value::as_array_mut) {
        examples.truncate(1);
    }
    if let Some(process) = entry.as_object_mut() {
        process.remove("cmdline");
        process.remove("limits");
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
