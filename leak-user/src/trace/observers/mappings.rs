//! How many mappings the kernel counts of a process, while it maps more and more: those
//! side by side are one to the kernel, so that what was mapped does not tell it. And how
//! large the address space is of those that have a limit on it.

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use super::Outlet;
use crate::proc::Proc;
use crate::{analysis::Input, kernel::monotonic_now, model::time::Nanos};

/// The pause after counting, as a multiple of the time that counting took: 100 is 1 % of a processor.
const PAUSE: u64 = 100;

/// Processes counted: those that have mapped most since they were first seen, from so
/// many mappings on.
const MAX_PROCESSES: usize = 64;
const LEAST_GROWTH: u64 = 5;

/// When counting is due again, and what was known first of each process.
pub(super) struct MappingCounts {
    proc: Proc,
    due: Nanos,
    first: HashMap<ProcessId, First>,
}

#[derive(Debug)]
struct First {
    mappings: u64,
    /// Whether its address space is limited.
    limited: bool,
}

impl MappingCounts {
    pub(super) fn new(proc: &Proc) -> MappingCounts {
        MappingCounts {
            proc: proc.clone(),
            due: 0,
            first: HashMap::new(),
        }
    }

    /// Counts, if it is time to.
    pub(super) fn count(&mut self, outlet: &mut Outlet) {
        let began = monotonic_now();
        if began < self.due {
            return;
        }
        let running = outlet.ledger().running();
        let held: HashMap<ProcessId, u64> = running
            .iter()
            .map(|view| (view.id, view.outstanding.get(Kind::Mapping)))
            .collect();
        self.first.retain(|id, _| held.contains_key(id));
        let mut growing = Vec::new();
        for (process, mappings) in held {
            let first = self.first.entry(process).or_insert_with(|| First {
                mappings,
                limited: self.proc.has_limited_space(process.pid()),
            });
            let growth = mappings.saturating_sub(first.mappings);
            if growth >= LEAST_GROWTH || first.limited {
                growing.push((growth, process));
            }
        }
        growing.sort_unstable_by(|a, b| b.cmp(a));
        for (_, process) in growing.into_iter().take(MAX_PROCESSES) {
            self.tell_space_of(process, outlet);
        }
        let now = monotonic_now();
        self.due = now.saturating_add(now.saturating_sub(began).saturating_mul(PAUSE));
    }

    /// Tells what is counted among what is known of the process's limits.
    fn tell_space_of(&self, process: ProcessId, outlet: &mut Outlet) {
        let counted = self.proc.space_limits(process.pid());
        if counted.is_empty() || self.proc.identity(process.pid()) != Some(process) {
            return;
        }
        let mut limits = outlet.analysis().limits_of(process).to_vec();
        limits.retain(|known| counted.iter().all(|one| one.resource != known.resource));
        limits.extend(counted);
        outlet.tell(Input::Limits(process, limits));
    }
}
