//! What processes hold when the trace begins.

use std::collections::HashSet;

use leak_common::{Class, Handle, Kind, KindSet, ProcessId};

use super::{Intake, Parts};
use crate::{
    analysis::Input,
    kernel::{Tracer, monotonic_now},
    ledger::BaselineProcess,
    proc::{Stat, cgroup_members},
};

impl Intake {
    /// Reads what every traced process holds. Until that is done, no release
    /// passes in silence: what is listed here and closed meanwhile is told.
    pub(in crate::trace) async fn baseline(&mut self, parts: &mut Parts<'_>) -> anyhow::Result<()> {
        parts.tracer.set_emit_before(u64::MAX)?;
        let processes = self.proc.processes()?;
        parts.scope.chosen.choose(&processes, parts.tracer)?;
        let own = std::process::id();
        let chosen = &parts.scope.chosen;
        let cgroup: Option<HashSet<u32>> = chosen
            .cgroup
            .as_deref()
            .map(|cgroup| cgroup_members(cgroup).into_iter().collect());
        let mut knows_fanotify = false;
        let own_tables = self.own_tables(parts);
        let is_chosen = |pid: u32, tracer: &Tracer| {
            tracer.is_target(pid) && cgroup.as_ref().is_none_or(|members| members.contains(&pid))
        };
        for stat in &processes {
            let pid = stat.id.pid();
            if pid != own && !stat.is_zombie() && is_chosen(pid, parts.tracer) {
                let baseline =
                    self.read_baseline(stat, own_tables.threads(stat.id), parts.scope.kinds);
                if !knows_fanotify && self.has_fanotify(&baseline) {
                    knows_fanotify = true;
                    if let Err(error) = parts.tracer.learn_fanotify() {
                        tracing::warn!(%error, "descriptors that fanotify brings are not traced");
                    }
                }
                parts.outlet.tell(Input::Baseline(Box::new(baseline)));
                self.seen_in_proc.insert(stat.id);
                // A signal may end this at any process: a host may have many, each with much.
                tokio::task::yield_now().await;
            }
        }
        parts.tracer.set_emit_before(monotonic_now())?;
        Ok(())
    }

    /// Whether a process has a fanotify descriptor.
    fn has_fanotify(&self, baseline: &BaselineProcess) -> bool {
        let pid = baseline.id.pid();
        let mut others = baseline
            .descriptors
            .iter()
            .filter(|(_, kind)| *kind == Kind::Anon);
        others.any(|&(number, _)| self.proc.is_fanotify(pid, number))
    }

    fn read_baseline(&self, stat: &Stat, own_tables: &[u32], kinds: KindSet) -> BaselineProcess {
        let pid = stat.id.pid();
        let time = monotonic_now();
        let wants = |kind: Kind| kinds.contains(kind);
        let task = |class: Class| move |id: ProcessId| Handle::task(class, id);
        let descriptors = self.proc.descriptors_with(pid, own_tables);
        let mut descriptors = descriptors.unwrap_or_default();
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
        let dead = children.iter().filter(|child| child.is_zombie());
        let zombies = dead.map(|child| child.id).map(task(Class::Process));
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
            zombies: zombies.collect(),
            children: children
                .iter()
                .map(|child| child.id)
                .map(task(Class::Process))
                .collect(),
        }
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
