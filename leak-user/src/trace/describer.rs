//! What only the running system knows of processes and their resources: names, what a descriptor is, who else holds it,
//! limits. It is read from `/proc` while processes live, and told.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use leak_common::{Handle, Kind, ProcessId};

use super::outlet::Outlet;
use crate::{
    analysis::Input,
    event::Acquired,
    judge::Judged,
    kernel::monotonic_now,
    ledger::{ProcessView, Resource},
    model::{facts::Facts, hash::Map, report::Verdict, site::SiteId},
    proc::{HostUse, Proc, SHARED_BUDGET, SharedUse},
};

/// Examples whose other holders are looked for, those of the first findings, and how long that may take.
const MAX_SHARED: usize = 256;
const SHARING_LIMIT: Duration = Duration::from_secs(1);

/// Processes whose limits are read, those with findings first.
const MAX_LIMITS: usize = 512;

/// Resources of a site that are described before they are asked for.
const DESCRIBED_EARLY: usize = 3;

pub(super) struct Describer {
    proc: Proc,
    shared_use: SharedUse,
    /// How many of a site's first resources were described, for processes that may exit.
    described: Map<SiteId, usize>,
    /// The holders of shared files were looked for, and time was up.
    sharing_cut_short: bool,
}

impl Describer {
    pub(super) fn new(proc: &Proc) -> Describer {
        Describer {
            proc: proc.clone(),
            shared_use: SharedUse::default(),
            described: Map::default(),
            sharing_cut_short: false,
        }
    }

    fn is_live(&self, process: ProcessId) -> bool {
        self.proc.identity(process.pid()) == Some(process)
    }

    /// Tells name and command line of a process for the report.
    pub(super) fn tell_facts(&self, process: ProcessId, outlet: &mut Outlet) {
        // Should it execute another program meanwhile, they count as those of the former one.
        let read = monotonic_now();
        if self.is_live(process)
            && let Some(facts) = self.proc.status_facts(process.pid())
        {
            outlet.tell_facts(process, Facts { read, ..facts });
        }
    }

    /// Looks at a site's first resources while they last: the report may come after their process.
    pub(super) fn describe_early(&mut self, acquired: &Acquired, outlet: &mut Outlet) {
        let described = self.described.entry(acquired.site).or_default();
        *described += 1;
        let pid = acquired.process.pid();
        let description = self.proc.describe(pid, acquired.handle, acquired.kind);
        outlet.tell(Input::Described {
            time: monotonic_now(),
            process: acquired.process,
            handle: acquired.handle,
            kind: acquired.kind,
            description: Box::new(description),
        });
    }

    /// Whether as many of a site's resources were described as are before they are asked for.
    pub(super) fn has_described(&self, site: SiteId) -> bool {
        self.described.get(&site) >= Some(&DESCRIBED_EARLY)
    }

    /// Nothing asks for a site any more.
    pub(super) fn forget_site(&mut self, site: SiteId) {
        self.described.remove(&site);
    }

    /// Tells what the examples of findings are, while their processes live: each process is asked once, for some
    /// answers are in tables of the whole host.
    pub(super) fn describe(&self, judged: &[Judged], outlet: &mut Outlet) {
        let mut wanted: BTreeMap<ProcessId, Vec<(Resource, Kind)>> = BTreeMap::new();
        for judged in judged {
            let samples = judged.samples.iter().map(|sample| (*sample, judged.kind));
            wanted.entry(judged.process).or_default().extend(samples);
        }
        for (process, samples) in wanted {
            if self.is_live(process) {
                self.describe_samples(process, &samples, outlet);
            }
        }
    }

    fn describe_samples(
        &self,
        process: ProcessId,
        samples: &[(Resource, Kind)],
        outlet: &mut Outlet,
    ) {
        let resources: Vec<(Handle, Kind)> = samples
            .iter()
            .map(|(sample, kind)| (sample.handle, *kind))
            .collect();
        let time = monotonic_now();
        let descriptions = self.proc.describe_many(process.pid(), &resources);
        for (&(sample, kind), description) in samples.iter().zip(descriptions) {
            let analysis = outlet.analysis();
            let known = analysis.description(process, sample.handle, sample.acquired);
            if known != Some(&description) {
                outlet.tell(Input::Described {
                    time,
                    process,
                    handle: sample.handle,
                    kind,
                    description: Box::new(description),
                });
            }
        }
    }

    /// Tells who else holds what may be leaked.
    pub(super) fn tell_sharing(&mut self, judged: &[Judged], outlet: &mut Outlet) {
        let mut asked = Vec::new();
        for judged in judged {
            if judged.verdict == Verdict::Steady || !self.is_live(judged.process) {
                continue;
            }
            let descriptors = judged.samples.iter().filter_map(|sample| {
                let number = sample.handle.descriptor()?;
                Some((judged.process, number, *sample))
            });
            asked.extend(descriptors.take(MAX_SHARED - asked.len()));
        }
        let wanted: Vec<(u32, u32)> = asked
            .iter()
            .map(|(process, number, _)| (process.pid(), *number))
            .collect();
        let time = monotonic_now();
        let sharing = self.proc.sharing(&wanted, Instant::now() + SHARING_LIMIT);
        self.sharing_cut_short = sharing.cut_short;
        for ((process, _, sample), holders) in asked.into_iter().zip(sharing.holders) {
            let analysis = outlet.analysis();
            if analysis.holders(process, sample.handle, sample.acquired) != holders {
                outlet.tell(Input::Shared {
                    time,
                    process,
                    handle: sample.handle,
                    holders,
                });
            }
        }
    }

    /// What of this could not be found out, one sentence each.
    pub(super) fn uncovered(&self) -> Option<String> {
        self.sharing_cut_short.then(|| {
            "not all holders of shared files were found: the host has many descriptors".to_owned()
        })
    }

    /// How much of the limits of the host is used.
    pub(super) fn host_use(&self) -> HostUse {
        self.proc.host_use()
    }

    /// Tells the limits of the processes that matter most.
    pub(super) fn tell_limits(
        &self,
        views: &[ProcessView],
        judged: &[Judged],
        outlet: &mut Outlet,
    ) {
        let host = self.host_use();
        let mut told: HashSet<ProcessId> = HashSet::new();
        let judged = judged.iter().map(|judged| judged.process);
        for process in judged.chain(views.iter().map(|view| view.id)) {
            if told.len() >= MAX_LIMITS {
                break;
            }
            if self.is_live(process) && told.insert(process) {
                self.tell_limits_of(process, &host, outlet);
            }
        }
    }

    /// Tells the limits of a process, unless that was told.
    pub(super) fn tell_limits_of(&self, process: ProcessId, host: &HostUse, outlet: &mut Outlet) {
        if !self.is_live(process) {
            return;
        }
        let mut limits = self.proc.limits(process.pid(), host);
        limits.extend(self.shared_use.limits_of(process.pid()));
        if outlet.analysis().limits_of(process) != limits {
            outlet.tell(Input::Limits(process, limits));
        }
    }

    /// Tells how much is used of the limits that processes share: within the time for a sample, or all of them.
    pub(super) fn tell_shared_limits(&mut self, all: bool, outlet: &mut Outlet) {
        let budget = (!all).then_some(SHARED_BUDGET);
        let shared = self.shared_use.read(&self.proc, budget);
        outlet.tell(Input::SharedLimits(shared));
    }
}
