//! The report: what every output format writes. Its JSON form is a contract
//! (schema `leaktrace.report/1`): keys may be added, never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    hex::{self, Hex},
    problem::Problem,
};

/// The schema's name.
pub const SCHEMA: &str = "leaktrace.report/1";

/// One report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub host: Host,
    pub window: Window,
    pub health: Health,
    pub processes: Vec<Process>,
    /// Of a host where many came and went: processes that exited and are part of nothing to look at. They are not in
    /// `processes`, and what they held at their exit is not in `findings`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exited_programs: Vec<ExitedProgram>,
    /// Leaks first, then suspects, then steady ones; by urgency within.
    pub findings: Vec<Finding>,
    /// What to mend: the findings that are leaks or suspects, those of one cause together. The worst first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Processes at a limit, or near it: those with the highest share first. No verdicts.
    #[serde(default)]
    pub full: Vec<Full>,
    /// Limits of the host and of control groups that processes share.
    #[serde(default)]
    pub shared_limits: Vec<SharedLimit>,
    /// The first failed acquisition of each process, by cause, in the order of time.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// Findings that a suppression took out of `findings`.
    #[serde(default)]
    pub suppressed: Vec<Suppressed>,
}

/// Processes of one name that exited and are part of nothing to look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitedProgram {
    pub comm: String,
    /// How many of them.
    pub processes: u64,
    /// Steady findings that they had.
    pub findings: u64,
    /// What they held at their exit, by kind.
    pub outstanding: BTreeMap<String, u64>,
}

/// A limit that several processes run into together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SharedLimit {
    /// `host`, the path of a control group, `user:UID`, `user:UID in userns:[INODE]`,
    /// `ipcns:[INODE]`, or `netns:[INODE] to PEER`.
    pub scope: String,
    /// `file-max`, `threads-max`, `pid_max`, `pty.max`, `pids`, `memory`, `nproc`,
    /// `inotify.max_user_instances`, `inotify.max_user_watches`, `keys.maxkeys`,
    /// `keys.maxbytes`, `shmmni`, `ephemeral-ports`.
    pub resource: String,
    pub used: u64,
    pub limit: u64,
    /// Of `used`, over the window; 0 where it does not grow.
    pub growth_per_second: f64,
    /// `None` where use does not grow.
    pub exhaustion_seconds: Option<f64>,
}

/// A process that is at a limit or near it, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Full {
    pub pid: u32,
    pub start_time: u64,
    pub comm: String,
    /// `nofile`, `max_map_count`, or of the process's user: `nproc`,
    /// `inotify.max_user_instances`, `inotify.max_user_watches`.
    pub resource: String,
    /// Whose limit it is, as of a [`Limit`]; empty for the process's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    pub used: u64,
    pub limit: u64,
    /// Calls that failed for it, in the window.
    pub refused: u64,
    /// What it holds, by what it has in common, the most first.
    pub groups: Vec<FullGroup>,
    /// What is in no group that is told.
    pub others: u64,
}

/// What has something in common, of what counts against a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FullGroup {
    /// `file`, `socket`, ...; `task` for processes and threads.
    pub kind: String,
    /// Of a limit that processes share, a process or its name. Else a path, or a pattern of paths, where `*` is what differs; of sockets `-> PEER`, or
    /// `LOCAL <- HOST`. Empty where nothing is known.
    pub what: String,
    /// The kernel's word for a socket's state; `deleted`; else empty.
    pub state: String,
    pub count: u64,
    /// The one that was made first, as far as the numbers of descriptors and inodes tell.
    pub oldest: String,
}

/// An acquisition that the kernel refused because something had run out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub pid: u32,
    pub start_time: u64,
    pub comm: String,
    /// The kernel's word: `EMFILE`, `ENFILE`, `ENOMEM`, `EAGAIN`.
    pub error: String,
    /// The call that failed, as `openat`.
    pub call: String,
    /// Seconds from the window's start to the first one.
    pub after_seconds: f64,
    /// How often it happened in this process.
    pub count: u64,
    /// What the refusal means, one sentence.
    pub meaning: String,
    /// Who held the most of what ran out at that moment, most first.
    pub holders: Vec<Holder>,
    /// Innermost first.
    pub stack: Vec<Frame>,
}

/// A process that holds a resource, or many of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub comm: String,
    /// What it is there, as `fd 12`, or the first of it; empty where none stands out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub handle: String,
    /// What is counted, as `socket`, `thread`, `mapping` or `bytes`; empty where that
    /// is clear.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// How many it holds.
    pub count: u64,
}

