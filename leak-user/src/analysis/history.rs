//! How much each process held over time, in few points.

use std::collections::HashMap;

use leak_common::ProcessId;

use crate::{
    ledger::{Ledger, ProcessView},
    model::time::Nanos,
};

/// Points of a history at most; a full one keeps every other of them.
const POINTS: usize = 64;

/// Processes followed: about 1 KiB each.
const MAX_PROCESSES: usize = 16_384;

/// Histories of processes that hold something.
#[derive(Debug, Default)]
pub(super) struct Histories(HashMap<ProcessId, Vec<(Nanos, u64)>>);

impl Histories {
    /// Takes note of what each of the processes that run holds.
    pub(super) fn sample(&mut self, time: Nanos, ledger: &Ledger, running: &[ProcessView]) {
        self.0.retain(|&id, _| ledger.knows(id));
        for view in running {
            let held = view.outstanding.total() + view.preexisting.total();
            let has_room = held > 0 && self.0.len() < MAX_PROCESSES;
            if has_room || self.0.contains_key(&view.id) {
                push(self.0.entry(view.id).or_default(), time, held);
            }
        }
    }

    /// All that is kept, by process.
    pub(super) fn all(&self) -> Vec<(ProcessId, &[(Nanos, u64)])> {
        let mut all: Vec<_> = self.0.iter().map(|(&id, p)| (id, p.as_slice())).collect();
        all.sort_unstable();
        all
    }

    /// The history of a process as another analysis kept it.
    pub(super) fn restore(&mut self, process: ProcessId, points: &[(Nanos, u64)]) {
        if self.0.len() < MAX_PROCESSES {
            let kept = self.0.entry(process).or_default();
            kept.clear();
            for &(time, held) in points.iter().take(POINTS) {
                push(kept, time, held);
            }
        }
    }

    /// Oldest first.
    pub(super) fn of(&self, process: ProcessId) -> &[(Nanos, u64)] {
        self.0.get(&process).map_or(&[], Vec::as_slice)
    }
}

pub(super) fn push(points: &mut Vec<(Nanos, u64)>, time: Nanos, held: u64) {
    if points.last().is_some_and(|(last, _)| *last >= time) {
        return;
    }
    if points.len() >= POINTS {
        let mut index = 0;
        points.retain(|_| {
            index += 1;
            index % 2 == 1
        });
    }
    points.push((time, held));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_history_keeps_its_ends_and_the_order() {
        let mut points = Vec::new();
        for time in 1..=1000 {
            push(&mut points, time, time * 2);
        }
        push(&mut points, 1000, 7);
        assert!(points.len() <= POINTS && points.len() >= POINTS / 2);
        assert_eq!(points.first(), Some(&(1, 2)));
        assert_eq!(points.last(), Some(&(1000, 2000)));
        assert!(points.is_sorted());
    }
}
