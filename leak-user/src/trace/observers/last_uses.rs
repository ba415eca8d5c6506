//! When what grows was used last: what leaks is not used again. The kernel keeps that of TCP
//! sockets, and moves the position of files that are read and written; a thread that works is
//! switched to, and so is a child process. Other kinds tell nothing. Only sites that grew lately
//! are looked at, and of each only some resources.

use std::collections::{BTreeMap, HashMap, HashSet};

use leak_common::{Handle, Kind, ProcessId};

use super::Outlet;
use crate::proc::Proc;
use crate::{
    analysis::Input,
    judge,
    kernel::{Last, Tracer, Used, monotonic_now, processor_time},
    ledger::{Origin, SiteKey},
    model::{site::SiteId, time::Nanos},
};

/// The pause after a look, as a multiple of the time that it took: 400 is a quarter of a percent
/// of a processor. At least this long.
const PAUSE: u64 = 400;
const LEAST_PAUSE: Nanos = 2_000_000_000;

/// Sites with at least so many resources are looked at, in so many processes. Where many grow, the
/// pauses get longer, and all are looked at for the report.
const LEAST: u64 = 8;
const MAX_PROCESSES: usize = 512;

/// What has not grown for this long is no suspect.
const QUIET: Nanos = 60_000_000_000;

/// Resources of a site that are told: so many of the old ones, and as many of the others.
const SAMPLED: usize = 30;
const OLD: Nanos = 12_000_000_000;

/// Files, threads and children of a site that are followed from look to look.
const FOLLOWED: usize = 64;

/// Switched off by this variable of the environment: to measure what it is good for.
pub(super) const OFF: &str = "LEAKTRACE_NO_USE";

/// When the next look is due, and what the looks before it saw.
pub(super) struct LastUseLooks {
    proc: Proc,
    is_on: bool,
    due: Nanos,
    grown: HashMap<SiteId, Grown>,
    followed: HashMap<SiteId, HashMap<Handle, Followed>>,
}

/// The most that a site held, and since when.
struct Grown {
    most: u64,
    since: Nanos,
}

/// A file, a thread or a child, by the looks at it.
struct Followed {
    acquired: Nanos,
    /// The position of the file, or how often the task was switched to.
    place: u64,
    /// The last look that found it moved since the one before; 0 for none.
    moved: Nanos,
}

/// A resource of a site that is looked at.
#[derive(Clone, Copy)]
struct Suspect {
    acquired: Nanos,
    handle: Handle,
}

/// A process's sites, each with its kind.
type SitesOf = HashMap<SiteId, Kind>;

impl LastUseLooks {
    pub(super) fn new(proc: &Proc) -> LastUseLooks {
        LastUseLooks {
            proc: proc.clone(),
            is_on: std::env::var_os(OFF).is_none(),
            due: 0,
            grown: HashMap::new(),
            followed: HashMap::new(),
        }
    }

    /// The next look is due at once.
    pub(super) fn hurry(&mut self) {
        self.due = 0;
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, tracer: &mut Tracer, outlet: &mut Outlet) {
        let began = monotonic_now();
        if !self.is_on || began < self.due {
            return;
        }
        let worked = processor_time();
        for (process, sites) in self.growing(began, outlet) {
            if let Err(error) = self.look_at(process, &sites, tracer, outlet) {
                tracing::debug!(pid = process.pid(), %error, "last uses are not known");
            }
        }
        // Waiting for a processor costs nothing: on a busy host it would be a long pause.
        let busy_ns = processor_time().saturating_sub(worked);
        tracing::debug!(busy_ns, "looked at last uses");
        let pause = busy_ns.saturating_mul(PAUSE).max(LEAST_PAUSE);
        self.due = monotonic_now().saturating_add(pause);
    }

