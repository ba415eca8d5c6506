//! Memory that belongs to threads: their stacks, and what each maps for itself when it starts. Where
//! threads leak, that is one finding, on the threads. The memory is told there, since it goes with
//! them; and the place that mapped it may be innocent, as the C library hands the stack of a
//! thread that has ended to the next one.
//!
//! A mapping belongs to a thread if the thread's stack stands in it, or if no other thread that lives
//! was the first to map there, and with each thread came a mapping as it started.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use leak_common::{Kind, ProcessId};

use super::Rule;
use crate::judge::Judged;
use crate::judge::evidence::round::Round;
use crate::judge::findings::Findings;
use crate::ledger::SiteKey;
use crate::model::report::Verdict;
use crate::model::time::Nanos;

/// Mappings belong to threads if so much of what the site holds does.
const SHARE: f64 = 0.8;

/// Fewer threads whose stacks are known tell nothing.
const LEAST: u64 = 3;

/// What a thread maps as it starts, it maps within this time.
const START: Nanos = 250_000_000;

/// Makes mappings a part of the finding on the threads that they belong to.
#[derive(Default)]
pub(super) struct ThreadMemory;

/// The threads of a process that leak, or may.
#[derive(Default)]
struct Leaking {
    /// By their sites.
    sites: BTreeMap<SiteKey, Threads>,
    /// When all of them started, ascending.
    starts: Vec<Nanos>,
    /// All others that live, the first one of the process included.
    others: HashSet<u32>,
}

/// The threads of a finding.
#[derive(Default)]
struct Threads {
    /// When they started, ascending.
    starts: Vec<Nanos>,
    /// Those of which it is known where their stacks stand.
    looked_at: u64,
    /// In mappings of which sites those stand.
    stacks: BTreeMap<SiteKey, u64>,
}

impl Rule for ThreadMemory {
    fn name() -> &'static str {
        "thread-memory"
    }

    fn compare(&self, round: &Round<'_>, findings: &mut Findings) {
        let processes: BTreeSet<ProcessId> = findings
            .values()
            .filter(|judged| grows(judged, Kind::Thread))
            .map(|judged| judged.process)
            .collect();
        for process in processes {
            let leaking = Leaking::of(round, process, findings);
            for (mapping, site, is_stack) in leaking.belongings(round, process, findings) {
                join(site, mapping, is_stack, findings);
            }
        }
    }
}

fn grows(judged: &Judged, kind: Kind) -> bool {
    judged.kind == kind && judged.verdict != Verdict::Steady && judged.exited.is_none()
}

impl Leaking {
    fn of(round: &Round<'_>, process: ProcessId, findings: &Findings) -> Leaking {
        let stacks = round.seen.of(process).map(|seen| &seen.stacks);
        let mut leaking = Leaking::default();
        leaking.others.insert(process.pid());
        for (handle, key) in round.ledger.threads(process) {
            let key = round.counted_at(key);
            let leaks = |judged: &Judged| grows(judged, Kind::Thread);
            if !findings.get(&key).is_some_and(leaks) {
                let tid = handle.as_task().map(|task| task.pid());
                leaking.others.extend(tid);
                continue;
            }
            let threads = leaking.sites.entry(key).or_default();
            if let Some(&stack) = stacks.and_then(|stacks| stacks.get(&handle)) {
                threads.looked_at += 1;
                if let Some(mapping) = round.ledger.mapped_at(process, stack) {
                    let mapping = round.counted_at(mapping);
                    *threads.stacks.entry(mapping).or_default() += 1;
                }
            }
        }
        for (&site, threads) in &mut leaking.sites {
            threads.starts = round.times_at(process, site);
            leaking.starts.extend(&threads.starts);
        }
        leaking.starts.sort_unstable();
        leaking
    }

    /// The sites of mappings that belong to threads, those of these, and whether they are their
    /// stacks.
    fn belongings(
        &self,
        round: &Round<'_>,
        process: ProcessId,
        findings: &Findings,
    ) -> Vec<(SiteKey, SiteKey, bool)> {
        let held = |site: &SiteKey| findings.get(site).map_or(0, |judged| judged.outstanding);
        let Some(&most) = self.sites.keys().max_by_key(|site| held(site)) else {
            return Vec::new();
        };
        let owner_of_stacks = |mapping: &Judged| {
            let mut sites = self.sites.iter();
            sites.find(|(site, threads)| {
                let stacks = threads.stacks.get(&mapping.key).copied().unwrap_or(0);
                // Not all threads may have been looked at.
                let share = held(site) as f64 / threads.looked_at.max(1) as f64;
                stacks >= LEAST && stacks as f64 * share >= SHARE * mapping.outstanding as f64
            })
        };
        // Of the threads of one site, or of all.
        let brought_by = |mapping: SiteKey| {
            let record = round.ledger.site(mapping)?;
            if self.others.contains(&record.tid) {
                return None;
            }
            let mapped = round.times_at(process, mapping);
            let mut sites = self.sites.iter();
            let one = sites.find(|(_, threads)| came_with(&mapped, &threads.starts));
            let all = || came_with(&mapped, &self.starts).then_some(most);
            one.map(|(&site, _)| site).or_else(all)
        };
        let mut found: Vec<(SiteKey, SiteKey, bool)> = findings
            .values()
            .filter(|judged| judged.process == process && grows(judged, Kind::Mapping))
            .filter_map(|judged| match owner_of_stacks(judged) {
                Some((&site, _)) => Some((judged.key, site, true)),
                None => Some((judged.key, brought_by(judged.key)?, false)),
            })
            .collect();
        found.sort_unstable();
        found
    }
}

/// Whether with most threads came one of these mappings as they started, and most mappings came so.
fn came_with(mappings: &[Nanos], starts: &[Nanos]) -> bool {
    let mut left = starts.iter().peekable();
    let mut paired = 0;
    for &mapped in mappings {
        while left
            .next_if(|&&start| start.saturating_add(START) < mapped)
            .is_some()
        {}
        paired += u64::from(left.next_if(|&&start| start <= mapped).is_some());
    }
    let all = mappings.len().max(starts.len());
    paired >= LEAST && paired as f64 >= SHARE * all as f64
}

/// Makes a finding on mappings a part of the one on threads.
fn join(site: SiteKey, mapping: SiteKey, is_stack: bool, findings: &mut Findings) {
    let Some(memory) = findings.get_mut(&mapping) else {
        return;
    };
    memory.verdict = Verdict::Steady;
    memory.growth_per_second = 0.0;
    memory.rule = ThreadMemory::name();
    memory.waits_for = None;
    memory.part_of = Some(site);
    let (what, and) = match is_stack {
        true => ("stacks of the threads", "their stacks"),
        false => (
            "what each of the threads mapped",
            "each thread mapped one as it started",
        ),
    };
    memory.evidence.push(format!(
        "{what} that a finding of this process is about: the memory goes with them"
    ));
    let (count, bytes) = (memory.outstanding, memory.bytes);
    if let Some(threads) = findings.get_mut(&site) {
        threads.evidence.push(format!(
            "with them stay {count} mappings of {:.1} MiB in all: {and}",
            bytes as f64 / f64::from(1 << 20)
        ));
    }
}
