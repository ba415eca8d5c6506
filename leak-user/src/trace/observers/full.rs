//! Processes that are full when the trace begins, when a call of theirs is refused, and when
//! it ends: what they hold is told. What is full and does not grow is no leak by any rule, and
//! yet why somebody looks.

use std::collections::HashSet;

use leak_common::ProcessId;

use super::Outlet;
use crate::{
    analysis::Input,
    event::Failed,
    ledger::ProcessView,
    model::{refusal::Refusal, report::Full},
    proc::Proc,
};

/// Processes of which it is told.
const MAX_TOLD: usize = 64;

/// Processes that are looked at: one file of each, and another of those that hold some.
const MAX_PROCESSES: usize = 16_384;

/// Who was told to be full.
pub(super) struct FullLooks {
    proc: Proc,
    told: HashSet<ProcessId>,
    refused: HashSet<ProcessId>,
}

impl FullLooks {
    pub(super) fn new(proc: &Proc) -> FullLooks {
        FullLooks {
            proc: proc.clone(),
            told: HashSet::new(),
            refused: HashSet::new(),
        }
    }

    /// Looks at all processes: tells of those that are full, and of those that were and are
    /// not any more.
    pub(super) fn look(&mut self, outlet: &mut Outlet) {
        let holds = |view: &ProcessView| view.outstanding.total() + view.preexisting.total() > 0;
        let running = outlet.ledger().running().into_iter();
        let some: Vec<ProcessId> = running
            .filter(holds)
            .map(|view| view.id)
            .take(MAX_PROCESSES)
            .collect();
        for process in some {
            match self
                .proc
                .full(process.pid(), self.refused.contains(&process))
            {
                Some(full) => self.tell(process, full, outlet),
                None if self.told.contains(&process)
                    && self.proc.identity(process.pid()) == Some(process) =>
                {
                    self.told.remove(&process);
                    outlet.tell(Input::Full(process, Box::default()));
                }
                None => {}
            }
        }
    }

    /// Looks at a process that was refused a descriptor for the first time.
    pub(super) fn refused(&mut self, failed: &Failed, outlet: &mut Outlet) {
        if failed.error != Refusal::Files
            || self.refused.len() >= MAX_TOLD
            || !self.refused.insert(failed.process)
        {
            return;
        }
        // It may have given everything back since; and other things run out with the same
        // error, such as a user's inotify instances.
        if let Some(full) = self.proc.full(failed.process.pid(), true) {
            self.tell(failed.process, full, outlet);
        }
    }

    fn tell(&mut self, process: ProcessId, full: Full, outlet: &mut Outlet) {
        if u64::from(process.start_ticks()) != full.start_time {
            return;
        }
        if self.told.len() >= MAX_TOLD && !self.told.contains(&process) {
            let runs = |id: &ProcessId| self.proc.identity(id.pid()) == Some(*id);
            self.told.retain(runs);
            if self.told.len() >= MAX_TOLD {
                tracing::warn!(pid = process.pid(), MAX_TOLD, "too many processes are full");
                return;
            }
        }
        self.told.insert(process);
        outlet.tell(Input::Full(process, Box::new(full)));
    }
}
