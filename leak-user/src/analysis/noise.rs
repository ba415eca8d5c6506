//! Processes that came and went: a host that starts many short programs has thousands of them, each with a few sites
//! that say nothing. They are told together.

use std::collections::{BTreeMap, HashSet};

use crate::model::report::{ExitedProgram, Process, Report, Verdict};

/// Up to this many, each is told: who traces a test wants to see what each of its processes held.
const FEW: usize = 64;

/// Who was there for at least this many seconds of the window is no short program.
const BRIEF: f64 = 10.0;

/// Takes out of a report the brief processes that exited and are part of nothing to look at, with their findings, if there are
/// many, and counts them by program.
pub fn fold(report: &mut Report) {
    let gone: HashSet<(u32, u64)> = unimportant(report).map(key).collect();
    if gone.len() <= FEW {
        return;
    }
    let mut programs: BTreeMap<String, ExitedProgram> = BTreeMap::new();
    let mut names: BTreeMap<(u32, u64), String> = BTreeMap::new();
    report.processes.retain(|process| {
        if !gone.contains(&key(process)) {
            return true;
        }
        names.insert(key(process), process.comm.clone());
        let program = programs.entry(process.comm.clone()).or_default();
        program.comm.clone_from(&process.comm);
        program.processes += 1;
        for (kind, count) in &process.outstanding {
            let sum = program.outstanding.entry(kind.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        false
    });
    report.findings.retain(|finding| {
        let name = names.get(&(finding.pid, finding.start_time));
        let program = name.and_then(|name| programs.get_mut(name));
        program.is_none_or(|program| {
            program.findings += 1;
            false
        })
    });
    report.exited_programs.extend(programs.into_values());
}

fn key(process: &Process) -> (u32, u64) {
    (process.pid, process.start_time)
}

/// Processes that exited after a brief life and are part of nothing to look at.
fn unimportant(report: &Report) -> impl Iterator<Item = &Process> {
    let matter = report
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Steady);
    let mut important: HashSet<(u32, u64)> = matter
        .map(|finding| (finding.pid, finding.start_time))
        .collect();
    important.extend(
        report
            .failures
            .iter()
            .map(|failure| (failure.pid, failure.start_time)),
    );
    important.extend(report.full.iter().map(|full| (full.pid, full.start_time)));
    let exited = report.processes.iter().filter(|process| process.exited);
    exited.filter(move |process| is_brief(process) && !important.contains(&key(process)))
}

/// Whether a process was there for a moment only, by the samples of what it held.
fn is_brief(process: &Process) -> bool {
    match (process.history.first(), process.history.last()) {
        (Some(first), Some(last)) => last.seconds - first.seconds < BRIEF,
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        report::{Finding, Point},
        sample,
    };

    /// A report of that many processes that exited, with a finding each.
    fn exited(count: u32, verdict: Verdict) -> Report {
        let mut report = sample::empty();
        for pid in 1..=count {
            report.processes.push(Process {
                pid,
                start_time: 9,
                comm: if pid % 2 == 0 { "git" } else { "sh" }.to_owned(),
                exited: true,
                outstanding: sample::counts(&[("mapping", 2)]),
                ..Process::default()
            });
            report.findings.push(Finding {
                verdict,
                kind: "mapping".to_owned(),
                pid,
                start_time: 9,
                outstanding: 2,
                ..Finding::default()
            });
        }
        report
    }

    #[test]
    fn many_that_left_nothing_are_told_together() {
        let mut report = exited(100, Verdict::Steady);
        report.processes[0].exited = false;
        report.findings[1].verdict = Verdict::Leak;
        fold(&mut report);
        let pids: Vec<u32> = report.processes.iter().map(|process| process.pid).collect();
        assert_eq!(pids, [1, 2]);
        assert_eq!(report.findings.len(), 2);
        let told = |program: &ExitedProgram| {
            (
                program.comm.clone(),
                program.processes,
                program.findings,
                program.outstanding["mapping"],
            )
        };
        let told: Vec<_> = report.exited_programs.iter().map(told).collect();
        assert_eq!(
            told,
            [
                ("git".to_owned(), 49, 49, 98),
                ("sh".to_owned(), 49, 49, 98)
            ]
        );
        // Twice is as once.
        let once = report.clone();
        fold(&mut report);
        assert_eq!(report, once);
    }

    #[test]
    fn who_was_there_for_long_is_told_alone() {
        let mut report = exited(100, Verdict::Steady);
        let at = |seconds| Point {
            seconds,
            outstanding: 2,
        };
        report.processes[0].history = vec![at(1.0), at(11.0)];
        report.processes[1].history = vec![at(1.0), at(10.0)];
        fold(&mut report);
        let pids: Vec<u32> = report.processes.iter().map(|process| process.pid).collect();
        assert_eq!(pids, [1]);
    }

    #[test]
    fn few_are_told_each_and_leaks_always() {
        for report in [exited(64, Verdict::Steady), exited(100, Verdict::Suspect)] {
            let mut folded = report.clone();
            fold(&mut folded);
            assert_eq!(folded, report);
        }
    }
}