    /// The sites that grew lately and whose resources may tell when they were used, by their
    /// processes: those that hold most.
    fn growing(&mut self, now: Nanos, outlet: &Outlet) -> Vec<(ProcessId, SitesOf)> {
        let mut seen = HashSet::new();
        let mut found: HashMap<ProcessId, (u64, SitesOf)> = HashMap::new();
        for (key, record) in outlet.ledger().sites() {
            let SiteKey::Site(site) = key else {
                continue;
            };
            let tells = matches!(
                record.kind,
                Kind::Socket | Kind::File | Kind::Thread | Kind::Process
            );
            if !tells || record.outstanding < LEAST {
                continue;
            }
            seen.insert(site);
            let grown = self.grown.entry(site).or_insert(Grown {
                most: 0,
                since: now,
            });
            if record.outstanding > grown.most {
                grown.most = record.outstanding;
                grown.since = now;
            }
            if now.saturating_sub(grown.since) <= QUIET {
                let (held, sites) = found.entry(record.process).or_default();
                *held += record.outstanding;
                sites.insert(site, record.kind);
            }
        }
        self.grown.retain(|site, _| seen.contains(site));
        self.followed.retain(|site, _| seen.contains(site));
        let mut found: Vec<(u64, ProcessId, SitesOf)> = found
            .into_iter()
            .map(|(process, (held, sites))| (held, process, sites))
            .collect();
        found.sort_unstable_by_key(|&(held, process, _)| (std::cmp::Reverse(held), process));
        let found = found.into_iter().take(MAX_PROCESSES);
        found.map(|(_, process, sites)| (process, sites)).collect()
    }

    fn look_at(
        &mut self,
        process: ProcessId,
        sites: &SitesOf,
        tracer: &mut Tracer,
        outlet: &mut Outlet,
    ) -> anyhow::Result<()> {
        let mut suspects: BTreeMap<SiteId, Vec<Suspect>> = BTreeMap::new();
        for holding in outlet.ledger().holdings(process) {
            if holding.origin == Origin::Traced && sites.contains_key(&holding.site) {
                let of_site = suspects.entry(holding.site).or_default();
                of_site.push(Suspect {
                    acquired: holding.acquired,
                    handle: holding.handle,
                });
            }
        }
        let has_descriptors = sites
            .values()
            .any(|kind| matches!(kind, Kind::Socket | Kind::File));
        let descriptors = match has_descriptors && tracer.knows_descriptor_uses() {
            true => Descriptors::of(process, tracer, &self.proc)?,
            false => Descriptors::default(),
        };
        // Who has the pid now?
        if self.proc.identity(process.pid()) != Some(process) {
            return Ok(());
        }
        let time = monotonic_now();
        for (site, mut of_site) in suspects {
            of_site.sort_unstable_by_key(|suspect| (suspect.acquired, suspect.handle));
            let (accepted, resources) = match sites[&site] {
                Kind::Socket => descriptors.connections(&of_site, time),
                kind => (
                    false,
                    self.moved(process, site, kind, &of_site, &descriptors, time),
                ),
            };
            if resources.len() as u64 >= LEAST {
                outlet.tell(Input::LastUses(Box::new(judge::LastUses {
                    time,
                    site,
                    accepted,
                    resources,
                })));
            }
        }
        Ok(())
    }

    /// When files, threads and children moved last: the oldest are followed from look to look.
    fn moved(
        &mut self,
        process: ProcessId,
        site: SiteId,
        kind: Kind,
        suspects: &[Suspect],
        descriptors: &Descriptors,
        time: Nanos,
    ) -> Vec<(Nanos, Nanos)> {
        let followed = self.followed.entry(site).or_default();
        let held: HashSet<(Handle, Nanos)> =
            suspects.iter().map(|s| (s.handle, s.acquired)).collect();
        followed.retain(|handle, one| held.contains(&(*handle, one.acquired)));
        for suspect in suspects {
            if followed.len() >= FOLLOWED && !followed.contains_key(&suspect.handle) {
                continue;
            }
            let place = match (kind, suspect.handle.descriptor(), suspect.handle.as_task()) {
                (Kind::File, Some(number), _) => descriptors.position(number),
                (Kind::Thread, _, Some(thread)) => self.proc.switches(process.pid(), thread.pid()),
                (Kind::Process, _, Some(child)) => self.proc.switches(child.pid(), child.pid()),
                _ => None,
            };
            let Some(place) = place else {
                continue;
            };
            let one = followed.entry(suspect.handle).or_insert(Followed {
                acquired: suspect.acquired,
                place,
                moved: 0,
            });
            if one.place != place {
                one.place = place;
                one.moved = time;
            }
        }
        let moved = followed.values();
        let mut moved: Vec<(Nanos, Nanos)> = moved
            .map(|one| (one.acquired, one.moved.max(one.acquired)))
            .collect();
        moved.sort_unstable();
        moved
    }
}

/// What the kernel tells of a process's descriptors.
#[derive(Default)]
struct Descriptors {
    last: HashMap<u32, Last>,
    /// Ports of connections that others opened: those that the process listens on, and those
    /// below the ones that the kernel chooses for who connects.
    listens: HashSet<u16>,
    chosen_from: u16,
}

