//! Inotify instances and watches of users: who has any is looked at again and again, the other
//! processes in turn.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{deadline::Deadline, is_over};
use crate::{
    model::report::{Limit, SharedLimit},
    proc::{Proc, inotify_use::InotifyUse, numbers_in},
};

/// Processes asked in one round.
const MAX_ASKED: usize = 65_536;

/// Processor time for the first round: nothing is known before it ends.
const FIRST: Duration = Duration::from_millis(50);

/// Those who have any rest for this many times as long as looking at them took.
const REST: u32 = 100;

/// Rounds.
#[derive(Debug, Default)]
pub(super) struct Inotify {
    uses: InotifyUse,
    waiting: Vec<u32>,
    asked: HashSet<u32>,
    /// All processes were looked at once.
    complete: bool,
    /// When those who have any are looked at again.
    due: Option<Instant>,
}

impl Inotify {
    /// Looks at as many as there is time for, and tells of all users. Without an end, at all.
    pub(super) fn read(
        &mut self,
        proc: &Proc,
        end: Option<Deadline>,
        limits: &mut Vec<SharedLimit>,
    ) {
        if end.is_none() {
            self.waiting.clear();
            self.uses.forget_limits();
        }
        let first = end.filter(|_| !self.complete);
        let end = first.map(|_| Deadline::after(FIRST)).or(end);
        self.ask(proc, end);
        let begun = Instant::now();
        if end.is_some() && self.due.is_none_or(|due| due <= begun) {
            let known: Vec<u32> = self.uses.processes().collect();
            known
                .into_iter()
                .for_each(|pid| self.uses.look_at(proc, pid));
            self.due = Some(begun + begun.elapsed() * REST);
        }
        if self.complete {
            limits.extend(self.uses.shared());
        }
    }

    /// Goes on with the round of all processes.
    fn ask(&mut self, proc: &Proc, end: Option<Deadline>) {
        if self.waiting.is_empty() {
            self.asked.clear();
            if let Ok(pids) = numbers_in(&proc.root) {
                self.waiting.extend(pids.take(MAX_ASKED));
            }
        }
        while let Some(pid) = self.waiting.pop() {
            self.asked.insert(pid);
            self.uses.look_at(proc, pid);
            if is_over(end) && !self.waiting.is_empty() {
                return;
            }
        }
        self.complete = true;
        let asked = &self.asked;
        self.uses.retain(|pid| asked.contains(&pid));
    }

    /// Limits that are read once are read anew.
    pub(super) fn look(&mut self) {
        self.uses.forget_limits();
    }

    /// The limits of a process, as they were told last.
    pub(super) fn limits_of(&self, pid: u32) -> Vec<Limit> {
        match self.complete {
            true => self.uses.limits_of(pid),
            false => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn one_that_grows_is_told_at_each_reading_and_one_that_ended_no_more() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/user")).unwrap();
        fs::write(root.path().join("sys/user/max_inotify_instances"), "9\n").unwrap();
        for pid in [7, 8, 9] {
            fs::create_dir_all(root.path().join(format!("{pid}/fd"))).unwrap();
            let status = root.path().join(format!("{pid}/status"));
            fs::write(status, "Uid:\t1\t1\t1\t1\n").unwrap();
        }
        let proc = Proc::new(root.path());
        let mut inotify = Inotify::default();
        let soon = || Some(Deadline::after(Duration::ZERO));
        let used = |inotify: &mut Inotify| {
            inotify.due = None;
            let mut limits = Vec::new();
            inotify.read(&proc, soon(), &mut limits);
            limits.first().map(|limit| (limit.used, limit.limit))
        };
        let instance = |pid: u32, number: u32| {
            let path = root.path().join(format!("{pid}/fd/{number}"));
            symlink("anon_inode:inotify", path).unwrap();
        };
        instance(7, 3);
        instance(8, 3);
        assert_eq!(used(&mut inotify), Some((2, 9)));
        instance(7, 4);
        assert_eq!(used(&mut inotify), Some((3, 9)));
        instance(7, 5);
        assert_eq!(used(&mut inotify), Some((4, 9)));
        assert_eq!(inotify.limits_of(7)[0].used, 4);
        fs::remove_dir_all(root.path().join("8")).unwrap();
        assert_eq!(used(&mut inotify), Some((3, 9)));
        // One that begins is met in its turn.
        instance(9, 3);
        let met = (0..4).any(|_| used(&mut inotify) == Some((4, 9)));
        assert!(met);
    }
}
