//! What events do not tell: sockets whose peer has closed, how many watches an
//! inotify descriptor has gathered, and where the stacks of threads stand. Looked at between
//! samples, for a bounded share of the time.

use std::collections::{HashMap, HashSet};

use leak_common::{Class, Handle, Kind, ProcessId};

use super::{Code, Outlet, Tracer};
use crate::proc::Proc;
use crate::{
    analysis::Input,
    judge::Observation,
    kernel::monotonic_now,
    ledger::{ProcessView, SiteKey},
    model::{site::SiteId, time::Nanos},
};

/// The pause after a look, as a multiple of the time that it took: 50 is 2 % of a processor.
const PAUSE: u64 = 50;

/// Processes looked at, and descriptors of each.
const MAX_PROCESSES: usize = 512;
const MAX_SOCKETS: usize = 1024;
const MAX_INOTIFY: usize = 16;
/// Watches of a descriptor whose sites are asked for.
const MAX_WATCHES: usize = 256;

/// Threads of a process whose stacks are looked for: a share of them tells enough.
const MAX_THREADS: usize = 128;

/// What a process holds that is looked at.
#[derive(Clone, Copy)]
struct Holds {
    sockets: bool,
    watches: bool,
    /// Threads that began during the trace.
    threads: bool,
}

/// When the next look is due, and whom the last one showed something of.
pub(super) struct DescriptorLooks {
    proc: Proc,
    due: Nanos,
    shown: HashSet<ProcessId>,
}

impl DescriptorLooks {
    pub(super) fn new(proc: &Proc) -> DescriptorLooks {
        DescriptorLooks {
            proc: proc.clone(),
            due: 0,
            shown: HashSet::new(),
        }
    }

    /// The next look is due at once.
    pub(super) fn hurry(&mut self) {
        self.due = 0;
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, tracer: &Tracer, code: &mut Code, outlet: &mut Outlet) {
        let began = monotonic_now();
        if began < self.due {
            return;
        }
        let holds =
            |view: &ProcessView, kind| view.outstanding.get(kind) + view.preexisting.get(kind) > 0;
        let processes: Vec<(ProcessId, Holds)> = outlet
            .ledger()
            .processes()
            .filter(|view| view.exited.is_none())
            .map(|view| {
                let holds = Holds {
                    sockets: holds(&view, Kind::Socket),
                    watches: holds(&view, Kind::Inotify),
                    threads: view.outstanding.get(Kind::Thread) > 0,
                };
                (view.id, holds)
            })
            .filter(|(_, holds)| holds.sockets || holds.watches || holds.threads)
            .take(MAX_PROCESSES)
            .collect();
        let mut closed: HashMap<u64, HashMap<u64, String>> = HashMap::new();
        let mut shown = HashSet::new();
        for (process, holds) in processes {
            let mut observation = self.look_at(process, holds, &mut closed, outlet);
            if holds.watches {
                self.look_at_watches(&mut observation, tracer, code, outlet);
            }
            let empty = observation.is_empty();
            if !empty {
                shown.insert(process);
            }
            if !empty || self.shown.contains(&process) {
                outlet.tell(Input::Observed(Box::new(observation)));
            }
        }
        let now = monotonic_now();
        self.due = now.saturating_add(now.saturating_sub(began).saturating_mul(PAUSE));
        self.shown = shown;
    }

    /// `closed` keeps what was read of each network name space.
    fn look_at(
        &self,
        process: ProcessId,
        holds: Holds,
        closed: &mut HashMap<u64, HashMap<u64, String>>,
        outlet: &Outlet,
    ) -> Observation {
        let pid = process.pid();
        let handle = |number: u32| Handle::new(Class::Descriptor, u64::from(number));
        let closed = holds.sockets.then(|| {
            let namespace = self.proc.network_namespace(pid).unwrap_or(0);
            let closed = closed.entry(namespace);
            closed.or_insert_with(|| self.proc.close_wait(pid))
        });
        let close_wait = match closed {
            None => Vec::new(),
            Some(closed) if closed.is_empty() => Vec::new(),
            Some(closed) => {
                let held = self.proc.descriptors_of_sockets(pid, closed, MAX_SOCKETS);
                let held = held.into_iter();
                held.map(|(number, peer)| (handle(number), peer.to_owned()))
                    .collect()
            }
        };
        Observation {
            time: monotonic_now(),
            process,
            close_wait,
            watches: Vec::new(),
            adders: Vec::new(),
            stacks: match holds.threads {
                true => self.stacks_of(process, outlet),
                false => Vec::new(),
            },
        }
    }

    /// Adds how many watches the inotify descriptors of a process have, and who added most.
    fn look_at_watches(
        &self,
        observation: &mut Observation,
        tracer: &Tracer,
        code: &mut Code,
        outlet: &mut Outlet,
    ) {
        let process = observation.process;
        let holdings = outlet.ledger().holdings(process).into_iter();
        let descriptors: Vec<(Handle, u32)> = holdings
            .filter(|holding| holding.kind == Kind::Inotify)
            .filter_map(|holding| Some((holding.handle, holding.handle.descriptor()?)))
            .take(MAX_INOTIFY)
            .collect();
        for (handle, number) in descriptors {
            let watches = self.proc.inotify_watches(process.pid(), number);
            observation.watches.push((handle, watches.len() as u64));
            // The latest have the highest numbers, and are listed first.
            let asked = &watches[..watches.len().min(MAX_WATCHES)];
            let sites = tracer.watch_sites(process, number, asked);
            let sites = sites.into_iter().map(|site| code.resolve(site));
            if let Some(site) = commonest(sites) {
                // Its code is met nowhere else.
                code.look_at_site(site, outlet);
                observation.adders.push((handle, site));
            }
        }
    }

    /// Where the stacks of the threads stand that began during the trace.
    fn stacks_of(&self, process: ProcessId, outlet: &Outlet) -> Vec<(Handle, u64)> {
        let ledger = outlet.ledger();
        let began = ledger
            .threads(process)
            .filter(|(_, site)| matches!(site, SiteKey::Site(_)));
        let stack = |handle: Handle| {
            let tid = handle.as_task()?.pid();
            Some((handle, self.proc.stack_pointer(process.pid(), tid)?))
        };
        began
            .take(MAX_THREADS)
            .filter_map(|(handle, _)| stack(handle))
            .collect()
    }
}

/// The site that is there most often, if there is any.
fn commonest(sites: impl Iterator<Item = SiteId>) -> Option<SiteId> {
    let mut counts: HashMap<SiteId, u64> = HashMap::new();
    for site in sites.filter(|site| *site != SiteId::UNKNOWN) {
        *counts.entry(site).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|&(site, count)| (count, site));
    most.map(|(site, _)| site)
}
