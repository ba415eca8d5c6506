//! Users that have nearly all that they may: inotify instances and watches, or tasks. One of the
//! processes is told of, which has most of it, and the groups are all that share it.

use std::collections::BTreeMap;

use super::{is_full, mappings::with_groups};
use crate::{
    model::report::{Full, FullGroup},
    proc::{HostUse, Proc, Ucounts, inotify_use::INSTANCES},
};

impl Proc {
    /// Of the users of some processes those that are full of inotify. Looks at all processes
    /// of the host, unless it is asked about none.
    #[must_use]
    pub fn full_of_inotify(&self, pids: &[u32]) -> Vec<Full> {
        if pids.is_empty() {
            return Vec::new();
        }
        let all = self.inotify_use();
        let mut found: BTreeMap<(String, String), (u64, Full)> = BTreeMap::new();
        for &pid in pids {
            let limits = all.limits_of(pid).into_iter();
            for limit in limits.filter(|limit| is_full(limit.used, limit.soft, false)) {
                let of = |&(pid, instances, watches): &(u32, u64, u64)| match limit.resource
                    == INSTANCES
                {
                    true => (pid, instances),
                    false => (pid, watches),
                };
                let holders: Vec<(u32, u64)> = all.beside(pid).iter().map(of).collect();
                let own = holders.iter().find(|(other, _)| *other == pid);
                let own = own.map_or(0, |(_, count)| *count);
                let key = (limit.resource.clone(), limit.scope.clone());
                if own == 0 || found.get(&key).is_some_and(|(most, _)| *most >= own) {
                    continue;
                }
                let Some(stat) = self.stat(pid) else {
                    continue;
                };
                let groups = holders.into_iter().filter(|(_, count)| *count > 0);
                let groups = groups.map(|(pid, count)| FullGroup {
                    kind: "inotify".to_owned(),
                    what: format!("{} ({pid})", self.comm(pid)),
                    count,
                    ..FullGroup::default()
                });
                let amounts = (limit.used, limit.soft);
                let mut full = with_groups(&stat, &limit.resource, amounts, groups.collect());
                full.scope = limit.scope;
                found.insert(key, (own, full));
            }
        }
        found.into_values().map(|(_, full)| full).collect()
    }

    /// Of the users of some processes those that have nearly all tasks that the process may have.
    #[must_use]
    pub fn full_of_tasks(&self, pids: &[u32]) -> Vec<Full> {
        let host = self.host_use();
        let mut found: BTreeMap<Ucounts, (u64, u32, u64)> = BTreeMap::new();
        for &pid in pids {
            let Some((user, tasks)) = self.tasks_of(pid, host.user_namespace) else {
                continue;
            };
            let used = host.tasks_of_user.get(&user).copied().unwrap_or(0);
            let most = found.get(&user).map_or(0, |(most, ..)| *most);
            if tasks <= most || !is_full(used, used, false) || self.may_exceed_tasks(pid, user) {
                continue;
            }
            let limit = self.soft_limits(pid).tasks;
            if let Some(limit) = limit.filter(|limit| is_full(used, *limit, false)) {
                found.insert(user, (tasks, pid, limit));
            }
        }
        found
            .into_iter()
            .filter_map(|(user, (_, pid, limit))| self.tasks_by_name(user, pid, limit, &host))
            .collect()
    }

    fn tasks_by_name(&self, user: Ucounts, pid: u32, limit: u64, host: &HostUse) -> Option<Full> {
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        for stat in self.processes().ok()? {
            let tasks = self.tasks_of(stat.id.pid(), host.user_namespace);
            if let Some((_, tasks)) = tasks.filter(|(other, _)| *other == user) {
                *names.entry(stat.comm).or_default() += tasks;
            }
        }
        let groups = names.into_iter().map(|(what, count)| FullGroup {
            kind: "task".to_owned(),
            what,
            count,
            ..FullGroup::default()
        });
        let used = host.tasks_of_user.get(&user).copied()?;
        let mut full = with_groups(&self.stat(pid)?, "nproc", (used, limit), groups.collect());
        full.scope = user.scope();
        Some(full)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn process(root: &Path, pid: u32, comm: &str, threads: u64, instances: u32) {
        let directory = root.join(pid.to_string());
        fs::create_dir_all(directory.join("fd")).unwrap();
        let status = format!("PPid:\t0\nUid:\t1000\t1000\t0\t0\nThreads:\t{threads}\n");
        fs::write(directory.join("status"), status).unwrap();
        let fields = " 0".repeat(15);
        let stat = format!("{pid} ({comm}) S 1{fields} {threads} 0 55 0 0");
        fs::write(directory.join("stat"), stat).unwrap();
        for number in 0..instances {
            symlink("anon_inode:inotify", directory.join(format!("fd/{number}"))).unwrap();
        }
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let limits = limits
            .lines()
            .map(|line| match line.starts_with("Max processes") {
                true => format!("{:25} {:20} {:20} processes\n", "Max processes", 100, 100),
                false => format!("{line}\n"),
            });
        fs::write(directory.join("limits"), limits.collect::<String>()).unwrap();
    }

    fn told(full: &Full) -> (u32, &str, &str, u64, u64, Vec<(&str, u64)>) {
        let groups = full.groups.iter();
        (
            full.pid,
            &full.resource,
            &full.scope,
            full.used,
            full.limit,
            groups
                .map(|group| (group.what.as_str(), group.count))
                .collect(),
        )
    }

    #[test]
    fn a_user_without_room_is_told_once_with_all_who_share_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/user")).unwrap();
        fs::write(root.path().join("sys/user/max_inotify_instances"), "20\n").unwrap();
        process(root.path(), 7, "watcher", 90, 15);
        process(root.path(), 8, "small", 2, 4);
        process(root.path(), 9, "none", 3, 0);
        let proc = Proc::new(root.path());
        let full = proc.full_of_inotify(&[7, 8]);
        let expected = vec![("watcher (7)", 15), ("small (8)", 4)];
        assert_eq!(full.len(), 1, "{full:?}");
        assert_eq!(
            told(&full[0]),
            (7, INSTANCES, "user:1000", 19, 20, expected.clone())
        );
        // What is traced is told of.
        assert_eq!(told(&proc.full_of_inotify(&[8])[0]).0, 8);
        assert_eq!(proc.full_of_inotify(&[9]), []);
        let full = proc.full_of_tasks(&[8, 7, 9]);
        let expected = vec![("watcher", 90), ("none", 3), ("small", 2)];
        assert_eq!(full.len(), 1, "{full:?}");
        assert_eq!(told(&full[0]), (7, "nproc", "user:1000", 95, 100, expected));
    }

    #[test]
    fn users_with_room_are_not_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/user")).unwrap();
        fs::write(root.path().join("sys/user/max_inotify_instances"), "20\n").unwrap();
        process(root.path(), 7, "watcher", 40, 15);
        let proc = Proc::new(root.path());
        assert_eq!(proc.full_of_inotify(&[7]), []);
        assert_eq!(proc.full_of_tasks(&[7]), []);
    }
}
