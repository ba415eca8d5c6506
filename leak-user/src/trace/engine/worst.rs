//! The worst so far, for the line that is kept up to date while a trace runs, and who is nearest to a limit when it
//! begins.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use leak_common::{Class, Kind, KindSet, ProcessId};

use super::Engine;
use crate::{
    analysis::Span, judge::Judged, ledger::ProcessView, model::report::Verdict, proc::Proc,
};

/// The share of time that judging for the line may take: the trace waits for it.
const SHARE: u32 = 50;

/// Processes whose limits are looked at when a trace begins.
const PROCESSES: usize = 16_384;

/// What a trace found until now.
#[derive(Clone, Debug, Default)]
pub(in crate::trace) struct Worst {
    pub(in crate::trace) leaks: usize,
    pub(in crate::trace) suspects: usize,
    pub(in crate::trace) first: Option<First>,
}

/// The finding that is nearest to a limit, or grows most.
#[derive(Clone, Debug)]
pub(in crate::trace) struct First {
    /// Untrusted.
    pub(in crate::trace) comm: String,
    pub(in crate::trace) pid: u32,
    pub(in crate::trace) kind: &'static str,
    pub(in crate::trace) growth_per_second: f64,
    pub(in crate::trace) full_in_seconds: Option<f64>,
}

/// Who is nearest to its limit on descriptors.
#[derive(Clone, Debug)]
pub(in crate::trace) struct Nearest {
    /// Untrusted.
    pub(in crate::trace) comm: String,
    pub(in crate::trace) pid: u32,
    pub(in crate::trace) used: u64,
    pub(in crate::trace) limit: u64,
    /// The kind it holds most of, and how many.
    pub(in crate::trace) most: Option<(&'static str, u64)>,
}

/// When the worst may be looked for again.
#[derive(Debug, Default)]
pub(super) struct Pace(Cell<Option<Instant>>);

impl Pace {
    fn is_due(&self) -> bool {
        self.0.get().is_none_or(|due| Instant::now() >= due)
    }

    fn took(&self, time: Duration) {
        self.0.set(Some(Instant::now() + time * SHARE));
    }
}

impl Engine {
    /// The worst so far; `None` where it was looked for a moment ago.
    pub(in crate::trace) fn worst(&self) -> Option<Worst> {
        if !self.pace.is_due() {
            return None;
        }
        let began = Instant::now();
        let analysis = self.outlet.analysis();
        let judged = analysis.findings(Span {
            end: analysis.latest(),
            ..analysis.whole()
        });
        let count = |verdict| judged.iter().filter(|one| one.verdict == verdict).count();
        let matter = judged.iter().filter(|one| one.verdict != Verdict::Steady);
        let worst = Worst {
            leaks: count(Verdict::Leak),
            suspects: count(Verdict::Suspect),
            first: matter.map(|one| self.first(one)).min_by(|a, b| {
                let soon = |first: &First| first.full_in_seconds.unwrap_or(f64::INFINITY);
                soon(a)
                    .total_cmp(&soon(b))
                    .then(b.growth_per_second.total_cmp(&a.growth_per_second))
            }),
        };
        self.pace.took(began.elapsed());
        Some(worst)
    }

    fn first(&self, judged: &Judged) -> First {
        let pid = judged.process.pid();
        let left = || {
            let limit = self.proc.descriptor_limit(pid)?;
            Some(limit.saturating_sub(self.proc.count_descriptors(pid)?) as f64)
        };
        let grows = judged.counts() && judged.growth_per_second > 0.0 && judged.exited.is_none();
        let left = match judged.kind.class() {
            Class::Descriptor if grows => left(),
            Class::Descriptor
            | Class::Mapping
            | Class::Heap
            | Class::Shm
            | Class::Thread
            | Class::Process => None,
        };
        First {
            comm: self.outlet.analysis().comm(judged.process),
            pid,
            kind: judged.kind.name(),
            growth_per_second: judged.growth_per_second,
            full_in_seconds: left.map(|left| left / judged.growth_per_second),
        }
    }

    /// Who is nearest to its limit on descriptors now; `None` where nobody holds any.
    pub(in crate::trace) fn nearest(&self) -> Option<Nearest> {
        let share = |nearest: &Nearest| nearest.used as f64 / nearest.limit.max(1) as f64;
        let running = self.outlet.ledger().running().into_iter().take(PROCESSES);
        let all = running.filter_map(|view| self.nearness(&view));
        all.max_by(|a, b| share(a).total_cmp(&share(b)))
    }

    fn nearness(&self, view: &ProcessView) -> Option<Nearest> {
        let pid = view.id.pid();
        let used = self.proc.count_descriptors(pid)?;
        let limit = self.proc.descriptor_limit(pid)?;
        let held = |kind: Kind| view.preexisting.get(kind) + view.outstanding.get(kind);
        let kinds = KindSet::ALL
            .iter()
            .filter(|kind| kind.class() == Class::Descriptor);
        let most = kinds
            .map(|kind| (kind.name(), held(kind)))
            .max_by_key(|(_, held)| *held);
        Some(Nearest {
            comm: name(&self.proc, view.id)?,
            pid,
            used,
            limit,
            most: most.filter(|(_, held)| *held > 0),
        })
    }
}

fn name(proc: &Proc, process: ProcessId) -> Option<String> {
    let stat = proc.stat(process.pid())?;
    (stat.id == process).then_some(stat.comm)
}
