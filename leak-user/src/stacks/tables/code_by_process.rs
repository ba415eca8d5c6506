//! Where processes have mapped code since a trace began, as the programs tell it: for
//! processes that are gone before `/proc` can be read.

use leak_common::ProcessId;

use crate::{event::CodeMapped, model::hash::Map, stacks::MappedCode};

/// Processes whose mappings are remembered, and mappings of each.
const MAX_PROCESSES: usize = 4096;
const MAX_MAPPINGS: usize = 512;

/// Mapped code by process.
#[derive(Debug, Default)]
pub struct CodeByProcess(Map<ProcessId, Vec<MappedCode>>);

impl CodeByProcess {
    /// Takes note of what a process maps.
    pub fn mapped(&mut self, mapped: &CodeMapped) {
        let code = MappedCode::from(mapped);
        if code.range.start == 0 || self.0.len() >= MAX_PROCESSES {
            return;
        }
        let known = self.0.entry(mapped.process).or_default();
        if known.len() < MAX_MAPPINGS {
            known.push(code);
        }
    }

    /// A child begins with what its parent has mapped.
    pub fn forked(&mut self, parent: ProcessId, child: ProcessId) {
        if self.0.len() < MAX_PROCESSES
            && let Some(mapped) = self.0.get(&parent).cloned()
        {
            self.0.insert(child, mapped);
        }
    }

    /// A process runs another program, or is gone.
    pub fn forget(&mut self, process: ProcessId) {
        self.0.remove(&process);
    }

    /// What is known of a process, the latest first.
    pub fn of(&self, process: ProcessId) -> impl Iterator<Item = MappedCode> {
        self.0.get(&process).into_iter().flatten().rev().copied()
    }
}
