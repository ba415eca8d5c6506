//! What processes hold when the trace begins, and which of them are traced.

use std::collections::HashSet;

use leak_common::{Class, Handle, Kind, ProcessId, config::target};

use super::engine::Engine;
use crate::{
    analysis::Input,
    kernel::{Tracer, monotonic_now},
    ledger::BaselineProcess,
    proc::{Stat, cgroup_members},
};

/// Children that are not traced and named, at most.
const LEFT_OUT: usize = 5;

impl Engine {
    /// Reads what every traced process holds. Until that is done, no release
    /// passes in silence: what is listed here and closed meanwhile is told.
    pub(super) fn baseline(&mut self) -> anyhow::Result<()> {
        self.tracer.set_emit_before(u64::MAX)?;
        let processes = self.proc.processes()?;
        self.choose(&processes)?;
        let own = std::process::id();
        let cgroup: Option<HashSet<u32>> = self
            .chosen
            .cgroup
            .as_deref()
            .map(|cgroup| cgroup_members(cgroup).into_iter().collect());
        let is_chosen = |pid: u32, tracer: &Tracer| {
            tracer.is_target(pid) && cgroup.as_ref().is_none_or(|members| members.contains(&pid))
        };
        for stat in &processes {
            let pid = stat.id.pid();
            if pid != own && !stat.is_zombie() && is_chosen(pid, &self.tracer) {
                let baseline = self.read_baseline(stat);
                self.tell(Input::Baseline(Box::new(baseline)));
                self.seen_in_proc.insert(stat.id);
            }
        }
        self.tracer.set_emit_before(monotonic_now())?;
        Ok(())
    }

    fn read_baseline(&self, stat: &Stat) -> BaselineProcess {
        let pid = stat.id.pid();
        let time = monotonic_now();
        let wants = |kind: Kind| self.kinds.contains(kind);
        let task = |class: Class| move |id: ProcessId| Handle::task(class, id);
        let mut descriptors = self.proc.descriptors(pid).unwrap_or_default();
        descriptors.retain(|(_, kind)| wants(*kind));
        let mappings = match wants(Kind::Mapping) {
            true => self.proc.mapping_ranges(pid).unwrap_or_default(),
            false => Vec::new(),
        };
        let threads = match wants(Kind::Thread) && stat.threads > 1 {
            true => self.proc.threads(pid),
            false => Vec::new(),
        };
        let children = match wants(Kind::Process) {
            true => self.proc.children(pid),
            false => Vec::new(),
        };
        BaselineProcess {
            id: stat.id,
            parent: self.proc.identity(stat.parent),
            comm: comm(&stat.comm),
            time,
            descriptors,
            mappings,
            threads: threads
                .into_iter()
                .filter(|thread| thread.pid() != pid)
                .map(task(Class::Thread))
                .collect(),
            children: children.into_iter().map(task(Class::Process)).collect(),
        }
    }

    /// Tells the kernel side which of the running processes are meant.
    fn choose(&mut self, processes: &[Stat]) -> anyhow::Result<()> {
        if self.chosen.comms.is_empty() {
            return Ok(());
        }
        for stat in processes {
            if self.chosen.comms.contains(&stat.comm) {
                self.tracer.add_target(stat.id.pid(), target::BY_COMM)?;
            }
        }
        Ok(())
    }

    /// Says which running children of the chosen processes are not traced: those that were
    /// there before. Who names a service's first process may mean its workers.
    pub(super) fn left_out(&self) -> Option<String> {
        let chosen = &self.chosen.pids;
        let children = chosen.iter().flat_map(|&pid| self.proc.children(pid));
        let mut children: Vec<u32> = children
            .map(|child| child.pid())
            .filter(|child| !self.tracer.is_target(*child))
            .filter(|&child| self.proc.stat(child).is_some_and(|stat| !stat.is_zombie()))
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

    /// Whether all processes that were chosen by pid have ended, and their descendants:
    /// then there is nothing more to come.
    pub(super) fn chosen_have_ended(&self) -> anyhow::Result<bool> {
        if self.chosen.pids.is_empty() {
            return Ok(false);
        }
        let lives = |pid: u32| self.proc.stat(pid).is_some_and(|stat| !stat.is_zombie());
        // A second look: the last one may have begun another before it ended.
        for _ in 0..2 {
            if self.tracer.any_target(lives)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A process can change its name without exec (prctl): look again now and then.
    pub(super) fn choose_more(&mut self) -> anyhow::Result<()> {
        if self.chosen.comms.is_empty() {
            return Ok(());
        }
        let processes = self.proc.processes()?;
        self.choose(&processes)
    }
}

/// A name as the kernel keeps it.
fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    comm
}
