//! Where processes have mapped code since a trace began, as the programs tell it: for
//! those that are gone before `/proc` can be read.

use leak_common::ProcessId;

use super::Place;
use crate::{event::CodeMapped, model::hash::Map};

/// Processes whose mappings are remembered, and mappings of each.
const MAX_PROCESSES: usize = 4096;
const MAX_PLACES: usize = 512;

/// Places by process.
#[derive(Debug, Default)]
pub struct Places(Map<ProcessId, Vec<Place>>);

impl Places {
    /// Takes note of what a process maps.
    pub fn mapped(&mut self, mapped: &CodeMapped) {
        if mapped.start == 0 || self.0.len() >= MAX_PROCESSES {
            return;
        }
        let places = self.0.entry(mapped.process).or_default();
        if places.len() < MAX_PLACES {
            places.push(Place {
                start: mapped.start,
                end: mapped.end,
                offset: mapped.offset,
                file: Some(mapped.file),
            });
        }
    }

    /// A child begins with what its parent has mapped.
    pub fn forked(&mut self, parent: ProcessId, child: ProcessId) {
        if self.0.len() < MAX_PROCESSES
            && let Some(places) = self.0.get(&parent).cloned()
        {
            self.0.insert(child, places);
        }
    }

    /// A process runs another program, or is gone.
    pub fn forget(&mut self, process: ProcessId) {
        self.0.remove(&process);
    }

    /// What is known of a process, the latest first.
    pub fn of(&self, process: ProcessId) -> impl Iterator<Item = Place> {
        self.0.get(&process).into_iter().flatten().rev().copied()
    }
}
