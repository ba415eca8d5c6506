//! How far a report can be trusted: what the kernel side counted, with what the
//! ledger knows.

use std::collections::BTreeMap;

use crate::{event::Uncovered, ledger::Ledger, model::report::Health};

/// What was not kept because there was no room, outside of the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dropped {
    /// First failures of processes.
    pub(super) failures: u64,
    /// Refused calls that the judge would look at.
    pub(super) refusals: u64,
    /// Looks at when resources of a site were used last.
    pub(super) last_uses: u64,
}

/// Adds the ledger's figures, and what was not kept, to those of the kernel side.
pub(super) fn complete(told: &Health, ledger: &Ledger, dropped: Dropped) -> Health {
    let totals = ledger.totals();
    let mut lost_by_cause: BTreeMap<String, u64> = told.lost_by_cause.clone();
    for (cause, count) in [
        ("log_overflow", totals.log_overflows),
        ("sites_refused", totals.sites_refused),
        ("processes_refused", totals.processes_refused),
        ("failures_dropped", dropped.failures),
        ("refusals_dropped", dropped.refusals),
        ("last_uses_dropped", dropped.last_uses),
        ("endings_refused", totals.endings_refused),
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
    let mut requests = Vec::new();
    for view in ledger.processes() {
        for cause in &view.uncovered {
            match cause {
                Uncovered::Compat => compat.push(view.id.pid()),
                Uncovered::UringClose => closes.push(view.id.pid()),
                Uncovered::UringUnseen => requests.push(view.id.pid()),
            }
        }
    }
    [
        ("32-bit system calls are not seen", compat),
        ("this kernel does not show what io_uring closes", closes),
        (
            "descriptors of some requests of io_uring are not seen",
            requests,
        ),
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
