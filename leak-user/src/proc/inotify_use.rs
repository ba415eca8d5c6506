//! How many inotify instances and watches users have: the kernel counts them for all processes of
//! a user together, so a single one can take away what others need.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read as _},
};

use super::{
    Proc, SHORT,
    descriptor::asked::is_same_file,
    field, link_text, numbers_in, read_text,
    ucounts::{Ucounts, UserNamespaces},
};
use crate::model::report::{Limit, SharedLimit};

/// Limits on the number of instances and watches, as sysctl(8) names them below `fs`.
pub(super) const INSTANCES: &str = "inotify.max_user_instances";
pub(super) const WATCHES: &str = "inotify.max_user_watches";

/// Bytes read of the watches of one descriptor: some 120 each.
const MAX_WATCHES: u64 = 16 << 20;

/// Instances of a process whose watches are counted.
const MAX_INSTANCES: usize = 1024;

/// What is held, or counted for a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    instances: u64,
    watches: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OfProcess {
    counted_for: Vec<Ucounts>,
    held: Held,
}

/// The processes that have any, as they were when they were looked at last.
#[derive(Clone, Debug, Default)]
pub(super) struct InotifyUse {
    namespaces: UserNamespaces,
    processes: BTreeMap<u32, OfProcess>,
}

impl InotifyUse {
    /// Looks at a process.
    pub(super) fn look_at(&mut self, proc: &Proc, pid: u32) {
        self.processes.remove(&pid);
        let descriptors = proc.inotify_descriptors(pid);
        if descriptors.is_empty() {
            return;
        }
        let Some(user) = proc.effective_user(pid) else {
            return;
        };
        let held = proc.inotify_held(pid, &descriptors);
        let counted_for = self.namespaces.counted_for(proc, pid, user);
        self.processes.insert(pid, OfProcess { counted_for, held });
    }

    /// The processes that had any.
    pub(super) fn processes(&self) -> impl Iterator<Item = u32> {
        self.processes.keys().copied()
    }

    /// Drops processes that are not there any more.
    pub(super) fn retain(&mut self, lives: impl Fn(u32) -> bool) {
        self.processes.retain(|pid, _| lives(*pid));
    }

    /// Limits are read anew for what is looked at from then on.
    pub(super) fn forget_limits(&mut self) {
        self.namespaces.forget();
    }

    /// What is counted for each user.
    fn counted(&self) -> HashMap<Ucounts, Held> {
        let mut counted: HashMap<Ucounts, Held> = HashMap::new();
        for process in self.processes.values() {
            for &one in &process.counted_for {
                let of = counted.entry(one).or_default();
                of.instances += process.held.instances;
                of.watches += process.held.watches;
            }
        }
        counted
    }