/// Findings that were not shown because someone said why they are all right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suppressed {
    /// The reason given.
    pub why: String,
    /// Whether the program brought it; else it is from a file.
    #[serde(default)]
    pub built_in: bool,
    /// Findings, and what they have outstanding together.
    pub findings: u64,
    pub outstanding: u64,
}

/// What was outstanding at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// From the window's start.
    pub seconds: f64,
    pub outstanding: u64,
}

/// Where it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub hostname: String,
    pub kernel: String,
    pub arch: String,
    pub boot_id: String,
}

/// When: RFC 3339 times, UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub start: String,
    pub end: String,
    pub seconds: f64,
}

/// How far the report can be trusted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Acquisitions and releases seen by the kernel side.
    pub events: u64,
    /// Records lost, all causes.
    pub lost: u64,
    pub lost_by_cause: BTreeMap<String, u64>,
    /// Resources dropped because `/proc` did not show them any more.
    pub reconciled: u64,
    /// Resources found in `/proc` whose acquisition was not seen.
    pub adopted: u64,
    /// Stacks that ended before their outermost frame.
    pub stacks_truncated: u64,
    /// The same by reason: `broken`, `unreadable`, `too_deep`, `not_taken`,
    /// `no_table`, `evicted`, `locked`.
    #[serde(default)]
    pub stacks_truncated_by_reason: BTreeMap<String, u64>,
    /// What could not be seen, one sentence each.
    pub uncovered: Vec<String>,
    /// Where no process matched what was chosen: what that was, as `no process is named nosuch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<String>,
}

/// A process that holds something, or exited holding it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Ticks since boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    pub comm: String,
    pub exe: String,
    pub cmdline: Vec<String>,
    pub container_id: Option<String>,
    /// Path of its control group; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cgroup: String,
    /// The systemd unit that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The user whom it runs as: the name, or `uid N` where it has none here. Empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The process that started it; 0 where it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parent_pid: u32,
    /// Resources acquired during the trace and not released, by kind.
    pub outstanding: BTreeMap<String, u64>,
    /// Resources from before the trace that are still held, by kind.
    pub preexisting: BTreeMap<String, u64>,
    pub limits: Vec<Limit>,
    /// Whether the process had ended when the report was made; `outstanding` is
    /// then what it held at its exit.
    #[serde(default)]
    pub exited: bool,
    /// All it held over the window, what is from before included. Of one that had ended
    /// before it was looked at: `outstanding`, at its exit.
    #[serde(default)]
    pub history: Vec<Point>,
}

/// A limit that the process runs into, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// `nofile`, `max_map_count`, `nproc`, ...
    pub resource: String,
    /// Whose limit it is, as of a [`SharedLimit`]; empty for the process's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    pub used: u64,
    pub soft: u64,
    /// `None` where use does not grow.
    pub exhaustion_seconds: Option<f64>,
}

/// How sure and how bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Leak,
    Suspect,
    #[default]
    Steady,
}

/// A site with a verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub verdict: Verdict,
    /// 0 to 1.
    pub confidence: f64,
    pub kind: String,
    pub pid: u32,
    /// Ticks since boot: with `pid`, the process in `processes`.
    #[serde(default)]
    pub start_time: u64,
    pub comm: String,
    /// Counted from this site during the trace.
    /// It is the sum of `released`, `young`, `outstanding` without `preexisting`, and
    /// `unaccounted`.
    pub acquired: u64,
    /// Seen to be released.
    pub released: u64,
    /// Acquired less than the nursery's age ago: not outstanding yet.
    #[serde(default)]
    pub young: u64,
    pub outstanding: u64,
    /// Of what is outstanding, what is from before the trace: it is not in `acquired`.
    #[serde(default)]
    pub preexisting: u64,
    /// Neither of these, as far as is known: records of it were lost.
    #[serde(default)]
    pub unaccounted: u64,
    /// Of what is outstanding, where the kind has a size, else 0.
    pub bytes: u64,
    pub growth_per_second: f64,
    pub oldest_age_seconds: f64,
    pub exhaustion_seconds: Option<f64>,
    /// Of the limits of its process, the one that `exhaustion_seconds` is about: the nearest.
    #[serde(default)]
    pub limit: String,
    /// The rule that decided: `growth`, `zombies`, `close-wait`, ...
    #[serde(default)]
    pub rule: String,
    /// One sentence each.
    pub evidence: Vec<String>,
    /// Of a suspect: what will make it a leak or steady.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// What kind of bug this usually is, and how to fix it.
    pub hint: Option<String>,
    /// Innermost first; empty where the acquisition was not seen.
    pub stack: Vec<Frame>,
    pub examples: Vec<Example>,
    /// What was outstanding over the window, up to its process's exit.
    #[serde(default)]
    pub history: Vec<Point>,
    /// Tells the sites of a process and kind apart, while the report is made; not
    /// written.
    #[serde(skip)]
    pub site: u64,
    /// Set where the finding is a part of another one of the same process, which tells of it: the
    /// kind of that one. Example: the stacks of threads that leak are a part of `thread`.
    #[serde(default)]
    pub part_of: Option<String>,
    /// The stack that used most of the resources last, innermost first: of connections of a pool,
    /// who borrowed them. Empty where that is not known, or tells nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_user: Vec<Frame>,
    /// The other sites that the verdict rests on; not written.
    #[serde(skip)]
    pub ways: Vec<u64>,
}

