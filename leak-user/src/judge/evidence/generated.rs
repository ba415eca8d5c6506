//! Where the code lies that processes make while they run.
//!
//! The code of one line is elsewhere each time that it is compiled again, so such an address says
//! nothing of the place in the program.

use std::collections::HashMap;

use leak_common::ProcessId;

use crate::ledger::Ledger;
use crate::model::address::AddressRange;

/// Processes remembered at most.
const MAX_PROCESSES: usize = 16_384;

/// Ranges of a process remembered at most.
const MAX_RANGES: usize = 256;

/// Where a process has made code so far. It replaces what was told of the process before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedCode {
    pub process: ProcessId,
    /// In the order of their addresses; they do not overlap.
    pub ranges: Vec<AddressRange>,
}

/// That of all processes.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct AllGenerated(HashMap<ProcessId, Vec<AddressRange>>);

impl AllGenerated {
    pub(in crate::judge) fn take(&mut self, code: &GeneratedCode) {
        if self.0.len() >= MAX_PROCESSES && !self.0.contains_key(&code.process) {
            return;
        }
        let ranges = code.ranges.iter().copied().take(MAX_RANGES);
        let mut ranges: Vec<AddressRange> = ranges.filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable();
        self.0.insert(code.process, ranges);
    }

    /// What is known of a process; `None` where it makes no code, as far as is known.
    pub(in crate::judge) fn of(&self, process: ProcessId) -> Option<&[AddressRange]> {
        let ranges = self.0.get(&process)?;
        (!ranges.is_empty()).then_some(ranges.as_slice())
    }

    /// Whether a frame of a process is known to lie in such code.
    pub(in crate::judge) fn contains(&self, process: ProcessId, frame: u64) -> bool {
        self.of(process).is_some_and(|ranges| is_in(ranges, frame))
    }

    /// All of it, in the order of processes.
    pub(in crate::judge) fn all(&self) -> Vec<GeneratedCode> {
        let all = self.0.iter().map(|(&process, ranges)| GeneratedCode {
            process,
            ranges: ranges.clone(),
        });
        let mut all: Vec<GeneratedCode> = all.collect();
        all.sort_unstable_by_key(|code| code.process);
        all
    }

    /// Forgets processes that the ledger does not know any more.
    pub(in crate::judge) fn forget(&mut self, ledger: &Ledger) {
        self.0.retain(|&process, _| ledger.knows(process));
    }
}

/// Whether a frame's code lies in one of these ranges: it is the address behind a call, which may
/// be the first one behind a range, or where a function was entered.
pub(in crate::judge) fn is_in(ranges: &[AddressRange], frame: u64) -> bool {
    let after = ranges.partition_point(|range| range.start <= frame);
    let of = |index: usize| ranges.get(index).copied().unwrap_or_default();
    after > 0 && {
        let range = of(after - 1);
        range.contains(frame.saturating_sub(1)) || range.contains(frame)
    }
}