    /// What is used and allowed of both limits; `None` where the limit is not known.
    fn limits(&self, of: Ucounts, held: Held) -> [(&'static str, u64, Option<u64>); 2] {
        let allowed = self.namespaces.limits(of.namespace);
        [
            (INSTANCES, held.instances, allowed.instances),
            (WATCHES, held.watches, allowed.watches),
        ]
    }

    /// The limits that processes share, of all users.
    pub(super) fn shared(&self) -> Vec<SharedLimit> {
        let counted: BTreeMap<Ucounts, Held> = self.counted().into_iter().collect();
        let all = counted.into_iter().flat_map(|(of, held)| {
            let limits = self.limits(of, held).into_iter();
            limits.filter_map(move |(resource, used, limit)| {
                Some(SharedLimit {
                    scope: of.scope(),
                    resource: resource.to_owned(),
                    used,
                    limit: limit?,
                    ..SharedLimit::default()
                })
            })
        });
        all.collect()
    }

    /// The limits of a process: of all that it is counted for, the one with least room. None for
    /// a process without inotify.
    pub(super) fn limits_of(&self, pid: u32) -> Vec<Limit> {
        let Some(process) = self.processes.get(&pid) else {
            return Vec::new();
        };
        let counted = self.counted();
        let all: Vec<Limit> = process
            .counted_for
            .iter()
            .flat_map(|&of| {
                let held = counted.get(&of).copied().unwrap_or_default();
                let limits = self.limits(of, held).into_iter();
                limits.filter_map(move |(resource, used, limit)| {
                    Some(Limit {
                        resource: resource.to_owned(),
                        scope: of.scope(),
                        used,
                        soft: limit?,
                        exhaustion_seconds: None,
                    })
                })
            })
            .collect();
        let nearest = |resource: &str| {
            let of_it = all.iter().filter(|limit| limit.resource == resource);
            of_it.min_by_key(|limit| limit.soft.saturating_sub(limit.used))
        };
        let both = [nearest(INSTANCES), nearest(WATCHES)].into_iter();
        both.flatten().cloned().collect()
    }

    /// Who is counted where a process is, with instances and watches.
    pub(super) fn beside(&self, pid: u32) -> Vec<(u32, u64, u64)> {
        let Some(process) = self.processes.get(&pid) else {
            return Vec::new();
        };
        let shares = |other: &OfProcess| {
            let all = &other.counted_for;
            process.counted_for.iter().any(|of| all.contains(of))
        };
        let all = self.processes.iter().filter(|(_, other)| shares(other));
        all.map(|(&pid, other)| (pid, other.held.instances, other.held.watches))
            .collect()
    }
}

impl Proc {
    /// Inotify of all processes.
    pub(super) fn inotify_use(&self) -> InotifyUse {
        let mut all = InotifyUse::default();
        for pid in numbers_in(&self.root).into_iter().flatten() {
            all.look_at(self, pid);
        }
        all
    }

    /// The descriptors of inotify instances.
    fn inotify_descriptors(&self, pid: u32) -> Vec<u32> {
        let directory = self.of(self.memory_of(pid), "fd");
        let numbers = numbers_in(&directory).into_iter().flatten();
        let is_inotify = |number: &u32| {
            let link = link_text(&directory.join(number.to_string()));
            link.is_ok_and(|link| matches!(link.as_str(), "anon_inode:inotify" | "inotify"))
        };
        numbers.filter(is_inotify).collect()
    }

    /// Instances and watches, without those that the parent has too: a child inherits them, and
    /// they are not counted again.
    fn inotify_held(&self, pid: u32, descriptors: &[u32]) -> Held {
        let status = read_text(&self.of(pid, "status"), SHORT).unwrap_or_default();
        let parent = field(&status, "PPid:").and_then(|parent| parent.parse::<u32>().ok());
        let is_parents = |number: u32| {
            parent.is_some_and(|parent| {
                parent != 0 && is_same_file((pid, number), (parent, number)) == Some(true)
            })
        };
        let own: Vec<u32> = descriptors
            .iter()
            .copied()
            .filter(|&number| !is_parents(number))
            .collect();
        let counted = own.iter().take(MAX_INSTANCES);
        Held {
            instances: own.len() as u64,
            watches: counted.map(|&number| self.count_watches(pid, number)).sum(),
        }
    }