impl Descriptors {
    fn of(process: ProcessId, tracer: &mut Tracer, proc: &Proc) -> anyhow::Result<Descriptors> {
        let uses = tracer.descriptor_uses(process.pid())?;
        let listens = uses.iter().filter_map(|one| match one.last {
            Last::Listens { local_port } => Some(local_port),
            _ => None,
        });
        Ok(Descriptors {
            listens: listens.collect(),
            chosen_from: proc.port_range().map_or(0, |(first, _)| first),
            last: last_of_each(&uses),
        })
    }

    fn position(&self, descriptor: u32) -> Option<u64> {
        match self.last.get(&descriptor)? {
            Last::Position(position) => Some(*position),
            Last::Data { .. } | Last::Listens { .. } | Last::Unknown => None,
        }
    }

    /// Whether most of a site's connections were accepted, and when a sample of them was used
    /// last.
    fn connections(&self, suspects: &[Suspect], time: Nanos) -> (bool, Vec<(Nanos, Nanos)>) {
        let mut accepted = 0;
        let mut connections: Vec<(Nanos, Nanos)> = Vec::new();
        for suspect in suspects {
            let number = suspect.handle.descriptor();
            let last = number.and_then(|number| self.last.get(&number));
            if let Some(Last::Data { ago, local_port }) = last {
                let is_accepted =
                    self.listens.contains(local_port) || *local_port < self.chosen_from;
                accepted += usize::from(is_accepted);
                let last = time.saturating_sub(*ago).max(suspect.acquired);
                connections.push((suspect.acquired, last));
            }
        }
        let old =
            connections.partition_point(|(acquired, _)| time.saturating_sub(*acquired) >= OLD);
        let (old, young) = connections.split_at(old);
        let sample = evenly(old).chain(evenly(young)).copied().collect();
        (accepted * 2 > connections.len(), sample)
    }
}

/// When each descriptor was used last. The kernel tells it of the open file, so of several
/// descriptors of one file nobody knows which was used: a duplicate may be forgotten while the one
/// that it was made of is used all the time.
fn last_of_each(uses: &[Used]) -> HashMap<u32, Last> {
    let mut descriptors: HashMap<u64, u32> = HashMap::new();
    for one in uses {
        *descriptors.entry(one.file).or_default() += 1;
    }
    let last = |one: &Used| match descriptors[&one.file] {
        1 => one.last,
        _ => Last::Unknown,
    };
    uses.iter().map(|one| (one.descriptor, last(one))).collect()
}

/// At most [`SAMPLED`] of these, evenly.
fn evenly<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let count = all.len().min(SAMPLED);
    (0..count).map(move |index| &all[index * all.len() / count])
}

#[cfg(test)]
mod tests {
    use leak_common::Class;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_sample_is_even_and_bounded() {
        let all: Vec<u32> = (0..100).collect();
        let sample: Vec<u32> = evenly(&all).copied().collect();
        assert_eq!(sample.len(), SAMPLED);
        assert_eq!((sample[0], sample[29]), (0, 96));
        assert_eq!(evenly(&all[..7]).count(), 7);
        assert_eq!(evenly::<u32>(&[]).count(), 0);
    }

    #[test]
    fn the_use_of_a_duplicate_is_not_known() {
        let used = |descriptor, file, position| Used {
            descriptor,
            file,
            last: Last::Position(position),
            connection: None,
        };
        let last = last_of_each(&[used(3, 10, 5), used(4, 11, 5), used(5, 10, 5)]);
        assert_eq!(last[&3], Last::Unknown);
        assert_eq!(last[&4], Last::Position(5));
        assert_eq!(last[&5], Last::Unknown);
    }

    #[test]
    fn connections_to_a_port_that_is_listened_on_were_accepted() {
        let data = |local_port| Last::Data {
            ago: SECOND,
            local_port,
        };
        let descriptors = |local_port: u16| Descriptors {
            last: (0..20).map(|number| (number, data(local_port))).collect(),
            listens: HashSet::from([40_000]),
            chosen_from: 32_768,
        };
        let suspects: Vec<Suspect> = (0..20)
            .map(|number| Suspect {
                acquired: (80 + number) * SECOND,
                handle: Handle::new(Class::Descriptor, number),
            })
            .collect();
        let now = 100 * SECOND;
        for (port, accepted) in [(40_000, true), (80, true), (40_001, false)] {
            let (is_accepted, sample) = descriptors(port).connections(&suspects, now);
            assert_eq!(is_accepted, accepted, "{port}");
            assert_eq!(sample.len(), 20);
            assert_eq!(sample[0], (80 * SECOND, 99 * SECOND));
        }
    }
}
