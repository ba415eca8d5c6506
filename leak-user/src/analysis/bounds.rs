//! Which limits a finding runs into, and when: a resource may count against several, and the
//! nearest is the one that matters.

use std::collections::HashMap;

use leak_common::{Class, Kind, ProcessId};

use super::{Analysis, uses::Measured};
use crate::{
    judge::Judged,
    ledger::SiteKey,
    model::report::{Limit, Verdict},
};

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Resources(Kind),
    /// Descriptors of pseudo terminals.
    Terminals,
    /// Watches of inotify descriptors.
    Watches,
}

/// A finding that is not steady.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growing {
    pub(super) key: SiteKey,
    what: What,
    /// A second; 0 where it does not grow.
    pace: f64,
}

impl Growing {
    fn of(analysis: &Analysis, judged: &Judged) -> Option<Growing> {
        let what = match judged.rule {
            _ if judged.verdict == Verdict::Steady => return None,
            "watches" => What::Watches,
            _ if !judged.counts() => return None,
            _ if are_terminals(analysis, judged) => What::Terminals,
            _ => What::Resources(judged.kind),
        };
        Some(Growing {
            key: judged.key,
            what,
            pace: judged.growth_per_second.max(0.0),
        })
    }
}

/// Findings that are not steady, by process.
pub(super) fn growing_by_process(
    analysis: &Analysis,
    judged: &[Judged],
) -> HashMap<ProcessId, Vec<Growing>> {
    let mut all: HashMap<ProcessId, Vec<Growing>> = HashMap::new();
    for judged in judged {
        if let Some(growing) = Growing::of(analysis, judged) {
            all.entry(judged.process).or_default().push(growing);
        }
    }
    all
}

/// Whether all examples that are described are ends of pseudo terminals: one is in use until
/// both its ends are closed.
fn are_terminals(analysis: &Analysis, judged: &Judged) -> bool {
    let described = judged
        .samples
        .iter()
        .filter_map(|sample| analysis.description(judged.process, sample.handle, sample.acquired));
    let mut described = described.peekable();
    let is_end = |text: &str| text.starts_with("/dev/pts/") || text.starts_with("/dev/ptmx");
    judged.kind == Kind::File
        && described.peek().is_some()
        && described.all(|one| is_end(&one.text))
}

/// Whether what grows counts against a limit.
pub(super) fn bounds(limit: &Limit, growing: &Growing) -> bool {
    let kind = match growing.what {
        What::Watches => return limit.resource == "inotify.max_user_watches",
        What::Terminals if limit.resource == "pty.max" => return true,
        What::Terminals => Kind::File,
        What::Resources(kind) => kind,
    };
    match (kind.class(), limit.resource.as_str()) {
        (Class::Descriptor, "inotify.max_user_instances") => kind == Kind::Inotify,
        (Class::Descriptor, resource) => matches!(resource, "nofile" | "file-max"),
        (Class::Mapping, resource) => resource == "max_map_count",
        (Class::Thread | Class::Process, resource) => {
            matches!(resource, "pids" | "nproc" | "threads-max" | "pid_max")
        }
        (Class::Shm, resource) => resource == "shmmni",
        (Class::Heap, _) => false,
    }
}

/// How fast the findings of a process use up a limit, units a second.
pub(super) fn pace_to(limit: &Limit, growing: &[Growing]) -> f64 {
    let paces = growing
        .iter()
        .filter(|growing| bounds(limit, growing))
        .map(|growing| growing.pace);
    match limit.resource.as_str() {
        // One for both ends.
        "pty.max" => paces.fold(0.0, f64::max),
        _ => paces.sum(),
    }
}

/// When a limit will have been reached, for a pace of the findings that count against it.
///
/// The measured use says when. Where it is too slow to show in few samples, the findings' pace
/// does, unless the samples show that use does not rise: then as much is given back elsewhere.
/// Of mappings, only what the kernel counts is use: it joins those that lie side by side.
pub(super) fn exhaustion(limit: &Limit, pace: f64, measured: Measured) -> Option<f64> {
    let left = limit.soft.saturating_sub(limit.used) as f64;
    // Where calls fail, use does not rise any more.
    if left <= 0.0 && pace > 0.0 {
        return Some(0.0);
    }
    let pace = match limit.resource.as_str() {
        "max_map_count" => measured.gain_per_second.map_or(0.0, |gain| gain.min(pace)),
        _ if measured.does_not_rise => 0.0,
        _ => pace,
    };
    let by_findings = (pace > 0.0).then(|| left / pace);
    measured.exhaustion_seconds.or(by_findings)
}