    /// How many watches a descriptor has, as far as [`MAX_WATCHES`] reaches.
    fn count_watches(&self, pid: u32, number: u32) -> u64 {
        const BEGINNING: &[u8] = b"inotify wd:";
        let path = self.of(self.memory_of(pid), &format!("fdinfo/{number}"));
        let Ok(file) = File::open(path) else {
            return 0;
        };
        let mut lines = BufReader::with_capacity(1 << 16, file.take(MAX_WATCHES));
        let mut line = Vec::new();
        let mut watches = 0;
        loop {
            line.clear();
            match std::io::BufRead::read_until(&mut lines, b'\n', &mut line) {
                Ok(1..) => watches += u64::from(line.starts_with(BEGINNING)),
                Ok(0) | Err(_) => return watches,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn process(root: &Path, pid: u32, user: u32, watches: &[u64]) {
        let directory = root.join(pid.to_string());
        fs::create_dir_all(directory.join("fd")).unwrap();
        fs::create_dir_all(directory.join("fdinfo")).unwrap();
        let status = format!("Name:\tx\nPPid:\t0\nUid:\t0\t{user}\t0\t0\n");
        fs::write(directory.join("status"), status).unwrap();
        symlink("/dev/null", directory.join("fd/0")).unwrap();
        for (number, count) in (3..).zip(watches) {
            symlink("anon_inode:inotify", directory.join(format!("fd/{number}"))).unwrap();
            let lines = (0..*count).map(|wd| format!("inotify wd:{wd:x} ino:1 sdev:2\n"));
            let text = format!("pos:\t0\nflags:\t00\n{}", lines.collect::<String>());
            fs::write(directory.join(format!("fdinfo/{number}")), text).unwrap();
        }
    }

    fn with_limits(root: &Path) {
        fs::create_dir_all(root.join("sys/user")).unwrap();
        fs::write(root.join("sys/user/max_inotify_instances"), "128\n").unwrap();
        fs::write(root.join("sys/user/max_inotify_watches"), "8192\n").unwrap();
    }

    fn limit(resource: &str, user: u32, used: u64, soft: u64) -> Limit {
        Limit {
            resource: resource.to_owned(),
            scope: format!("user:{user}"),
            used,
            soft,
            exhaustion_seconds: None,
        }
    }

    #[test]
    fn instances_and_watches_are_counted_over_the_processes_of_a_user() {
        let root = tempfile::tempdir().unwrap();
        with_limits(root.path());
        process(root.path(), 7, 1000, &[2, 0, 5]);
        process(root.path(), 8, 1000, &[1]);
        process(root.path(), 9, 1000, &[]);
        process(root.path(), 10, 2000, &[3]);
        let proc = Proc::new(root.path());
        let uses = proc.inotify_use();
        let mut of_one = vec![
            limit(INSTANCES, 1000, 4, 128),
            limit(WATCHES, 1000, 8, 8192),
        ];
        assert_eq!(uses.limits_of(7), of_one);
        assert_eq!(uses.limits_of(8), of_one);
        assert_eq!(uses.limits_of(9), []);
        of_one = vec![
            limit(INSTANCES, 2000, 1, 128),
            limit(WATCHES, 2000, 3, 8192),
        ];
        assert_eq!(uses.limits_of(10), of_one);
        assert_eq!(uses.shared().len(), 4);
        assert_eq!(uses.beside(8), [(7, 3, 7), (8, 1, 1)]);
        assert_eq!(uses.beside(9), []);
    }

    #[test]
    fn without_a_known_limit_nothing_is_told() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), 7, 1000, &[2]);
        let proc = Proc::new(root.path());
        assert_eq!(proc.inotify_use().limits_of(7), []);
        assert_eq!(proc.inotify_use().shared(), []);
    }

    #[test]
    fn a_process_that_has_given_back_all_is_not_counted() {
        let root = tempfile::tempdir().unwrap();
        with_limits(root.path());
        process(root.path(), 7, 1000, &[2]);
        let proc = Proc::new(root.path());
        let mut uses = proc.inotify_use();
        fs::remove_file(root.path().join("7/fd/3")).unwrap();
        uses.look_at(&proc, 7);
        assert_eq!(uses.processes().count(), 0);
        assert_eq!(uses.limits_of(7), []);
    }

    #[test]
    fn what_a_child_inherits_counts_once() {
        let instance = || {
            // SAFETY: takes no pointer.
            let number = unsafe { libc::inotify_init1(0) };
            // SAFETY: the kernel has just made it for us.
            unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number) }
        };
        let _first = instance();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let proc = Proc::default();
        // Until it runs its program, it is a copy of this process.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while proc.comm(child.id()) != "sleep" {
            assert!(std::time::Instant::now() < deadline);
        }
        let inherited = proc.inotify_descriptors(child.id());
        let held = proc.inotify_held(child.id(), &inherited);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!inherited.is_empty());
        assert_eq!(held, Held::default());
    }
}
