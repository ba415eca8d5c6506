//! The limits that a process runs into, and how much of each is used.

use procfs::{FromRead, process::LimitValue};

use super::{
    HostUse, Proc, SHORT, Ucounts, bytes_field, cgroup::cached_in, field, host::segments_scope,
    read_start,
};
use crate::model::report::Limit;

/// Soft limits of a process, in descriptors, tasks and bytes; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoftLimits {
    pub(super) files: Option<u64>,
    /// Of its user.
    pub(super) tasks: Option<u64>,
    pub(super) address_space: Option<u64>,
    pub(super) data: Option<u64>,
    pub(super) locked: Option<u64>,
}

impl Proc {
    /// The limits of a process, without an exhaustion time: `nofile`,
    /// `max_map_count`, `as` and `memlock` (bytes), `nproc` (per user; root is exempt) and
    /// `sigpending`, `pids` and `memory` (bytes) of its control group, `shmmni` of its IPC name
    /// space, and the host's `threads-max`, `pid_max`, `file-max` and `pty.max`. What is unlimited
    /// or cannot be read is left out.
    #[must_use]
    pub fn limits(&self, pid: u32, host: &HostUse) -> Vec<Limit> {
        let mut limits = Vec::new();
        let mut add = |resource: &str, scope: &str, used: Option<u64>, soft: Option<u64>| {
            if let (Some(used), Some(soft)) = (used, soft) {
                limits.push(Limit {
                    resource: resource.to_owned(),
                    scope: scope.to_owned(),
                    used,
                    soft,
                    exhaustion_seconds: None,
                });
            }
        };
        let Some((user, ..)) = self.tasks_of(pid, host.user_namespace) else {
            return limits;
        };
        let SoftLimits {
            files,
            tasks,
            address_space,
            locked,
            ..
        } = self.soft_limits(pid);
        let status = self.text_of(pid, "status").unwrap_or_default();
        add("nofile", "", self.count_descriptors(pid), files);
        add(
            "max_map_count",
            "",
            self.count_mappings(pid),
            host.max_map_count,
        );
        if address_space.is_some() {
            add("as", "", bytes_field(&status, "VmSize:"), address_space);
        }
        let used = bytes_field(&status, "VmLck:").filter(|bytes| *bytes > 0);
        add("memlock", "", used, locked);
        if !self.may_exceed_tasks(pid, user) {
            let used = host.tasks_of_user.get(&user).copied();
            add("nproc", &user.scope(), used, tasks);
        }
        let (used, allowed) = signals_in(&status).unzip();
        add("sigpending", &user.scope(), used, allowed);
        let groups = self.text_of(pid, "cgroup").unwrap_or_default();
        if let Some(group) = self.group_tasks(&groups) {
            add("pids", &group.scope, Some(group.used), Some(group.limit));
        }
        if let Some(group) = self.group_memory(&groups) {
            let used = group.used.saturating_sub(cached_in(&group.group));
            add("memory", &group.scope, Some(used), Some(group.limit));
        }
        add("threads-max", "host", Some(host.tasks), host.threads_max);
        add("pid_max", "host", Some(host.tasks), host.pid_max);
        add("file-max", "host", Some(host.files), host.file_max);
        add("pty.max", "host", host.ptys, host.pty_max);
        if let Some(namespace) = host.ipc_namespace
            && self.ipc_namespace(pid) == host.ipc_namespace
        {
            let scope = segments_scope(namespace);
            add("shmmni", &scope, host.segments, host.segments_max);
        }
        limits
    }

    /// The limits on a process's mappings: their number, and the size of all (`as`).
    #[must_use]
    pub fn space_limits(&self, pid: u32) -> Vec<Limit> {
        let most = self.sysctl("vm/max_map_count");
        let size = self.soft_limits(pid).address_space;
        let found = [
            ("max_map_count", self.count_mappings(pid), most),
            ("as", self.address_space_bytes(pid), size),
        ];
        let known = found.into_iter().filter_map(|(resource, used, soft)| {
            Some(Limit {
                resource: resource.to_owned(),
                used: used?,
                soft: soft?,
                ..Limit::default()
            })
        });
        known.collect()
    }

    /// Whether the size of a process's address space is limited.
    #[must_use]
    pub fn has_limited_space(&self, pid: u32) -> bool {
        self.soft_limits(pid).address_space.is_some()
    }

    /// Bytes of a process's address space.
    fn address_space_bytes(&self, pid: u32) -> Option<u64> {
        bytes_field(&self.text_of(pid, "status")?, "VmSize:")
    }