/// A frame of a stack. An inlined function has its own entry, before the one it
/// was inlined into, with the same address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// Where the call returns to. 0 in a report of another program that does not tell.
    pub address: Hex,
    /// Empty where it has no name.
    pub symbol: String,
    /// Path of the mapped file, empty where there is none.
    pub module: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub inlined: bool,
    /// Build id of the module in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Offset in the module's file, to find the name elsewhere.
    #[serde(
        default,
        deserialize_with = "hex::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub module_offset: Option<Hex>,
}

/// One outstanding resource of a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// `fd 12`, `0x7f..+8192`, `tid 77`, `pid 78`, `shmid 3`.
    pub handle: String,
    pub age_seconds: f64,
    /// Path, peer, name: empty where nothing is known.
    pub description: String,
    pub socket: Option<Socket>,
    /// Other processes and descriptors that hold the same open file: by dup, fork or a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<Holder>,
}

/// A socket's addresses and state, in the kernel's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    pub family: String,
    pub local: String,
    pub peer: String,
    pub state: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Report {
    /// The process that a finding is about. Of those that had its pid one after the
    /// other, its start tells, or where that is not known its name.
    #[must_use]
    pub fn process_of(&self, finding: &Finding) -> Option<&Process> {
        let like = |process: &&Process| {
            process.pid == finding.pid
                && match finding.start_time {
                    0 => process.comm == finding.comm,
                    start => process.start_time == start,
                }
        };
        let of_pid = || self.processes.iter().find(|p| p.pid == finding.pid);
        self.processes.iter().find(like).or_else(of_pid)
    }

    /// Drops steady findings with nothing older than `min_age_seconds`. Leaks and
    /// suspects stay, however young.
    pub fn drop_young_steady(&mut self, min_age_seconds: f64) {
        self.findings.retain(|finding| {
            finding.verdict != Verdict::Steady || finding.oldest_age_seconds >= min_age_seconds
        });
    }

    /// The worst verdict of any finding.
    #[must_use]
    pub fn worst(&self) -> Option<Verdict> {
        self.findings.iter().map(|finding| finding.verdict).min()
    }
}

impl Frame {
    /// The function, or where it has no name, the way to find it: `libx.so+0x1a2b`, or
    /// its address.
    #[must_use]
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        if !self.symbol.is_empty() {
            return self.symbol.as_str().into();
        }
        match (self.module_offset, self.module_name()) {
            (Some(offset), module) if !module.is_empty() => format!("{module}+{offset}").into(),
            _ => self.address.to_string().into(),
        }
    }

    /// The last part of the module's path.
    #[must_use]
    pub fn module_name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample;

    #[test]
    fn only_young_steady_findings_are_dropped() {
        let mut report = sample::leaking();
        let young_leak = report.findings[0].clone();
        report.findings[0].oldest_age_seconds = 0.5;
        let before = report.findings.len();
        report.drop_young_steady(1.0);
        assert_eq!(report.findings.len(), before);
        report.drop_young_steady(1e9);
        assert!(report.findings.iter().all(|f| f.verdict != Verdict::Steady));
        assert_eq!(report.findings[0].pid, young_leak.pid);
    }

    #[test]
    fn the_worst_verdict_is_found() {
        assert_eq!(sample::leaking().worst(), Some(Verdict::Leak));
        assert_eq!(sample::empty().worst(), None);
    }
}
