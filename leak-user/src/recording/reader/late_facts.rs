//! Facts of processes that were read later than the time that is asked for. They are better
//! than none, as long as the process has not executed another program meanwhile.

use std::collections::BTreeMap;

use leak_common::ProcessId;

use crate::{
    event::Executed,
    model::{facts::Facts, time::Nanos},
};

/// Most processes with facts, and with programs that were executed later.
const MAX_PROCESSES: usize = 65_536;

/// What was read late of processes, while they still ran the program of the time that is
/// asked for.
#[derive(Debug, Default)]
pub(super) struct LateFacts {
    first: BTreeMap<ProcessId, Facts>,
    /// When each process executed its next program.
    executed: BTreeMap<ProcessId, Nanos>,
    /// Programs that did not fit there. Since then it is not known of which program the facts
    /// of other processes are.
    executed_dropped: u64,
    /// Facts that were not kept.
    dropped: u64,
}

impl LateFacts {
    /// A process executed a program after the time that is asked for. Facts that were read
    /// since then are not of that time, also if they were told before this.
    pub(super) fn executed(&mut self, executed: &Executed) {
        let Executed { time, process, .. } = *executed;
        if self.executed.len() < MAX_PROCESSES {
            self.executed.entry(process).or_insert(time);
        } else if !self.executed.contains_key(&process) {
            self.executed_dropped += 1;
        }
        if self
            .first
            .get(&process)
            .is_some_and(|facts| facts.read >= time)
        {
            self.first.remove(&process);
        }
    }

    /// Whether facts that are told now are of the program that the process ran at the time
    /// that is asked for.
    pub(super) fn are_of_that_program(&self, process: ProcessId, facts: &Facts) -> bool {
        match self.executed.get(&process) {
            // Where it is not known when they were read, it was shortly before they were told.
            Some(&executed) => facts.read > 0 && facts.read < executed,
            None => self.executed_dropped == 0,
        }
    }

    /// Keeps the first facts of each process.
    pub(super) fn keep(&mut self, process: ProcessId, facts: &Facts) {
        if self.first.contains_key(&process) {
            return;
        }
        if !self.are_of_that_program(process, facts) {
            let unknown = self.executed_dropped > 0 && !self.executed.contains_key(&process);
            self.dropped += u64::from(unknown);
        } else if self.first.len() < MAX_PROCESSES {
            self.first.insert(process, facts.clone());
        } else {
            self.dropped += 1;
        }
    }

    /// Facts that were not kept because there was no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What was kept.
    pub(super) fn into_facts(self) -> impl Iterator<Item = (ProcessId, Facts)> {
        self.first.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessId = ProcessId::new(7, 70);

    fn facts(read: Nanos, comm: &str) -> Facts {
        Facts {
            read,
            comm: comm.to_owned(),
            ..Facts::default()
        }
    }

    fn executed(time: Nanos) -> Executed {
        Executed {
            time,
            process: PROCESS,
            comm: [0; 16],
        }
    }

    fn kept(late: LateFacts) -> Vec<String> {
        late.into_facts().map(|(_, facts)| facts.comm).collect()
    }

    #[test]
    fn the_first_facts_are_kept_until_a_program_is_executed() {
        let mut late = LateFacts::default();
        late.keep(PROCESS, &facts(11, "one"));
        late.keep(PROCESS, &facts(12, "renamed"));
        late.executed(&executed(20));
        late.keep(PROCESS, &facts(21, "next"));
        assert_eq!(kept(late), ["one"]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let process = |pid: usize| ProcessId::new(pid as u32, 1);
        let mut late = LateFacts::default();
        for pid in 0..MAX_PROCESSES + 2 {
            late.keep(process(pid), &facts(11, "one"));
        }
        assert_eq!(late.dropped(), 2);
        for pid in 0..=MAX_PROCESSES {
            late.executed(&Executed {
                process: process(pid + 10),
                ..executed(20)
            });
        }
        // Which program this is of is not known any more.
        late.keep(process(5 * MAX_PROCESSES), &facts(21, "which?"));
        assert_eq!(late.dropped(), 3);
        late.keep(process(10), &facts(21, "later"));
        assert_eq!(late.dropped(), 3);
    }

    #[test]
    fn facts_of_a_later_program_are_not_kept() {
        for read in [0, 20, 21] {
            let mut late = LateFacts::default();
            late.executed(&executed(20));
            late.keep(PROCESS, &facts(read, "next"));
            assert_eq!(kept(late), Vec::<String>::new(), "read at {read}");
        }
        // They were told ahead of the event.
        let mut late = LateFacts::default();
        late.keep(PROCESS, &facts(21, "next"));
        late.executed(&executed(20));
        assert_eq!(kept(late), Vec::<String>::new());
    }
}
