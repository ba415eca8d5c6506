//! Limits that processes share: of the host, of control groups, of users, and of the ports
//! that connections are made from. Read at every interval of a trace, so what one reading
//! costs is bounded: there is a budget of time, and what does not fit comes next.

mod deadline;
mod groups;
mod ports;
mod users;

use std::time::Duration;

use super::Proc;
use crate::model::report::SharedLimit;
use deadline::Deadline;
use groups::Groups;
use ports::Ports;
use users::Users;

/// Processor time that one reading may take, beyond the one file that is being read, and
/// again for the tasks of users.
pub const BUDGET: Duration = Duration::from_millis(1);

/// Control groups and name spaces are looked for again after this number of readings.
const LOOK_AGAIN: u32 = 60;

/// Reads shared limits, again and again.
#[derive(Debug, Default)]
pub struct SharedUse {
    groups: Groups,
    ports: Ports,
    users: Users,
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
        }
        self.readings = self.readings.wrapping_add(1);
        let mut limits = proc.host_limits();
        self.ports.read(proc, end, &mut limits);
        self.groups.read(end, &mut limits);
        let end = budget.map(Deadline::after);
        self.users.read(proc, end, &mut limits);
        limits
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
        ];
        let known = found.into_iter().filter_map(|(resource, used, limit)| {
            Some(limit_of("host".to_owned(), resource, used?, limit?))
        });
        known.collect()
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
