//! What was seen of resources beside their acquisition and release, kept with the time
//! since when it is so.

use std::collections::HashMap;

use leak_common::{Handle, ProcessId};

use super::series::Series;
use crate::ledger::Ledger;
use crate::model::time::Nanos;

/// Processes remembered at most.
const MAX_PROCESSES: usize = 4096;

/// What a look at a process showed: all of it replaces what the last look did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub time: Nanos,
    pub process: ProcessId,
    /// Sockets whose peer has closed, and the peer's address (untrusted text).
    pub close_wait: Vec<(Handle, String)>,
    /// Watches of an inotify or epoll descriptor.
    pub watches: Vec<(Handle, u64)>,
}

/// Since when a socket waits for its owner's close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) since: Nanos,
    pub(super) peer: String,
}

/// What is known of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) close_wait: HashMap<Handle, Waiting>,
    pub(super) watches: HashMap<Handle, Series>,
}

/// All that was observed.
#[derive(Clone, Debug, Default)]
pub(super) struct AllSeen(HashMap<ProcessId, Seen>);

impl AllSeen {
    pub(super) fn take(&mut self, observation: &Observation) {
        let Observation {
            time,
            process,
            close_wait,
            watches,
        } = observation;
        let empty = close_wait.is_empty() && watches.is_empty();
        if empty {
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
        for &(handle, count) in watches {
            seen.watches.entry(handle).or_default().push(*time, count);
        }
    }

    /// Puts back what was seen of a process.
    pub(super) fn restore(&mut self, process: ProcessId, seen: Seen) {
        if self.0.len() < MAX_PROCESSES {
            self.0.insert(process, seen);
        }
    }

    /// Forgets processes that the ledger does not know any more.
    pub(super) fn forget(&mut self, ledger: &Ledger) {
        self.0.retain(|&process, _| {
            ledger
                .process(process)
                .is_some_and(|process| process.exited.is_none())
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ProcessId, &Seen)> {
        self.0.iter().map(|(&process, seen)| (process, seen))
    }
}
