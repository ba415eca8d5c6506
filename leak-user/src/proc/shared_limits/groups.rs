//! Control groups that have a limit on tasks or memory.

use std::path::{Path, PathBuf};

use super::{deadline::Deadline, is_over, limit_of};
use crate::{
    model::report::SharedLimit,
    proc::{
        Proc,
        cgroup::{cached_in, group_limit},
        read_number,
    },
};

/// Directories visited, and groups with a limit that are kept.
const MAX_VISITED: usize = 20_000;
const MAX_GROUPS: usize = 4_096;

/// What a controller calls its files.
#[derive(Clone, Copy, Debug)]
struct Files {
    resource: &'static str,
    limit: &'static str,
    used: &'static str,
}

const PIDS: Files = Files {
    resource: "pids",
    limit: "pids.max",
    used: "pids.current",
};

const MEMORY: Files = Files {
    resource: "memory",
    limit: "memory.max",
    used: "memory.current",
};

/// Version 1.
const MEMORY_APART: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    resource: "memory",
};

/// A group with a limit of its own; those above it have theirs.
#[derive(Debug)]
struct Group {
    directory: PathBuf,
    /// Its path in the tree of groups.
    scope: String,
    files: Files,
}

/// The groups with limits, and where the last reading left off.
#[derive(Debug, Default)]
pub(super) struct Groups {
    limited: Vec<Group>,
    next: usize,
}

impl Groups {
    /// Looks for groups with a limit.
    pub(super) fn look(&mut self, proc: &Proc) {
        let root = &proc.cgroups;
        self.limited.clear();
        let unified = root.join("unified");
        self.walk(root, &[PIDS, MEMORY], &["pids", "memory", "unified"]);
        self.walk(&unified, &[PIDS, MEMORY], &[]);
        self.walk(&root.join("pids"), &[PIDS], &[]);
        self.walk(&root.join("memory"), &[MEMORY_APART], &[]);
    }

    /// Collects below `root`, but not in the trees that are mounted at `apart`.
    fn walk(&mut self, root: &Path, files: &[Files], apart: &[&str]) {
        // With controllers apart, what is at the root are mounts.
        if !root.join("cgroup.procs").exists() {
            return;
        }
        let mut waiting = vec![root.to_path_buf()];
        for _ in 0..MAX_VISITED {
            let Some(directory) = waiting.pop() else {
                break;
            };
            for &files in files {
                if limit_at(&directory, files).is_some() && self.limited.len() < MAX_GROUPS {
                    let path = directory.strip_prefix(root).unwrap_or(&directory);
                    self.limited.push(Group {
                        scope: format!("/{}", path.display()),
                        directory: directory.clone(),
                        files,
                    });
                }
            }
            let Ok(entries) = std::fs::read_dir(&directory) else {
                continue;
            };
            let entries = entries.map_while(Result::ok);
            let below = entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path());
            let is_apart = |path: &PathBuf| apart.iter().any(|name| *path == root.join(name));
            waiting.extend(below.filter(|path| !is_apart(path)));
        }
    }

    /// Reads as many as there is time for, beginning where the last reading ended.
    pub(super) fn read(&mut self, end: Option<Deadline>, limits: &mut Vec<SharedLimit>) {
        for _ in 0..self.limited.len() {
            if is_over(end) {
                break;
            }
            self.next = (self.next + 1) % self.limited.len();
            if let Some(limit) = self.limited[self.next].read() {
                limits.push(limit);
            }
        }
    }
}

impl Group {
    /// `None` for a group that is gone, or has no limit any more.
    fn read(&self) -> Option<SharedLimit> {
        let limit = limit_at(&self.directory, self.files)?;
        let used = read_number(&self.directory.join(self.files.used))?;
        let cached = match self.files.resource {
            "memory" => cached_in(&self.directory),
            _ => 0,
        };
        let used = used.saturating_sub(cached);
        Some(limit_of(
            self.scope.clone(),
            self.files.resource,
            used,
            limit,
        ))
    }
}

fn limit_at(directory: &Path, files: Files) -> Option<u64> {
    group_limit(&directory.join(files.limit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, time::Duration};

    use super::*;

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(path)).unwrap();
        fs::write(root.join(path).join("cgroup.procs"), "").unwrap();
        for (name, text) in files {
            fs::write(root.join(path).join(name), text).unwrap();
        }
    }

    fn all(root: &Path) -> Vec<(String, String, u64, u64)> {
        let mut groups = Groups::default();
        groups.look(&Proc::default().with_cgroups(root));
        let mut limits = Vec::new();
        groups.read(None, &mut limits);
        let mut found: Vec<_> = limits
            .into_iter()
            .map(|limit| (limit.scope, limit.resource, limit.used, limit.limit))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn groups_with_limits_are_found_at_every_level() {
        let root = tempfile::tempdir().unwrap();
        let stat = "anon 10\ninactive_file 30\nactive_file 20\n";
        group(root.path(), "", &[]);
        group(
            root.path(),
            "a",
            &[("pids.max", "100\n"), ("pids.current", "7\n")],
        );
        group(
            root.path(),
            "a/b",
            &[
                ("pids.max", "max\n"),
                ("pids.current", "3\n"),
                ("memory.max", "4096\n"),
                ("memory.current", "150\n"),
                ("memory.stat", stat),
            ],
        );
        let limit = |scope: &str, resource: &str, used, limit| {
            (scope.to_owned(), resource.to_owned(), used, limit)
        };
        assert_eq!(
            all(root.path()),
            [
                limit("/a", "pids", 7, 100),
                limit("/a/b", "memory", 100, 4096)
            ]
        );
    }

    #[test]
    fn version_one_has_a_tree_for_each_controller() {
        let root = tempfile::tempdir().unwrap();
        group(
            root.path(),
            "pids/a",
            &[("pids.max", "9\n"), ("pids.current", "1\n")],
        );
        group(root.path(), "pids", &[]);
        let memory = [
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.usage_in_bytes", "1\n"),
        ];
        group(root.path(), "memory", &memory);
        let found = all(root.path());
        assert_eq!(found, [("/a".to_owned(), "pids".to_owned(), 1, 9)]);
    }

    #[test]
    fn without_time_for_all_each_comes_in_its_turn() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "", &[]);
        for n in 0..5 {
            let files = [("pids.max", "9\n"), ("pids.current", "1\n")];
            group(root.path(), &n.to_string(), &files);
        }
        let mut groups = Groups::default();
        groups.look(&Proc::default().with_cgroups(root.path()));
        let mut limits = Vec::new();
        groups.read(Some(Deadline::after(Duration::ZERO)), &mut limits);
        assert_eq!(limits, [], "there was no time");
        groups.read(Some(Deadline::after(Duration::from_secs(60))), &mut limits);
        let mut scopes: Vec<&str> = limits.iter().map(|limit| limit.scope.as_str()).collect();
        scopes.sort_unstable();
        assert_eq!(scopes, ["/0", "/1", "/2", "/3", "/4"]);
        fs::remove_dir_all(root.path().join("3")).unwrap();
        limits.clear();
        groups.read(None, &mut limits);
        assert_eq!(limits.len(), 4);
    }
}
