//! Processes that are full when the trace begins, when a call of theirs is refused, and when
//! it ends: what they hold is told. What is full and does not grow is no leak by any rule, and
//! yet why somebody looks.

use std::collections::{HashMap, HashSet};

use leak_common::{Kind, ProcessId};

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

/// Processes that are remembered as full and not told.
const MAX_UNTOLD: usize = 4096;

/// Processes that are looked at: one file of each, and another of those that hold some.
const MAX_PROCESSES: usize = 16_384;

/// How many of a kind a process holds, as far as is known.
fn held(view: &ProcessView, kind: Kind) -> u64 {
    view.outstanding.get(kind) + view.preexisting.get(kind)
}

/// Who was told to be full.
pub(super) struct FullLooks {
    proc: Proc,
    told: HashSet<ProcessId>,
    refused: HashMap<ProcessId, Refusal>,
    untold: Untold,
}

/// Processes of which it is not told that they are full, because there are too many.
#[derive(Default)]
struct Untold {
    remembered: HashSet<ProcessId>,
    /// More than can be remembered.
    further: u64,
}

impl Untold {
    fn add(&mut self, process: ProcessId) {
        if self.remembered.len() < MAX_UNTOLD {
            self.remembered.insert(process);
        } else if !self.remembered.contains(&process) {
            self.further += 1;
        }
    }

    fn count(&self) -> u64 {
        self.remembered.len() as u64 + self.further
    }
}

impl FullLooks {
    pub(super) fn new(proc: &Proc) -> FullLooks {
        FullLooks {
            proc: proc.clone(),
            told: HashSet::new(),
            refused: HashMap::new(),
            untold: Untold::default(),
        }
    }

    /// Looks at all processes: tells of those that are full, and of those that were and are
    /// not any more.
    pub(super) fn look(&mut self, outlet: &mut Outlet) {
        let holds = |view: &ProcessView| view.outstanding.total() + view.preexisting.total() > 0;
        let running = outlet.ledger().running().into_iter();
        let some: Vec<ProcessView> = running.filter(holds).take(MAX_PROCESSES).collect();
        let mut full: HashMap<u32, Full> = HashMap::new();
        for view in &some {
            let refused = self.refused.get(&view.id).copied();
            let own = self
                .proc
                .full(view.id.pid(), refused, held(view, Kind::Mapping));
            full.extend(own.map(|own| (own.pid, own)));
        }
        for shared in self.full_users(&some) {
            // A process is told of once: its own limit is what it can do something about.
            full.entry(shared.pid).or_insert(shared);
        }
        for view in some {
            match full.remove(&view.id.pid()) {
                Some(full) => self.tell(view.id, full, outlet),
                None if self.told.contains(&view.id)
                    && self.proc.identity(view.id.pid()) == Some(view.id) =>
                {
                    self.told.remove(&view.id);
                    outlet.tell(Input::Full(view.id, Box::default()));
                }
                None => {}
            }
        }
    }

    /// The users of processes that have nearly all that they may.
    fn full_users(&self, views: &[ProcessView]) -> Vec<Full> {
        let pids: Vec<u32> = views.iter().map(|view| view.id.pid()).collect();
        let with_inotify = views.iter().filter(|view| held(view, Kind::Inotify) > 0);
        let with_inotify: Vec<u32> = with_inotify.map(|view| view.id.pid()).collect();
        let mut full = self.proc.full_of_inotify(&with_inotify);
        full.extend(self.proc.full_of_tasks(&pids));
        full
    }

    /// Looks at a process that was refused something of which it may be full, for the first time.
    pub(super) fn refused(&mut self, failed: &Failed, outlet: &mut Outlet) {
        let is_about = match failed.error {
            Refusal::Files => true,
            Refusal::Memory => failed.kind == Kind::Mapping,
            Refusal::Tasks | Refusal::HostFiles | Refusal::Room => false,
        };
        if !is_about || self.refused.contains_key(&failed.process) {
            return;
        }
        if self.refused.len() >= MAX_TOLD {
            self.untold.add(failed.process);
            return;
        }
        self.refused.insert(failed.process, failed.error);
        // It may have given everything back since; and other things run out with the same
        // error, such as a user's inotify instances.
        if let Some(full) = self.proc.full(failed.process.pid(), Some(failed.error), 0) {
            self.tell(failed.process, full, outlet);
        }
    }

    /// Processes that were full, of which it was not told.
    pub(super) fn untold(&self) -> u64 {
        self.untold.count()
    }

    fn tell(&mut self, process: ProcessId, full: Full, outlet: &mut Outlet) {
        if u64::from(process.start_ticks()) != full.start_time {
            return;
        }
        if self.told.len() >= MAX_TOLD && !self.told.contains(&process) {
            let runs = |id: &ProcessId| self.proc.identity(id.pid()) == Some(*id);
            self.told.retain(runs);
            if self.told.len() >= MAX_TOLD {
                tracing::debug!(pid = process.pid(), MAX_TOLD, "too many processes are full");
                self.untold.add(process);
                return;
            }
        }
        self.untold.remembered.remove(&process);
        self.told.insert(process);
        outlet.tell(Input::Full(process, Box::new(full)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_that_is_not_told_counts_once_and_none_is_forgotten() {
        let mut untold = Untold::default();
        for process in 0..MAX_UNTOLD as u64 + 3 {
            untold.add(ProcessId(process));
            untold.add(ProcessId(process % 7));
        }
        assert_eq!(untold.count(), MAX_UNTOLD as u64 + 3);
    }
}
