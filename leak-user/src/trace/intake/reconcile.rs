//! The ledger against /proc: after an exec, after a loss, and for every process
//! with a finding before it is shown.

use std::collections::{HashMap, HashSet};

use leak_common::{Class, Handle, Kind, ProcessId};

use super::{Intake, Outlet, Parts};
use crate::{
    analysis::Input,
    event::{Event, Released},
    kernel::monotonic_now,
    ledger::{ProcessView, Shown},
};

/// Processes compared in one tick.
const AT_ONCE: usize = 32;

/// Parents, and resources of each, that are looked through for reaped children.
const MAX_PARENTS: usize = 256;
const MAX_CHILDREN: usize = 4096;

impl Intake {
    /// Compares some of the processes that are in doubt, those whose doubtful
    /// acquisitions have all arrived.
    pub(in crate::trace) fn reconcile_some(&mut self, parts: &mut Parts<'_>) -> anyhow::Result<()> {
        let horizon = monotonic_now().saturating_sub(parts.scope.nursery);
        let doubtful: Vec<ProcessId> = parts
            .outlet
            .ledger()
            .in_doubt()
            .filter_map(|id| parts.outlet.ledger().process(id))
            .filter(|view| view.uncertain <= horizon)
            .take(AT_ONCE)
            .map(|view| view.id)
            .collect();
        self.reconcile(parts, &doubtful)
    }

    /// Compares every process that holds something acquired during the trace, or
    /// that is in doubt, or that has more than is known.
    pub(in crate::trace) fn reconcile_all(&mut self, parts: &mut Parts<'_>) -> anyhow::Result<()> {
        let holders: Vec<ProcessId> = parts
            .outlet
            .ledger()
            .processes()
            .filter(|view| view.exited.is_none())
            .filter(|view| view.needs_reconcile || view.lossy || view.outstanding.total() > 0)
            .map(|view| view.id)
            .collect();
        let unknown = self.with_unknown(parts).into_iter();
        let known: HashSet<ProcessId> = holders.iter().copied().collect();
        let holders: Vec<ProcessId> = holders
            .iter()
            .copied()
            .chain(unknown.filter(|id| !known.contains(id)))
            .collect();
        self.reconcile(parts, &holders)
    }

    /// The kernel tells that a child is gone when the last reference to it is, which
    /// can be seconds after its parent waited for it. /proc knows sooner.
    pub(in crate::trace) fn check_children(&self, outlet: &mut Outlet) {
        let parents: Vec<ProcessId> = outlet
            .ledger()
            .processes()
            .filter(|view| view.outstanding.get(Kind::Process) > 0)
            .take(MAX_PARENTS)
            .map(|view| view.id)
            .collect();
        let time = monotonic_now();
        for parent in parents {
            for holding in outlet
                .ledger()
                .holdings(parent)
                .into_iter()
                .take(MAX_CHILDREN)
            {
                let Some(child) = holding.handle.as_task() else {
                    continue;
                };
                if holding.kind == Kind::Process && self.proc.identity(child.pid()) != Some(child) {
                    outlet.tell(Input::Event(Event::Released(Released {
                        time,
                        process: ProcessId::NONE,
                        handle: holding.handle,
                        acquired: None,
                    })));
                }
            }
        }
    }

    pub(super) fn reconcile(
        &mut self,
        parts: &mut Parts<'_>,
        processes: &[ProcessId],
    ) -> anyhow::Result<()> {
        if processes.is_empty() {
            return Ok(());
        }
        // What /proc shows and is closed a moment later must not vanish in silence.
        parts.tracer.set_emit_before(u64::MAX)?;
        let own_tables = self.own_tables(parts);
        let all: Vec<(ProcessId, Option<Shown>)> = processes
            .iter()
            .map(|id| (*id, self.shown(*id, own_tables.threads(*id), parts)))
            .collect();
        parts.tracer.set_emit_before(monotonic_now())?;
        let mut young: HashMap<ProcessId, Vec<Handle>> = HashMap::new();
        for entry in parts.tracer.young()? {
            young
                .entry(entry.acquired.process)
                .or_default()
                .push(entry.key.handle);
        }
        for (id, shown) in all {
            match shown {
                Some(mut shown) => {
                    shown.young = young.remove(&id).unwrap_or_default();
                    parts.outlet.tell(Input::Compared {
                        process: id,
                        shown: Box::new(shown),
                    });
                    self.seen_in_proc.insert(id);
                }
                None => parts.outlet.tell(Input::Gone(id)),
            }
        }
        Ok(())
    }

    /// What /proc shows of a process, and of its threads that have tables of their own; `None` where
    /// it is gone.
    fn shown(&self, id: ProcessId, own_tables: &[u32], parts: &Parts<'_>) -> Option<Shown> {
        let pid = id.pid();
        let view = parts.outlet.ledger().process(id)?;
        let wants = |kind: Kind| parts.scope.kinds.contains(kind);
        let time = monotonic_now();
        let stat = self
            .proc
            .stat(pid)
            .filter(|stat| stat.id == id && !stat.is_zombie())?;
        let descriptors = self.proc.descriptors_with(pid, own_tables);
        let descriptors = descriptors.map(|mut descriptors| {
            descriptors.retain(|(_, kind)| wants(*kind));
            descriptors
        });
        let mappings = match wants(Kind::Mapping) && view.outstanding.get(Kind::Mapping) > 0 {
            true => self.proc.mapping_ranges(pid),
            false => None,
        };
        let threads = (wants(Kind::Thread) && stat.threads > 0).then(|| {
            let threads = self.proc.threads(pid).into_iter();
            threads
                .map(|thread| Handle::task(Class::Thread, thread))
                .collect()
        });
        // It may have ended while it was read: then the lists are short.
        self.proc
            .stat(pid)
            .filter(|stat| stat.id == id && !stat.is_zombie())?;
        Some(Shown {
            time,
            descriptors,
            mappings,
            threads,
            young: Vec::new(),
            adopt_as_preexisting: self.was_there_before(&view, parts),
        })
    }

    /// Whether what is unknown of a process came from before it was traced: its
    /// first look, nothing lost, and no traced parent that it could be from.
    fn was_there_before(&self, view: &ProcessView, parts: &Parts<'_>) -> bool {
        let traced_parent = view
            .parent
            .is_some_and(|parent| parts.outlet.ledger().process(parent).is_some());
        !self.seen_in_proc.contains(&view.id) && !view.lossy && !traced_parent
    }
}
