//! What is traced and by which measures: known when a trace begins, and the same until its end.

use std::path::PathBuf;

use leak_common::{KindSet, config::target};

use super::Plan;
use crate::{
    kernel::Tracer,
    model::time::Nanos,
    proc::{Proc, Stat},
};

/// Children that are not traced and named, at most.
const LEFT_OUT: usize = 5;

/// What every part of a trace goes by.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) kinds: KindSet,
    /// Age in nanoseconds from which a resource is old.
    pub(super) nursery: Nanos,
    /// Time between two looks through the young table.
    pub(super) tick: Nanos,
    /// A command is traced: processes are looked at as soon as they show up, since they may not live long.
    pub(super) prompt: bool,
    /// Which processes are traced.
    pub(super) chosen: Chosen,
}

impl Scope {
    pub(super) fn of(plan: &Plan) -> Scope {
        let run = !plan.command.is_empty();
        Scope {
            kinds: plan.kinds,
            nursery: nanos(plan.nursery),
            tick: nanos(super::tick(plan.nursery)),
            prompt: run,
            chosen: Chosen {
                pids: plan.pids.clone(),
                comms: plan.comms.clone(),
                cgroup: plan.cgroup.clone(),
                own_children: run,
            },
        }
    }
}

fn nanos(duration: std::time::Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What selects processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    pub(super) pids: Vec<u32>,
    comms: Vec<String>,
    pub(super) cgroup: Option<PathBuf>,
    own_children: bool,
}

impl Chosen {
    pub(super) fn everything(&self) -> bool {
        self.pids.is_empty() && self.comms.is_empty() && self.cgroup.is_none() && !self.own_children
    }

    /// Tells the kernel side which of the running processes are meant.
    pub(super) fn choose(&self, processes: &[Stat], tracer: &mut Tracer) -> anyhow::Result<()> {
        for stat in processes {
            if self.comms.contains(&stat.comm) {
                tracer.add_target(stat.id.pid(), target::BY_COMM)?;
            }
        }
        Ok(())
    }

    /// Looks again now and then: a process can change its name without exec (prctl).
    pub(super) fn choose_more(&self, proc: &Proc, tracer: &mut Tracer) -> anyhow::Result<()> {
        if self.comms.is_empty() {
            return Ok(());
        }
        self.choose(&proc.processes()?, tracer)
    }

    /// Whether processes are chosen by what none may have. That a pid is there is known before a trace begins.
    pub(super) fn may_match_none(&self) -> bool {
        !self.comms.is_empty() || self.cgroup.is_some()
    }

    /// What to say where no process matched.
    pub(super) fn unmatched(&self) -> String {
        let mut wanted = Vec::new();
        if !self.comms.is_empty() {
            wanted.push(format!("is named {}", self.comms.join(" or ")));
        }
        if let Some(cgroup) = &self.cgroup {
            wanted.push(format!("is in the control group {}", cgroup.display()));
        }
        if !self.pids.is_empty() {
            let pids: Vec<String> = self.pids.iter().map(u32::to_string).collect();
            wanted.push(format!("has the pid {}", pids.join(" or ")));
        }
        format!("no process {}", wanted.join(" and "))
    }

    /// Says which running children of the chosen processes are not traced: those that were there before. Who names a
    /// service's first process may mean its workers.
    pub(super) fn left_out(&self, proc: &Proc, tracer: &Tracer) -> Option<String> {
        let children = self.pids.iter().flat_map(|&pid| proc.children(pid));
        let mut children: Vec<u32> = children
            .map(|child| child.id.pid())
            .filter(|child| !tracer.is_target(*child))
            .filter(|&child| lives(proc, child))
            .collect();
        children.sort_unstable();
        children.dedup();
        let first: Vec<String> = children.iter().take(LEFT_OUT).map(u32::to_string).collect();
        let (first, more) = (first.join(", "), children.len().saturating_sub(LEFT_OUT));
        let who = match (children.len(), more) {
            (0, _) => return None,
            (1, _) => format!("child {first} was there before and is"),
            (_, 0) => format!("children {first} were there before and are"),
            _ => format!("children {first} and {more} more were there before and are"),
        };
        Some(format!(
            "{who} not traced: name them with -p too, or all of them with --comm or --cgroup"
        ))
    }

    /// Whether all processes that were chosen by pid have ended, and their descendants: then nothing more can come.
    pub(super) fn have_ended(&self, proc: &Proc, tracer: &Tracer) -> anyhow::Result<bool> {
        if self.pids.is_empty() {
            return Ok(false);
        }
        // A second look: the last one may have begun another before it ended.
        for _ in 0..2 {
            if tracer.any_target(|pid| lives(proc, pid))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn lives(proc: &Proc, pid: u32) -> bool {
    proc.stat(pid).is_some_and(|stat| !stat.is_zombie())
}
