//! What happens, on its way to the outlet: events of the ring, what the young table promotes, what `/proc` shows at the
//! start and in doubt. It adds what the kernel side cannot know, and keeps what is needed for that until a process's exit
//! is long past.

mod baseline;
mod counts;
mod promote;
mod reconcile;

use leak_common::ProcessId;

use super::{code::Code, command, describer::Describer, outlet::Outlet, scope::Scope};
use crate::{
    analysis::Input,
    event::{Event, Executed, Site},
    kernel::{Tracer, monotonic_now},
    ledger::{SiteCounts, SiteKey},
    model::{
        hash::{Map, Set},
        site::SiteId,
        time::Nanos,
    },
    proc::Proc,
};

/// The other parts of a trace, as far as the intake needs them.
pub(super) struct Parts<'a> {
    pub(super) scope: &'a Scope,
    pub(super) tracer: &'a mut Tracer,
    pub(super) outlet: &'a mut Outlet,
    pub(super) code: &'a mut Code,
    pub(super) describer: &'a mut Describer,
}

pub(super) struct Intake {
    proc: Proc,
    /// The command, and when it was let go: it is held at its exec.
    let_go: Option<(ProcessId, Nanos)>,
    /// Processes that exited lately: what the young table holds of them is promoted at once.
    exited: Map<ProcessId, Nanos>,
    /// Resources that the kernel counted at a site and that are not of it: they are of another kind
    /// and site, or not to be followed.
    moved: Map<SiteId, u64>,
    /// What stayed in the young table at the last look, by site.
    young: Map<SiteId, u64>,
    /// Sites in the kernel's table, by process, to be taken out after its exit.
    kernel_sites: Map<ProcessId, Vec<SiteId>>,
    /// Processes whose descriptors were read from /proc at least once.
    seen_in_proc: Set<ProcessId>,
    /// Releases of children of processes that are not traced.
    of_others: u64,
    counts: counts::Counts,
}

impl Intake {
    pub(super) fn new(proc: &Proc) -> Intake {
        Intake {
            proc: proc.clone(),
            let_go: None,
            exited: Map::default(),
            moved: Map::default(),
            young: Map::default(),
            kernel_sites: Map::default(),
            seen_in_proc: Set::default(),
            of_others: 0,
            counts: counts::Counts::default(),
        }
    }

    /// The command begins to run now: that it was held until then is no part of its life.
    pub(super) fn let_go(&mut self, process: ProcessId) {
        self.let_go = Some((process, monotonic_now()));
    }

    /// Releases of children of processes that are not traced.
    pub(super) fn of_others(&self) -> u64 {
        self.of_others
    }

    /// Takes an event of the ring.
    pub(super) fn event(&mut self, event: Event, parts: &mut Parts<'_>) {
        match event {
            Event::Acquired(acquired) => self.acquired(acquired, parts),
            Event::Released(mut gone) => {
                if gone.process == ProcessId::NONE && !self.find_parent(&mut gone, parts) {
                    self.of_others += 1;
                    return;
                }
                parts.tell(Event::Released(gone));
            }
            Event::Site(site) => self.site(site, parts),
            Event::Forked(forked) => {
                let generation = parts.outlet.generation(forked.parent);
                parts.code.forked(&forked, generation);
                parts.tell(event);
            }
            Event::Executed(executed) => self.executed(executed, parts),
            Event::Exited { time, process } => {
                self.exited.insert(process, time);
                parts.tell(event);
            }
            Event::RangeReleased(_) | Event::Remapped(_) | Event::Uncovered { .. } => {
                parts.tell(event);
            }
        }
    }

    fn site(&mut self, site: Site, parts: &mut Parts<'_>) {
        let id = site.id;
        self.kernel_sites.entry(site.process).or_default().push(id);
        let generation = parts.outlet.generation(site.process);
        parts.code.site(&site, generation);
        parts.tell(Event::Site(site));
        match parts.scope.prompt {
            true => parts.code.look_at_site(id, parts.outlet),
            false => parts.code.look_early(id, parts.outlet),
        }
    }

    fn executed(&mut self, executed: Executed, parts: &mut Parts<'_>) {
        let mut executed = executed;
        command::since_let_go(&mut executed, self.let_go);
        parts.code.executed(&executed);
        parts.tell(Event::Executed(executed));
        if parts.scope.prompt {
            parts.code.look_at_program(&executed, parts.outlet);
            parts.describer.tell_facts(executed.process, parts.outlet);
        }
    }

    /// Takes over what the kernel counts at each site.
    pub(super) fn count_sites(&self, parts: &mut Parts<'_>) -> anyhow::Result<()> {
        let mut totals: Map<SiteId, SiteCounts> = Map::default();
        for (site, count) in parts.tracer.site_totals()? {
            let total = totals.entry(parts.code.resolve(site)).or_default();
            total.acquired += count.acquired;
            total.released = Some(total.released.unwrap_or(0) + count.released);
        }
        for (&site, &count) in &self.young {
            if let Some(total) = totals.get_mut(&parts.code.resolve(site)) {
                total.young += count;
            }
        }
        for (site, mut counts) in totals {
            counts.elsewhere = self.moved.get(&site).copied().unwrap_or(0);
            let known = parts.outlet.ledger().site(SiteKey::Site(site));
            if known.is_some_and(|known| known.counted() != counts) {
                parts.outlet.tell(Input::Counted { site, counts });
            }
        }
        Ok(())
    }

    /// Processes whose exit is long past.
    pub(super) fn long_gone(&self, scope: &Scope) -> Vec<ProcessId> {
        let horizon = monotonic_now().saturating_sub(2 * scope.nursery);
        self.exited
            .iter()
            .filter(|(_, time)| **time < horizon)
            .map(|(process, _)| *process)
            .collect()
    }

    /// Drops what is kept of a process whose exit is long past.
    pub(super) fn forget(&mut self, process: ProcessId, parts: &mut Parts<'_>) {
        self.exited.remove(&process);
        self.seen_in_proc.remove(&process);
        // The ledger remembers a bounded number of those that left something.
        let kept = parts.outlet.ledger().knows(process);
        for site in self.kernel_sites.remove(&process).unwrap_or_default() {
            parts.tracer.forget_site(site);
            self.moved.remove(&site);
            if !kept {
                parts.code.forget_site(site);
                parts.describer.forget_site(site);
            }
        }
        parts.code.forget_process(process, kept);
    }
}

impl Parts<'_> {
    fn tell(&mut self, event: Event) {
        self.outlet.tell(Input::Event(event));
    }
}
