//! Why no more processes or threads can be made.

use super::{Shortage, holder, most};
use crate::{
    model::{refusal::Refusal, report::Limit},
    proc::{Proc, Stat, cgroup::GroupLimit, cgroup_members},
};

impl Proc {
    pub(super) fn out_of_tasks(&self, pid: u32) -> Shortage {
        let limits = self.limits(pid, &self.host_use());
        let tightest = limits
            .iter()
            .filter(|limit| TASK_LIMITS.contains(&limit.resource.as_str()))
            .min_by_key(|limit| limit.soft.saturating_sub(limit.used));
        let Some(limit) = tightest else {
            return Shortage {
                meaning: Refusal::Tasks.meaning().to_owned(),
                holders: Vec::new(),
            };
        };
        let processes = self.processes().unwrap_or_default();
        let threads = |stat: Stat| {
            let threads = u64::from(stat.threads);
            holder(stat.id.pid(), &stat.comm, "thread", threads)
        };
        let holders = match limit.resource.as_str() {
            "nproc" => {
                let own = self.own_user_namespace();
                let user = |pid| self.tasks_of(pid, own).map(|(user, _)| user);
                let refused = user(pid);
                let same = |stat: &Stat| refused.is_some() && user(stat.id.pid()) == refused;
                most(processes.into_iter().filter(same).map(threads))
            }
            "pids" => {
                let groups = self.text_of(pid, "cgroup").unwrap_or_default();
                let group = self.group_tasks(&groups);
                let members = group.map(|GroupLimit { group, .. }| cgroup_members(&group));
                let members = members.unwrap_or_default();
                let same = |stat: &Stat| members.binary_search(&stat.id.pid()).is_ok();
                most(processes.into_iter().filter(same).map(threads))
            }
            _ => most(processes.into_iter().map(threads)),
        };
        Shortage {
            meaning: tasks_meaning(limit),
            holders,
        }
    }
}

/// Names of limits on processes and threads.
const TASK_LIMITS: [&str; 4] = ["nproc", "pids", "threads-max", "pid_max"];

fn tasks_meaning(limit: &Limit) -> String {
    let Limit {
        resource,
        used,
        soft,
        ..
    } = limit;
    // Some may have ended since.
    if used + soft / 20 + 2 < *soft {
        return format!(
            "the kernel refused to make another process or thread: the nearest limit is \
             {resource}, of which {used} of {soft} are used"
        );
    }
    match resource.as_str() {
        "nproc" => format!(
            "the user reached the process's limit of {soft} processes and threads \
             (RLIMIT_NPROC); no more can be made"
        ),
        "pids" => format!(
            "the control group reached its limit of {soft} processes and threads (pids.max); \
             no more can be made in it"
        ),
        "threads-max" => format!(
            "the host reached its limit of {soft} threads (kernel.threads-max); no more can be \
             made"
        ),
        _ => format!(
            "the host has no number left for a process or thread below {soft} \
             (kernel.pid_max); no more can be made"
        ),
    }
}
