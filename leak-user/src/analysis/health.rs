//! How far a report can be trusted: what the kernel side counted, with what the
//! ledger knows.

use std::collections::BTreeMap;

use crate::{event::Uncovered, ledger::Ledger, model::report::Health};

/// Adds the ledger's figures, and the failures that were not kept, to those of the kernel side.
pub(super) fn complete(told: &Health, ledger: &Ledger, failures_dropped: u64) -> Health {
    let totals = ledger.totals();
    let mut lost_by_cause: BTreeMap<String, u64> = told.lost_by_cause.clone();
    for (cause, count) in [
        ("log_overflow", totals.log_overflows),
        ("sites_refused", totals.sites_refused),
        ("processes_refused", totals.processes_refused),
        ("failures_dropped", failures_dropped),
    ] {
        if count > 0 {
            *lost_by_cause.entry(cause.to_owned()).or_default() += count;
        }
    }
    let mut uncovered = told.uncovered.clone();
    uncovered.extend(not_followed(ledger));
    Health {
        lost: lost_by_cause.values().sum(),
        lost_by_cause,
        reconciled: totals.reconciled,
        adopted: totals.adopted,
        uncovered,
        ..told.clone()
    }
}

/// What could not be followed in processes, one sentence each.
fn not_followed(ledger: &Ledger) -> Vec<String> {
    let mut compat = Vec::new();
    let mut closes = Vec::new();
    for view in ledger.processes() {
        for cause in &view.uncovered {
            match cause {
                Uncovered::Compat => compat.push(view.id.pid()),
                Uncovered::UringClose => closes.push(view.id.pid()),
            }
        }
    }
    [
        ("32-bit system calls are not seen", compat),
        ("this kernel does not show what io_uring closes", closes),
    ]
    .into_iter()
    .filter(|(_, pids)| !pids.is_empty())
    .map(|(sentence, mut pids)| {
        pids.sort_unstable();
        format!("{sentence} (pid {})", list(&pids))
    })
    .collect()
}

fn list(pids: &[u32]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = pids.iter().take(SHOWN).map(u32::to_string).collect();
    match pids.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
