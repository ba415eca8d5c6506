//! Tasks of users, of RLIMIT_NPROC: all processes are asked, some at each reading, and a
//! number is told when all have answered.

use std::collections::BTreeMap;

use super::{deadline::Deadline, is_over, limit_of};
use crate::{
    model::report::SharedLimit,
    proc::{Proc, Ucounts, numbers_in},
};

/// Processes asked in one round.
const MAX_ASKED: usize = 65_536;

/// A round of asking.
#[derive(Debug, Default)]
pub(super) struct Users {
    waiting: Vec<u32>,
    counted: BTreeMap<Ucounts, Count>,
    /// The tracer's user name space.
    own: u64,
}

/// Of a user.
#[derive(Debug, Default)]
struct Count {
    tasks: u64,
    /// The lowest limit that a process of it has.
    limit: Option<u64>,
}

impl Users {
    /// Asks as many as there is time for, at least one; tells of the users at the end of
    /// a round. Without an end it is a round of its own.
    pub(super) fn read(
        &mut self,
        proc: &Proc,
        end: Option<Deadline>,
        limits: &mut Vec<SharedLimit>,
    ) {
        if end.is_none() || self.waiting.is_empty() {
            self.counted.clear();
            self.own = proc.own_user_namespace();
            self.waiting = match numbers_in(&proc.root) {
                Ok(pids) => pids.take(MAX_ASKED).collect(),
                Err(_) => Vec::new(),
            };
        }
        while let Some(pid) = self.waiting.pop() {
            self.ask(proc, pid);
            if is_over(end) && !self.waiting.is_empty() {
                return;
            }
        }
        for (user, count) in std::mem::take(&mut self.counted) {
            if let Some(limit) = count.limit {
                limits.push(limit_of(user.scope(), "nproc", count.tasks, limit));
            }
        }
    }

    fn ask(&mut self, proc: &Proc, pid: u32) {
        let Some((user, tasks)) = proc.tasks_of(pid, self.own) else {
            return;
        };
        let count = self.counted.entry(user).or_default();
        count.tasks += tasks;
        let limit = (!proc.may_exceed_tasks(pid, user)).then(|| proc.soft_limits(pid).tasks);
        let limit = limit.flatten();
        count.limit = match (count.limit, limit) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, path::Path, time::Duration};

    use super::*;

    fn process(root: &Path, pid: u32, user: u32, threads: u32, limit: &str) {
        let directory = root.join(pid.to_string());
        fs::create_dir_all(&directory).unwrap();
        let status = format!("Name:\tx\nUid:\t{user}\t0\t0\t0\nThreads:\t{threads}\n");
        fs::write(directory.join("status"), status).unwrap();
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let limits: Vec<String> = limits
            .lines()
            .map(|line| match line.starts_with("Max processes") {
                true => format!("{:25} {limit:20} {limit:20} processes", "Max processes"),
                false => line.to_owned(),
            })
            .collect();
        fs::write(directory.join("limits"), limits.join("\n") + "\n").unwrap();
    }

    #[test]
    fn tasks_are_counted_by_real_user_with_the_lowest_limit_and_not_roots() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), 7, 1000, 3, "500");
        process(root.path(), 8, 1000, 4, "400");
        process(root.path(), 9, 1000, 1, "unlimited");
        process(root.path(), 10, 0, 50, "500");
        process(root.path(), 11, 2000, 1, "unlimited");
        let proc = Proc::new(root.path());
        let expected = [limit_of("user:1000".to_owned(), "nproc", 8, 400)];
        let mut users = Users::default();
        let mut limits = Vec::new();
        users.read(&proc, None, &mut limits);
        assert_eq!(limits, expected);
        // One at a time: told when all have answered, and then anew.
        for round in 1..=2 {
            limits.clear();
            for _ in 0..4 {
                users.read(&proc, Some(Deadline::after(Duration::ZERO)), &mut limits);
                assert_eq!(limits, [], "in round {round}");
            }
            users.read(&proc, Some(Deadline::after(Duration::ZERO)), &mut limits);
            assert_eq!(limits, expected, "in round {round}");
        }
        limits.clear();
        let later = Deadline::after(Duration::from_secs(60));
        users.read(&proc, Some(later), &mut limits);
        assert_eq!(limits, expected);
    }
}
