//! How much of what is limited was in use over time: of each process by what the
//! ledger knows of it, from before the trace too, and of what processes share by what
//! was told. With it, the limits say when they will be reached.

use std::collections::HashMap;

use leak_common::{Class, ProcessId};

use super::{
    SavedAnalysis,
    forecast::{Forecast, LEAST_SAMPLES, does_not_rise, forecast},
    history::push,
};
use crate::{
    ledger::ProcessView,
    model::{
        report::{Limit, SharedLimit},
        time::{Nanos, seconds},
    },
};

/// Processes and shared limits that are followed: at most 1 KiB each.
const MAX_PROCESSES: usize = 16_384;
const MAX_SHARED: usize = 8_192;

/// A shared limit that was not told for this long is gone.
const FORGET: Nanos = 600_000_000_000;

/// The limits on the number of a process's mappings, and on their size.
const MAPPINGS: &str = "max_map_count";
const ADDRESS_SPACE: &str = "as";

type Samples = Vec<(Nanos, u64)>;

/// What samples of a use say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// `None` where it does not grow, or too little is known.
    pub(super) exhaustion_seconds: Option<f64>,
    /// Whether they show that it does not.
    pub(super) does_not_rise: bool,
    /// What the last sample has more than the first, a second; `None` where nothing was gained, or
    /// too little is known.
    pub(super) gain_per_second: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct AllUses {
    /// Descriptors of each process, by the ledger.
    processes: HashMap<ProcessId, Samples>,
    shared: HashMap<(String, String), Samples>,
}

