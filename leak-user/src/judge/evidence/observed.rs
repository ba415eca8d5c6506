//! What a look at a process showed of its resources, and since when it is so.

use std::collections::HashMap;

use leak_common::{Handle, ProcessId};

use super::series::Series;
use crate::ledger::Ledger;
use crate::model::{site::SiteId, time::Nanos};

/// Processes remembered at most.
const MAX_PROCESSES: usize = 4096;

/// What a look at a process showed. It replaces what the look before it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub time: Nanos,
    pub process: ProcessId,
    /// Sockets whose peer has closed, and the peer's address (untrusted text).
    pub close_wait: Vec<(Handle, String)>,
    /// Watches of an inotify or epoll descriptor.
    pub watches: Vec<(Handle, u64)>,
    /// Where the stacks of threads stand.
    pub stacks: Vec<(Handle, u64)>,
    /// Of inotify descriptors that have watches of which it is known, the site that added most.
    pub adders: Vec<(Handle, SiteId)>,
}

impl Observation {
    /// Whether it showed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.close_wait.is_empty() && self.watches.is_empty() && self.stacks.is_empty()
    }
}

/// Since when a socket waits for its owner's close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::judge) struct Waiting {
    pub(in crate::judge) since: Nanos,
    pub(in crate::judge) peer: String,
}

/// What is known of one process.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct Seen {
    pub(in crate::judge) close_wait: HashMap<Handle, Waiting>,
    pub(in crate::judge) watches: HashMap<Handle, Series>,
    /// Where the stacks of threads stand.
    pub(in crate::judge) stacks: HashMap<Handle, u64>,
    pub(in crate::judge) adders: HashMap<Handle, SiteId>,
}

/// All that was observed.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct AllSeen(HashMap<ProcessId, Seen>);

impl AllSeen {
    pub(in crate::judge) fn take(&mut self, observation: &Observation) {
        let Observation {
            time,
            process,
            close_wait,
            watches,
            stacks,
            adders,
        } = observation;
        if observation.is_empty() {
            self.0.remove(process);
            return;
        }
        if self.0.len() >= MAX_PROCESSES && !self.0.contains_key(process) {
            return;
        }
        let seen = self.0.entry(*process).or_default();
        let mut before = std::mem::take(&mut seen.close_wait);
        for (handle, peer) in close_wait {
            // Another peer is another connection on the same descriptor.
            let waiting = before
                .remove(handle)
                .filter(|waiting| waiting.peer == *peer)
                .unwrap_or_else(|| Waiting {
                    since: *time,
                    peer: peer.clone(),
                });
            seen.close_wait.insert(*handle, waiting);
        }
        seen.watches
            .retain(|handle, _| watches.iter().any(|(other, _)| other == handle));
        seen.stacks = stacks.iter().copied().collect();
        seen.adders = adders.iter().copied().collect();
        for &(handle, count) in watches {
            seen.watches.entry(handle).or_default().push(*time, count);
        }
    }

    /// Puts back what was seen of a process.
    pub(in crate::judge) fn restore(&mut self, process: ProcessId, seen: Seen) {
        if self.0.len() < MAX_PROCESSES {
            self.0.insert(process, seen);
        }
    }

    /// Forgets processes that the ledger does not know any more.
    pub(in crate::judge) fn forget(&mut self, ledger: &Ledger) {
        self.0.retain(|&process, _| {
            ledger
                .process(process)
                .is_some_and(|process| process.exited.is_none())
        });
    }

    /// What was observed of one process.
    pub(in crate::judge) fn of(&self, process: ProcessId) -> Option<&Seen> {
        self.0.get(&process)
    }

    pub(in crate::judge) fn iter(&self) -> impl Iterator<Item = (ProcessId, &Seen)> {
        self.0.iter().map(|(&process, seen)| (process, seen))
    }
}
