//! What the kernel refused processes: where growth ends because calls fail, it is not over.

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use crate::event::Failed;
use crate::ledger::Ledger;
use crate::model::{refusal::Refusal, time::Nanos};

/// Processes remembered at most; of each there is one refusal for every reason.
const MAX_PROCESSES: usize = 4096;

/// The first time that a process was refused something for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judge) struct Refused {
    pub(in crate::judge) time: Nanos,
    /// What the call would have acquired.
    pub(in crate::judge) kind: Kind,
    pub(in crate::judge) error: Refusal,
}

impl Refused {
    /// Whether no more of a kind can be acquired from then on.
    fn bounds(&self, kind: Kind) -> bool {
        match self.error {
            // inotify_init(2) has a limit of its own, fs.inotify.max_user_instances, and the same error for it.
            Refusal::Files if self.kind == Kind::Inotify => kind == Kind::Inotify,
            // That of a watch bounds no descriptors: see `of_watches`.
            Refusal::Room => self.kind == kind && Refusal::Room.bounds(kind.class()),
            error => error.bounds(kind.class()),
        }
    }
}

/// All that was refused.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct AllRefused {
    processes: HashMap<ProcessId, Vec<Refused>>,
    /// The first time that the host had no room for another open file: nobody gets one then.
    host: Option<Refused>,
    /// Refusals of further processes.
    dropped: u64,
}

impl AllRefused {
    pub(in crate::judge) fn take(&mut self, failed: &Failed) {
        let refused = Refused {
            time: failed.time,
            kind: failed.kind,
            error: failed.error,
        };
        self.add(failed.process, refused);
    }

    /// Adds a refusal, unless one for the same reason is known.
    pub(in crate::judge) fn add(&mut self, process: ProcessId, refused: Refused) {
        if refused.error == Refusal::HostFiles {
            self.host.get_or_insert(refused);
        }
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&process) {
            self.dropped += 1;
            return;
        }
        let known = self.processes.entry(process).or_default();
        if known.iter().all(|one| one.error != refused.error) {
            known.push(refused);
        }
    }

    /// The first refusal from which on a process could acquire no more of a kind.
    pub(in crate::judge) fn wall(&self, process: ProcessId, kind: Kind) -> Option<Refused> {
        let own = self.processes.get(&process).into_iter().flatten();
        own.chain(&self.host)
            .filter(|refused| refused.bounds(kind))
            .min_by_key(|refused| refused.time)
            .copied()
    }

    /// Refusals that are not remembered because there was no room.
    pub(in crate::judge) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// When a process was first refused another watch of an inotify descriptor.
    pub(in crate::judge) fn of_watches(&self, process: ProcessId) -> Option<Refused> {
        let mut own = self.processes.get(&process).into_iter().flatten();
        own.find(|refused| refused.error == Refusal::Room && refused.kind == Kind::Inotify)
            .copied()
    }

    /// Forgets processes that the ledger does not know any more.
    pub(in crate::judge) fn forget(&mut self, ledger: &Ledger) {
        self.processes
            .retain(|&process, _| ledger.process(process).is_some());
    }

    pub(in crate::judge) fn iter(&self) -> impl Iterator<Item = (ProcessId, &Refused)> {
        let all = self.processes.iter();
        all.flat_map(|(&process, refused)| refused.iter().map(move |one| (process, one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_further_processes_are_counted() {
        let refused = |time| Refused {
            time,
            kind: Kind::File,
            error: Refusal::Files,
        };
        let mut all = AllRefused::default();
        for pid in 0..MAX_PROCESSES as u32 + 3 {
            all.add(ProcessId::new(pid, 1), refused(1));
        }
        // Those that are known have their room.
        all.add(ProcessId::new(0, 1), refused(2));
        assert_eq!(all.dropped(), 3);
        let wall = all.wall(ProcessId::new(0, 1), Kind::File);
        assert_eq!(wall, Some(refused(1)));
    }
}