    /// A process's real user, and how many tasks of that user it is. `own` is the tracer's user
    /// name space.
    pub(super) fn tasks_of(&self, pid: u32, own: u64) -> Option<(Ucounts, u64)> {
        let status = self.text_of(pid, "status")?;
        let tasks = field(&status, "Threads:").map_or(Some(1), |tasks| tasks.parse().ok())?;
        let counted_for = Ucounts {
            namespace: self.user_namespace(pid, own),
            user: real_user_in(&status)?,
        };
        Some((counted_for, tasks))
    }

    /// Whether RLIMIT_NPROC does not hold for a process: for root, and for who may exceed or
    /// administer all, which counts in the first name space only (copy_process() in
    /// kernel/fork.c).
    pub(super) fn may_exceed_tasks(&self, pid: u32, user: Ucounts) -> bool {
        /// CAP_SYS_ADMIN and CAP_SYS_RESOURCE, include/uapi/linux/capability.h.
        const EXEMPT: u64 = 1 << 21 | 1 << 24;
        let status = || self.text_of(pid, "status").unwrap_or_default();
        let effective = |status: &str| u64::from_str_radix(field(status, "CapEff:")?, 16).ok();
        user.user == 0
            || user.namespace == 0 && effective(&status()).is_some_and(|set| set & EXEMPT != 0)
    }

    /// How many descriptors a process may have; `None` where there is no limit, or it cannot be read.
    #[must_use]
    pub fn descriptor_limit(&self, pid: u32) -> Option<u64> {
        self.soft_limits(pid).files
    }

    /// Soft limits of a process; none where they cannot be read.
    pub(super) fn soft_limits(&self, pid: u32) -> SoftLimits {
        let bytes = read_start(&self.of(pid, "limits"), SHORT).unwrap_or_default();
        let Ok(limits) = procfs::process::Limits::from_read(bytes.as_slice()) else {
            return SoftLimits::default();
        };
        let value = |limit: procfs::process::Limit| match limit.soft_limit {
            LimitValue::Value(value) => Some(value),
            LimitValue::Unlimited => None,
        };
        SoftLimits {
            files: value(limits.max_open_files),
            tasks: value(limits.max_processes),
            address_space: value(limits.max_address_space),
            data: value(limits.max_data_size),
            locked: value(limits.max_locked_memory),
        }
    }
}

/// Queued signals and timers of a user, and how many it may have: `USED/LIMIT`. `None` where there
/// are none.
fn signals_in(status: &str) -> Option<(u64, u64)> {
    let (used, allowed) = field(status, "SigQ:")?.split_once('/')?;
    let used = used.parse().ok().filter(|used| *used > 0)?;
    Some((used, allowed.parse().ok()?))
}

/// Of the four in `status` the first one: real, effective, saved, of the file system.
fn real_user_in(status: &str) -> Option<u32> {
    field(status, "Uid:")?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn this_process_has_limits_and_uses_some_of_them() {
        let proc = Proc::default();
        let host = proc.host_use();
        assert!(host.tasks > 0 && host.files > 0);
        let limits = proc.limits(std::process::id(), &host);
        for resource in ["nofile", "max_map_count", "threads-max", "pid_max"] {
            let limit = limits
                .iter()
                .find(|limit| limit.resource == resource)
                .unwrap();
            assert!(limit.used > 0 && limit.used < limit.soft, "{limit:?}");
        }
        assert_eq!(proc.limits(u32::MAX, &host), Vec::new());
    }

    fn of_user(user: u32) -> Ucounts {
        Ucounts { namespace: 0, user }
    }

    #[test]
    fn a_made_up_process_has_the_limits_of_its_files() {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("7");
        std::fs::create_dir_all(process.join("fd")).unwrap();
        std::fs::write(process.join("fd/0"), "").unwrap();
        std::fs::write(
            process.join("status"),
            "Name:\tx\nUid:\t1000\t1000\t1000\t1000\n",
        )
        .unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        std::fs::write(process.join("limits"), limits).unwrap();
        let host = HostUse {
            tasks_of_user: HashMap::from([(of_user(1000), 42)]),
            ..HostUse::default()
        };
        let limits = Proc::new(root.path())
            .with_cgroups(root.path())
            .limits(7, &host);
        let used = |name: &str| {
            limits
                .iter()
                .find(|limit| limit.resource == name)
                .map(|limit| limit.used)
        };
        assert_eq!(used("nofile"), Some(1));
        assert!(used("nproc").is_none_or(|used| used == 42));
        assert_eq!(used("max_map_count"), None);
    }
}
