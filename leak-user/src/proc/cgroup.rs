//! Control groups: members, and the limits on the way up to the root.

use std::path::{Path, PathBuf};

use super::{Proc, SHORT, field, read_number, read_text};

/// Most control groups visited, and most bytes read of one's members.
const MAX_GROUPS: usize = 100_000;
const MAX_MEMBERS: u64 = 16 << 20;

/// Every process in a control group's directory and those below it.
#[must_use]
pub fn cgroup_members(directory: &Path) -> Vec<u32> {
    let mut members = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    for _ in 0..MAX_GROUPS {
        let Some(group) = waiting.pop() else {
            break;
        };
        // Unreadable in a threaded group: its domain's root lists the processes.
        let list = read_text(&group.join("cgroup.procs"), MAX_MEMBERS).unwrap_or_default();
        members.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
        let Ok(entries) = std::fs::read_dir(&group) else {
            continue;
        };
        waiting.extend(
            entries
                .map_while(Result::ok)
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    members.sort_unstable();
    members.dedup();
    members
}

/// A limit of a control group and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupLimit {
    /// The group's directory.
    pub(super) group: PathBuf,
    /// Its path in the tree of groups.
    pub(super) scope: String,
    pub(super) used: u64,
    pub(super) limit: u64,
}

impl Proc {
    /// The limit on tasks that a process's control group runs into first.
    pub(super) fn group_tasks(&self, groups: &str) -> Option<GroupLimit> {
        let files = ["pids.max", "pids.current"];
        self.tightest(groups, "pids", files, files)
    }

    /// The same for memory, in bytes.
    pub(super) fn group_memory(&self, groups: &str) -> Option<GroupLimit> {
        let unified = ["memory.max", "memory.current"];
        let separate = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
        self.tightest(groups, "memory", unified, separate)
    }

    /// Of all limits from a control group up to the root the one with least room.
    /// `groups` is the text of `/proc/PID/cgroup`.
    fn tightest(
        &self,
        groups: &str,
        controller: &str,
        unified: [&str; 2],
        separate: [&str; 2],
    ) -> Option<GroupLimit> {
        let mut limits = Vec::new();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            if controllers.is_empty() {
                for mount in [self.cgroups.clone(), self.cgroups.join("unified")] {
                    collect(&mount, path, unified, &mut limits);
                }
            } else if controllers.split(',').any(|name| name == controller) {
                let mounts = [
                    self.cgroups.join(controllers),
                    self.cgroups.join(controller),
                ];
                for mount in mounts {
                    collect(&mount, path, separate, &mut limits);
                }
            }
        }
        let room = |limit: &GroupLimit| limit.limit.saturating_sub(limit.used);
        limits.into_iter().min_by_key(room)
    }
}

/// Collects the limits of a group and its ancestors below `mount`.
fn collect(mount: &Path, path: &str, files: [&str; 2], limits: &mut Vec<GroupLimit>) {
    let path = PathBuf::from(path.trim_start_matches('/'));
    // A group outside the reader's name space has a path like `/../x`.
    if path.components().any(|part| part.as_os_str() == "..") {
        return;
    }
    for path in path.ancestors() {
        let group = mount.join(path);
        let (limit, used) = (
            group_limit(&group.join(files[0])),
            read_number(&group.join(files[1])),
        );
        if let (Some(limit), Some(used)) = (limit, used) {
            limits.push(GroupLimit {
                group,
                scope: format!("/{}", path.display()),
                used,
                limit,
            });
        }
    }
}

/// The limit in a file of a control group. "max", or in version 1 a number near 2^63, is none.
pub(super) fn group_limit(file: &Path) -> Option<u64> {
    read_number(file).filter(|limit| *limit < 1 << 62)
}

/// Bytes of the page cache among what a group uses. They do not fill the group up: the kernel
/// takes them back when it needs them.
pub(super) fn cached_in(group: &Path) -> u64 {
    cached(&read_text(&group.join("memory.stat"), SHORT).unwrap_or_default())
}

fn cached(stat: &str) -> u64 {
    let value = |name| field(stat, name)?.parse::<u64>().ok();
    // Version 1 counts the groups below apart.
    let with_below = |total, own| value(total).or_else(|| value(own)).unwrap_or(0);
    with_below("total_inactive_file ", "inactive_file ")
        + with_below("total_active_file ", "active_file ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;

    use super::*;

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(path)).unwrap();
        for (name, text) in files {
            fs::write(root.join(path).join(name), text).unwrap();
        }
    }

    #[test]
    fn members_of_groups_below_count() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "a", &[("cgroup.procs", "1\n2\n")]);
        group(root.path(), "a/b/c", &[("cgroup.procs", "3\n")]);
        group(root.path(), "x", &[("cgroup.procs", "4\n")]);
        assert_eq!(cgroup_members(&root.path().join("a")), [1, 2, 3]);
        assert_eq!(cgroup_members(&root.path().join("gone")), Vec::<u32>::new());
    }

    #[test]
    fn the_group_with_least_room_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let proc = Proc::default().with_cgroups(root.path());
        group(
            root.path(),
            "a",
            &[("pids.max", "100\n"), ("pids.current", "95\n")],
        );
        group(
            root.path(),
            "a/b",
            &[("pids.max", "50\n"), ("pids.current", "10\n")],
        );
        group(
            root.path(),
            "a/b/c",
            &[("pids.max", "max\n"), ("pids.current", "3\n")],
        );
        let found = proc.group_tasks("0::/a/b/c\n");
        assert_eq!(
            found,
            Some(GroupLimit {
                group: root.path().join("a"),
                scope: "/a".to_owned(),
                used: 95,
                limit: 100
            })
        );
        assert_eq!(proc.group_tasks("0::/../a\n"), None);
        assert_eq!(proc.group_tasks("0::/\n"), None);
        assert_eq!(proc.group_memory("0::/a\n"), None);
    }

    #[test]
    fn version_one_has_a_tree_for_each_controller() {
        let root = tempfile::tempdir().unwrap();
        let proc = Proc::default().with_cgroups(root.path());
        group(
            root.path(),
            "pids/a",
            &[("pids.max", "7\n"), ("pids.current", "1\n")],
        );
        let memory = [
            ("memory.limit_in_bytes", "4096\n"),
            ("memory.usage_in_bytes", "1024\n"),
        ];
        group(root.path(), "memory/a", &memory);
        group(
            root.path(),
            "memory",
            &[
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "1\n"),
            ],
        );
        let text = "8:pids:/a\n4:memory:/a\n0::/\n";
        assert_eq!(
            proc.group_tasks(text),
            Some(GroupLimit {
                group: root.path().join("pids/a"),
                scope: "/a".to_owned(),
                used: 1,
                limit: 7
            })
        );
        assert_eq!(
            proc.group_memory(text),
            Some(GroupLimit {
                group: root.path().join("memory/a"),
                scope: "/a".to_owned(),
                used: 1024,
                limit: 4096
            })
        );
    }
}
