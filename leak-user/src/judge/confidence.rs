//! How sure a verdict is, as a share: of findings with a confidence of 0.8, eight in ten
//! are what they are called. The corpus is where that is counted (docs/verdicts.md).
//!
//! Evidence: a leak with just as much growth as it takes starts at 0.8; what is left
//! to 1 halves when there is twice as much. A suspicion has half the share of what it
//! takes: about how many become leaks. Steadiness starts at 0.5 and nears 1 with the
//! time observed. Trust: where events were lost, three fifths; where `/proc` is to be
//! asked, nine tenths; where something of the process is not covered or the site is
//! not known, less again. A comparison with `/proc` brings it back.

use super::opinion::Opinion;
use crate::ledger::ProcessView;
use crate::model::report::Verdict;

/// How far what is known of a process can be trusted: a factor up to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust(f64);

impl Trust {
    /// `None`: the ledger does not know the process (any more).
    pub(super) fn of(process: Option<&ProcessView>) -> Trust {
        let Some(process) = process else {
            return Trust(0.8);
        };
        let mut trust = match (process.lossy, process.needs_reconcile) {
            (true, _) => 0.6,
            (false, true) => 0.9,
            (false, false) => 1.0,
        };
        if !process.uncovered.is_empty() {
            trust *= 0.9;
        }
        Trust(trust)
    }
}

/// The confidence of an opinion, 0 to 1. `known` says whether the site is.
pub(super) fn of(opinion: &Opinion, trust: Trust, known: bool) -> f64 {
    let strength = opinion.strength.max(0.0);
    let evidence = match opinion.verdict {
        Verdict::Leak => 1.0 - 0.2 / strength.max(1.0),
        Verdict::Suspect => 0.5 * strength.clamp(0.1, 1.0),
        Verdict::Steady => 1.0 - 0.5 * (-opinion.observed.max(0.0) / 30.0).exp(),
    };
    evidence * trust.0 * if known { 1.0 } else { 0.9 }
}
