//! How sure a verdict is.
//!
//! Evidence: a leak starts at 0.5, a suspicion at 0.25; with twelve resources
//! grown, thirty seconds observed and nothing released a leak reaches 0.99, a
//! suspicion 0.5. Steadiness starts at 0.5 and reaches 0.9 after thirty seconds.
//! Trust: half of it where events were lost, four fifths where `/proc` is to be
//! asked or the site is not known, nine tenths where something is not covered.

use leak_common::ProcessId;

use super::Opinion;
use crate::ledger::Ledger;
use crate::report::model::Verdict;

/// How far what is known of a process can be trusted: a factor up to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust(f64);

impl Trust {
    pub(super) fn of(ledger: &Ledger, process: ProcessId) -> Trust {
        let Some(process) = ledger.process(process) else {
            return Trust(0.8);
        };
        let mut trust = match (process.lossy, process.needs_reconcile) {
            (true, _) => 0.5,
            (false, true) => 0.8,
            (false, false) => 1.0,
        };
        if !process.uncovered.is_empty() {
            trust *= 0.9;
        }
        Trust(trust)
    }
}

/// The confidence of an opinion, 0 to 1. `ratio` is the share of old resources
/// that were released; `known` says whether the site is.
pub(super) fn of(opinion: &Opinion, ratio: f64, trust: Trust, known: bool) -> f64 {
    let grown = (opinion.grown / 12.0).clamp(0.0, 1.0);
    let observed = (opinion.observed / 30.0).clamp(0.0, 1.0);
    let kept = 1.0 - ratio.clamp(0.0, 1.0);
    let evidence = match opinion.verdict {
        Verdict::Leak => 0.5 + 0.2 * grown + 0.19 * observed + 0.1 * kept,
        Verdict::Suspect => 0.25 + 0.1 * grown + 0.1 * observed + 0.05 * kept,
        Verdict::Steady => 0.5 + 0.4 * observed,
    };
    evidence * trust.0 * if known { 1.0 } else { 0.8 }
}
