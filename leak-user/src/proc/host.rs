//! The host: what it is, and what all its processes use together.

use std::collections::HashMap;

use super::{Proc, Ucounts, numbers_in, read_number, read_text};
use crate::model::report::Host;

/// What all processes of the host use together. Taken once for a report: the
/// users' tasks are counted by asking every process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostUse {
    /// Processes and threads of the host.
    pub tasks: u64,
    /// The same by real user.
    pub tasks_of_user: HashMap<Ucounts, u64>,
    /// The tracer's user name space.
    pub user_namespace: u64,
    /// Open files of the host (not descriptors: duplicates are one).
    pub files: u64,
    /// `kernel.threads-max`, `kernel.pid_max`, `fs.file-max`, `vm.max_map_count`.
    pub threads_max: Option<u64>,
    pub pid_max: Option<u64>,
    pub file_max: Option<u64>,
    pub max_map_count: Option<u64>,
    /// Pseudo terminals: `kernel.pty.nr` and `kernel.pty.max`.
    pub ptys: Option<u64>,
    pub pty_max: Option<u64>,
    /// Shared memory segments of the tracer's IPC name space, and `kernel.shmmni` there.
    pub ipc_namespace: Option<u32>,
    pub segments: Option<u64>,
    pub segments_max: Option<u64>,
}

impl Proc {
    /// Name, kernel and boot of this host; fields that cannot be read are empty.
    #[must_use]
    pub fn host_facts(&self) -> Host {
        let read = |name: &str| {
            let text = read_text(&self.root.join("sys/kernel").join(name), 4096);
            text.unwrap_or_default().trim_end().to_owned()
        };
        Host {
            hostname: read("hostname"),
            kernel: read("osrelease"),
            arch: std::env::consts::ARCH.to_owned(),
            boot_id: read("random/boot_id"),
        }
    }

    /// A number below `/proc/sys`, by its path there.
    pub(super) fn sysctl(&self, path: &str) -> Option<u64> {
        read_number(&self.root.join("sys").join(path))
    }

    /// Counts what the host uses.
    #[must_use]
    pub fn host_use(&self) -> HostUse {
        let mut tasks_of_user = HashMap::new();
        let user_namespace = self.own_user_namespace();
        if let Ok(pids) = numbers_in(&self.root) {
            for (user, tasks) in pids.filter_map(|pid| self.tasks_of(pid, user_namespace)) {
                *tasks_of_user.entry(user).or_insert(0) += tasks;
            }
        }
        HostUse {
            tasks: self.host_tasks().unwrap_or(0),
            tasks_of_user,
            user_namespace,
            files: self.host_files().unwrap_or(0),
            threads_max: self.sysctl("kernel/threads-max"),
            pid_max: self.sysctl("kernel/pid_max"),
            file_max: self.file_max(),
            max_map_count: self.sysctl("vm/max_map_count"),
            ptys: self.sysctl("kernel/pty/nr"),
            pty_max: self.sysctl("kernel/pty/max"),
            ipc_namespace: self.own_ipc_namespace(),
            segments: self.count_segments(),
            segments_max: self.sysctl("kernel/shmmni"),
        }
    }

    /// `fs.file-max`; the usual value of today means "no limit".
    pub(super) fn file_max(&self) -> Option<u64> {
        self.sysctl("fs/file-max").filter(|max| *max < 1 << 62)
    }

    /// All tasks, from the fourth field of loadavg: `RUNNABLE/ALL`.
    pub(super) fn host_tasks(&self) -> Option<u64> {
        let text = read_text(&self.root.join("loadavg"), 256)?;
        let (_, all) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
        all.parse().ok()
    }

    /// Open files, from the first field of file-nr.
    pub(super) fn host_files(&self) -> Option<u64> {
        let text = read_text(&self.root.join("sys/fs/file-nr"), 256)?;
        text.split_ascii_whitespace().next()?.parse().ok()
    }
}

/// What tells segments of an IPC name space from others'.
pub(super) fn segments_scope(namespace: u32) -> String {
    format!("ipcns:[{namespace}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_a_name_and_a_boot() {
        let host = Proc::default().host_facts();
        assert!(!host.hostname.is_empty() && !host.kernel.is_empty());
        assert_eq!(host.boot_id.len(), 36);
        let nowhere = Proc::new("/nonexistent").host_facts();
        assert_eq!(nowhere.hostname, "");
    }
}
