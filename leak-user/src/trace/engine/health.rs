//! What the kernel side and this driver have seen and lost so far.

use std::collections::BTreeMap;

use leak_common::{Counter, wire::StackEnd};

use super::super::code::EndChanges;
use super::Engine;
use crate::{kernel::Counters, model::report::Health};

impl Engine {
    /// Records lost until now.
    pub(in crate::trace) fn lost(&self) -> u64 {
        self.outlet.analysis().health(&self.health()).lost
    }

    /// Acquisitions and releases of what is traced.
    fn seen(&self, counters: &Counters) -> u64 {
        let all = counters.get(Counter::Acquired) + counters.get(Counter::Released);
        all.saturating_sub(self.intake.of_others())
    }

    pub(super) fn health(&self) -> Health {
        let counters = self.tracer.counters().unwrap_or_default();
        let lost_by_cause = self.lost_by_cause(&counters);
        let unfinished = unfinished(&counters, self.code.end_changes());
        Health {
            events: self.seen(&counters),
            lost: lost_by_cause.values().sum(),
            lost_by_cause,
            stacks_truncated: unfinished.values().sum(),
            stacks_truncated_by_reason: unfinished,
            uncovered: self.uncovered(),
            unmatched: self.unmatched(),
            ..Health::default()
        }
    }

    /// What was chosen, where no process was met that matches.
    fn unmatched(&self) -> Option<String> {
        let chosen = &self.scope.chosen;
        let is_met = self.is_met || self.meets_one();
        (chosen.may_match_none() && !is_met).then(|| chosen.unmatched())
    }

    /// Whether a process is known that is traced.
    pub(super) fn meets_one(&self) -> bool {
        self.outlet.ledger().processes().next().is_some()
    }

    fn uncovered(&self) -> Vec<String> {
        let missing = self.hooks.missing.iter().cloned();
        let children = self.left_out.iter().cloned();
        let missing = children.chain(missing).chain(self.describer.uncovered());
        missing.chain(self.code.uncovered()).collect()
    }

    /// Losses by cause; what is zero is left out.
    fn lost_by_cause(&self, counters: &Counters) -> BTreeMap<String, u64> {
        let of_kernel = Counter::ALL
            .into_iter()
            .filter_map(|counter| Some((counter.loss()?, counters.get(counter))));
        let of_ours = [
            ("undecodable", self.undecodable),
            ("program_busy", self.missed),
            ("recording", self.outlet.lost_to_recording()),
            ("full_untold", self.observers.full_untold()),
        ];
        of_kernel
            .chain(of_ours)
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (cause.to_owned(), count))
            .collect()
    }
}

/// Stacks that ended early, by reason; what is zero is left out. `changes` are those
/// that user space has walked on since.
fn unfinished(counters: &Counters, changes: &EndChanges) -> BTreeMap<String, u64> {
    StackEnd::ALL
        .into_iter()
        .filter_map(|end| Some((end, counters.get(Counter::of_stack(end)?))))
        .map(|(end, count)| (end.name().to_owned(), changes.apply(end, count)))
        .filter(|(_, count)| *count > 0)
        .collect()
}