impl AllUses {
    /// Notes what the processes that run use, given in the order of their identities.
    pub(super) fn sample(&mut self, time: Nanos, running: &[ProcessView]) {
        let runs = |id: &ProcessId| running.binary_search_by_key(id, |view| view.id).is_ok();
        self.processes.retain(|id, _| runs(id));
        for view in running {
            if self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&view.id) {
                let descriptors = self.processes.entry(view.id).or_default();
                push(descriptors, time, held_descriptors(view));
            }
        }
    }

    /// Notes what processes use together.
    pub(super) fn shared(&mut self, time: Nanos, limits: &[SharedLimit]) {
        let lives = |samples: &mut Samples| {
            let last = samples.last().map_or(0, |(last, _)| *last);
            time.saturating_sub(last) < FORGET
        };
        self.shared.retain(|_, samples| lives(samples));
        for limit in limits {
            let key = (limit.scope.clone(), limit.resource.clone());
            if self.shared.len() < MAX_SHARED || self.shared.contains_key(&key) {
                push(self.shared.entry(key).or_default(), time, limit.used);
            }
        }
    }

    /// The whole state, in an order of its own.
    pub(super) fn saved(&self) -> impl Iterator<Item = SavedAnalysis> {
        let mut processes: Vec<_> = self.processes.iter().collect();
        processes.sort_unstable_by_key(|(id, _)| **id);
        let mut shared: Vec<_> = self.shared.iter().collect();
        shared.sort_unstable_by_key(|(key, _)| *key);
        let processes = processes
            .into_iter()
            .map(|(id, descriptors)| SavedAnalysis::Uses {
                process: id.0,
                descriptors: descriptors.clone(),
                mappings: Vec::new(),
            });
        let shared = shared.into_iter().map(|((scope, resource), samples)| {
            let (scope, resource) = (scope.clone(), resource.clone());
            SavedAnalysis::SharedUse {
                scope,
                resource,
                samples: samples.clone(),
            }
        });
        processes.chain(shared)
    }

    /// Takes a part of another analysis's state; parts of other things change nothing.
    pub(super) fn restore(&mut self, saved: &SavedAnalysis) {
        match saved {
            SavedAnalysis::Uses {
                process,
                descriptors,
                mappings: _,
            } => {
                let id = ProcessId(*process);
                if self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&id) {
                    self.processes.insert(id, pushed(descriptors));
                }
            }
            SavedAnalysis::SharedUse {
                scope,
                resource,
                samples,
            } => {
                let key = (scope.clone(), resource.clone());
                if self.shared.len() < MAX_SHARED || self.shared.contains_key(&key) {
                    self.shared.insert(key, pushed(samples));
                }
            }
            SavedAnalysis::Ledger(_)
            | SavedAnalysis::Judge(_)
            | SavedAnalysis::History { .. }
            | SavedAnalysis::Latest(_) => {}
        }
    }

    /// A shared limit with its growth, and when it will be reached.
    pub(super) fn shared_limit(&self, limit: &SharedLimit) -> SharedLimit {
        let found = self.forecast_shared(&limit.scope, &limit.resource, limit.used, limit.limit);
        SharedLimit {
            growth_per_second: found.growth_per_second,
            exhaustion_seconds: found.exhaustion_seconds,
            ..limit.clone()
        }
    }

    /// Notes how many mappings the kernel counts of a process, and their size. The
    /// ledger may know of more mappings: the kernel joins those that lie side by side.
    pub(super) fn counted(&mut self, time: Nanos, process: ProcessId, limits: &[Limit]) {
        let counted = limits
            .iter()
            .filter(|limit| [MAPPINGS, ADDRESS_SPACE].contains(&limit.resource.as_str()));
        let told: Vec<SharedLimit> = counted
            .map(|limit| SharedLimit {
                scope: scope_of(process),
                resource: limit.resource.clone(),
                used: limit.used,
                ..SharedLimit::default()
            })
            .collect();
        self.shared(time, &told);
    }

    /// When a process's limit will be reached by the use that was measured.
    pub(super) fn measured(&self, process: ProcessId, limit: &Limit) -> Measured {
        let samples = self.samples(process, limit);
        Measured {
            exhaustion_seconds: forecast(samples, limit.used, limit.soft).exhaustion_seconds,
            does_not_rise: does_not_rise(samples),
            gain_per_second: gain(samples).filter(|_| !does_not_rise(samples)),
        }
    }

    fn samples(&self, process: ProcessId, limit: &Limit) -> &[(Nanos, u64)] {
        match limit.resource.as_str() {
            "nofile" => self.processes.get(&process).map_or(&[], Vec::as_slice),
            resource @ (MAPPINGS | ADDRESS_SPACE) => self.told(&scope_of(process), resource),
            resource => self.told(&limit.scope, resource),
        }
    }

    /// Samples of what was told.
    fn told(&self, scope: &str, resource: &str) -> &[(Nanos, u64)] {
        let key = (scope.to_owned(), resource.to_owned());
        self.shared.get(&key).map_or(&[], Vec::as_slice)
    }

    fn forecast_shared(&self, scope: &str, resource: &str, used: u64, limit: u64) -> Forecast {
        forecast(self.told(scope, resource), used, limit)
    }
}

/// Units a second from the first to the last of samples enough.
fn gain(samples: &[(Nanos, u64)]) -> Option<f64> {
    let ((began, first), (ended, last)) = (samples.first()?, samples.last()?);
    let span = seconds(ended.saturating_sub(*began));
    let gained = last.checked_sub(*first).filter(|gained| *gained > 0)?;
    (samples.len() >= LEAST_SAMPLES && span > 0.0).then(|| gained as f64 / span)
}

/// The scope under which a process's own samples are kept among those of shared limits.
fn scope_of(process: ProcessId) -> String {
    format!("process:{}:{}", process.pid(), process.start_ticks())
}

/// Samples that come from a file: in order, and no more of them than are kept.
fn pushed(samples: &[(Nanos, u64)]) -> Samples {
    let mut kept = Samples::new();
    for &(time, used) in samples {
        push(&mut kept, time, used);
    }
    kept
}

fn held_descriptors(view: &ProcessView) -> u64 {
    let kinds = view.outstanding.iter().chain(view.preexisting.iter());
    kinds
        .filter(|(kind, _)| kind.class() == Class::Descriptor)
        .map(|(_, count)| count)
        .sum()
}
