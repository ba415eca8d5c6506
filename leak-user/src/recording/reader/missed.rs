//! What a report lacks: what could not be read of the file, what was not recorded though
//! it is asked for, and what is not asked for.

use leak_common::KindSet;

use super::Query;
use crate::{
    model::report::{Health, Report},
    recording::format::{Damage, Unknown},
};

/// Damaged places that are named one by one; the others are counted.
pub(super) const MAX_NAMED: usize = 16;

/// What could not be read of a file.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Damaged places, and records that were lost there.
    damaged: usize,
    lost: u64,
    /// Records of a newer version.
    unknown: u64,
    /// Names of processes that were read, and not kept because there was no room.
    late_facts: u64,
    named: Vec<String>,
}

impl Unread {
    /// No copy of the beginning is intact.
    pub(super) fn beginning(&mut self, name: &str) {
        self.named.push(format!(
            "{name}: how the trace began is not readable: the host is not known, and times are those \
             since it was booted"
        ));
    }

    /// It has no end yet.
    pub(super) fn rest(&mut self, name: &str) {
        self.named.push(format!(
            "{name}: not finished, it is being written; this report is on what was there"
        ));
    }

    pub(super) fn damage(&mut self, name: &str, damage: &Damage) {
        self.damaged += 1;
        self.lost = self.lost.saturating_add(damage.records.unwrap_or(1).max(1));
        self.name(name, damage);
    }

    pub(super) fn unknown(&mut self, name: &str, unknown: &Unknown) {
        self.unknown = self.unknown.saturating_add(unknown.records.max(1));
        self.name(name, unknown);
    }

    pub(super) fn late_facts(&mut self, dropped: u64) {
        self.late_facts += dropped;
    }

    fn name(&mut self, name: &str, what: &dyn std::fmt::Display) {
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{name}: {what}"));
        }
    }

    /// Tells it in the report, as a loss. The names of the causes are a contract with
    /// those who read reports, as all keys are.
    pub(super) fn tell(&mut self, name: &str, health: &mut Health) {
        for (cause, count) in [
            ("capture_damaged", self.lost),
            ("capture_unknown", self.unknown),
            ("late_facts_dropped", self.late_facts),
        ] {
            if count > 0 {
                health.lost = health.lost.saturating_add(count);
                *health.lost_by_cause.entry(cause.to_owned()).or_default() += count;
            }
        }
        let more = self.damaged.saturating_sub(self.named.len());
        health.uncovered.append(&mut self.named);
        if more > 0 {
            health
                .uncovered
                .push(format!("{name}: {more} more places are damaged"));
        }
    }
}

/// Leaves in the report what is asked for, and says what of that was not recorded:
/// without it, that nothing is found would look as if nothing leaked. `recorded`: the
/// kinds that were traced.
pub(super) fn narrow(report: &mut Report, query: &Query, recorded: KindSet) {
    if !query.pids.is_empty() {
        only_pids(report, &query.pids);
    }
    // Before kinds are left out: a process that has other kinds alone was recorded.
    let missed = not_recorded(report, query, recorded);
    report.health.uncovered.extend(missed);
    if let Some(kinds) = query.some_kinds() {
        only_kinds(report, kinds);
    }
}

/// What is asked for and is not in the recording, a sentence each.
fn not_recorded(report: &Report, query: &Query, recorded: KindSet) -> Vec<String> {
    let is_there = |pid: u32| {
        report.processes.iter().any(|one| one.pid == pid)
            || report.failures.iter().any(|one| one.pid == pid)
    };
    let pids = query.pids.iter().filter(|&&pid| !is_there(pid));
    let pids = pids.map(|pid| format!("process {pid}: nothing of it is in the recording"));
    let kinds = query.some_kinds().into_iter().flat_map(KindSet::iter);
    let kinds = kinds.filter(|kind| !recorded.contains(*kind));
    let kinds = kinds.map(|kind| format!("{}: this kind was not recorded", kind.name()));
    pids.chain(kinds).collect()
}

fn only_pids(report: &mut Report, pids: &[u32]) {
    report.processes.retain(|one| pids.contains(&one.pid));
    report.findings.retain(|one| pids.contains(&one.pid));
    report.failures.retain(|one| pids.contains(&one.pid));
}

fn only_kinds(report: &mut Report, kinds: KindSet) {
    let wanted = |name: &str| kinds.iter().any(|kind| kind.name() == name);
    report.findings.retain(|one| wanted(&one.kind));
    for process in &mut report.processes {
        process.outstanding.retain(|kind, _| wanted(kind));
        process.preexisting.retain(|kind, _| wanted(kind));
    }
    report
        .processes
        .retain(|one| !one.outstanding.is_empty() || !one.preexisting.is_empty());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use leak_common::Kind;

    use super::*;
    use crate::{
        analysis::{Beginning, Input},
        recording::{
            format::Writer,
            reader::{self, Source},
        },
    };

    #[test]
    fn what_is_asked_for_and_was_not_recorded_is_told() {
        let beginning = Beginning {
            kinds: Kind::File.bit(),
            ..Beginning::default()
        };
        let mut writer = Writer::new(Vec::new(), &beginning).unwrap();
        writer.input(&Input::Sample(1)).unwrap();
        let recording = writer.finish().unwrap().0;
        let uncovered = |query: &Query| {
            let source = Source {
                name: "a.lkt".to_owned(),
                content: &*recording,
                is_being_written: false,
            };
            reader::report(vec![source], query)
                .unwrap()
                .health
                .uncovered
        };
        assert!(uncovered(&Query::default()).is_empty());
        let all = Query {
            kinds: KindSet::ALL.without(Kind::Heap),
            ..Query::default()
        };
        assert!(uncovered(&all).is_empty());
        let asked = Query {
            pids: vec![7],
            kinds: [Kind::File, Kind::Socket].into_iter().collect(),
            ..Query::default()
        };
        assert_eq!(
            uncovered(&asked),
            [
                "process 7: nothing of it is in the recording",
                "socket: this kind was not recorded"
            ]
        );
    }
}
