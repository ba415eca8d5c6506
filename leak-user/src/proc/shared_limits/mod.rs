//! Limits that processes share: of the host, of control groups, of users, and of the ports
//! that connections are made from. Read at every interval of a trace, so what one reading
//! costs is bounded: there is a budget of time, and what does not fit comes next.

mod deadline;
mod groups;
mod inotify;
mod keys;
mod ports;
mod users;

use std::time::Duration;

use super::{Proc, host::segments_scope};
use crate::model::report::{Limit, SharedLimit};
use deadline::Deadline;
use groups::Groups;
use inotify::Inotify;
use ports::Ports;
use users::Users;

/// Processor time that one reading may take, beyond the one file that is being read, and
/// again for the tasks and for the inotify of users.
pub const BUDGET: Duration = Duration::from_millis(1);

/// Control groups and name spaces are looked for again after this number of readings.
const LOOK_AGAIN: u32 = 60;

/// Reads shared limits, again and again.
#[derive(Debug, Default)]
pub struct SharedUse {
    groups: Groups,
    ports: Ports,
    users: Users,
    inotify: Inotify,
    readings: u32,
}

impl SharedUse {
    /// What is used of each limit now, without growth: of the host's always, of others
    /// as many as the budget allows, in turn. `None` is no budget: all of them.
    pub fn read(&mut self, proc: &Proc, budget: Option<Duration>) -> Vec<SharedLimit> {
        let end = budget.map(Deadline::after);
        if budget.is_none() || self.readings.is_multiple_of(LOOK_AGAIN) {
            self.groups.look(proc);
            self.ports.look(proc);
            self.inotify.look();
        }
        self.readings = self.readings.wrapping_add(1);
        let mut limits = proc.host_limits();
        limits.extend(proc.key_limits());
        self.ports.read(proc, end, &mut limits);
        self.groups.read(end, &mut limits);
        let end = budget.map(Deadline::after);
        self.users.read(proc, end, &mut limits);
        let end = budget.map(Deadline::after);
        self.inotify.read(proc, end, &mut limits);
        limits
    }

    /// The limits of a process that it shares with others of its user, as they were read last.
    #[must_use]
    pub fn limits_of(&self, pid: u32) -> Vec<Limit> {
        self.inotify.limits_of(pid)
    }
}

/// Whether a budget is used up.
fn is_over(end: Option<Deadline>) -> bool {
    end.is_some_and(Deadline::is_over)
}

impl Proc {
    fn host_limits(&self) -> Vec<SharedLimit> {
        let tasks = self.host_tasks();
        let found = [
            ("threads-max", tasks, self.sysctl("kernel/threads-max")),
            ("pid_max", tasks, self.sysctl("kernel/pid_max")),
            ("file-max", self.host_files(), self.file_max()),
            (
                "pty.max",
                self.sysctl("kernel/pty/nr"),
                self.sysctl("kernel/pty/max"),
            ),
        ];
        let known = found.into_iter().filter_map(|(resource, used, limit)| {
            Some(limit_of("host".to_owned(), resource, used?, limit?))
        });
        known.chain(self.segment_limit()).collect()
    }

    /// Shared memory segments of the tracer's IPC name space.
    fn segment_limit(&self) -> Option<SharedLimit> {
        let scope = segments_scope(self.own_ipc_namespace()?);
        let (used, limit) = (self.count_segments()?, self.sysctl("kernel/shmmni")?);
        Some(limit_of(scope, "shmmni", used, limit))
    }
}

fn limit_of(scope: String, resource: &str, used: u64, limit: u64) -> SharedLimit {
    SharedLimit {
        scope,
        resource: resource.to_owned(),
        used,
        limit,
        ..SharedLimit::default()
    }
}
