//! Pools of connections: who borrowed which of them last. A pool is what a process holds of
//! connections to one other end, once there are a few that are not new. The kernel side watches
//! their sockets from then on, as far as there is room, and tells the stack of the last send.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use leak_common::{Handle, Kind, ProcessId, identity::mix};

use super::{Code, Outlet, last_uses::OFF};
use crate::proc::Proc;
use crate::{
    analysis::Input,
    judge::{Borrows, PoolUses, Pooled},
    kernel::{Connection, Last, Tracer, Used, Watch, monotonic_now, worked},
    ledger::{Holding, Origin},
    model::{site::SiteId, time::Nanos},
};

/// The pause after a look, as a multiple of the time that it took: 400 is a quarter of a percent
/// of a processor. At least this long.
const PAUSE: u64 = 400;
const LEAST_PAUSE: Nanos = 2_000_000_000;

/// From so many connections on that are not new, they are a pool.
const LEAST: usize = 4;
const NEW: Nanos = 4_000_000_000;

/// Connections of a pool that are watched and told, the oldest; and all that are watched, of so
/// many processes: those that hold most.
const WATCHED: usize = 64;
const ALL_WATCHED: usize = leak_common::limits::WATCHED_ENTRIES as usize;
const MAX_PROCESSES: usize = 64;

/// A pool that more stacks borrow from is not watched: none of them says anything.
const MAX_BORROWERS: usize = 256;

/// Requests without an answer that are told at most.
const WAITING: usize = 64;

/// What the looks go by.
pub(super) struct PoolLooks {
    proc: Proc,
    is_on: bool,
    due: Nanos,
    /// The sockets that are watched.
    watched: HashMap<u64, Member>,
    /// Pools with too many borrowers.
    given_up: HashSet<u64>,
}

/// A socket that is watched: when the descriptor was acquired, and its pool.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Member {
    acquired: Nanos,
    pool: u64,
}

/// A connection of a pool.
struct Pooling {
    handle: Handle,
    acquired: Nanos,
    /// It is from before the trace.
    preexisting: bool,
    site: SiteId,
    connection: Connection,
}

/// What a look at a process found: its pools by the other end, and the requests it has not
/// answered.
#[derive(Default)]
struct Found {
    pools: BTreeMap<String, Vec<Pooling>>,
    waiting: Vec<Nanos>,
}

/// What the kernel side has seen of borrowers.
struct Seen {
    watches: HashMap<u64, Watch>,
    borrows: HashMap<u64, Vec<Borrows>>,
    /// The keys of what was counted, as the kernel side has them.
    counted: Vec<(u64, SiteId)>,
}

impl PoolLooks {
    pub(super) fn new(proc: &Proc) -> PoolLooks {
        PoolLooks {
            proc: proc.clone(),
            is_on: std::env::var_os(OFF).is_none(),
            due: 0,
            watched: HashMap::new(),
            given_up: HashSet::new(),
        }
    }

    /// The next look is due at once.
    pub(super) fn hurry(&mut self) {
        self.due = 0;
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, tracer: &mut Tracer, code: &mut Code, outlet: &mut Outlet) {
        let began = monotonic_now();
        if !self.is_on || began < self.due || !tracer.knows_descriptor_uses() {
            return;
        }
        if let Err(error) = self.look_at_all(tracer, code, outlet) {
            tracing::debug!(%error, "the uses of pools are not known");
        }
        let now = monotonic_now();
        let took = now.saturating_sub(began);
        self.due = now.saturating_add(took.saturating_mul(PAUSE).max(LEAST_PAUSE));
    }

    fn look_at_all(
        &mut self,
        tracer: &mut Tracer,
        code: &mut Code,
        outlet: &mut Outlet,
    ) -> anyhow::Result<()> {
        let processes = holders(outlet);
        if processes.is_empty() && self.watched.is_empty() {
            return Ok(());
        }
        tracing::debug!(?processes, "look for pools");
        let seen = Seen::by(tracer, code)?;
        let mut kept: HashMap<u64, Member> = HashMap::new();
        for process in processes {
            let found = match self.look_at(process, tracer, outlet) {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(pid = process.pid(), %error, "pools are not known");
                    continue;
                }
            };
            let time = monotonic_now();
            let worked = worked(process.pid()).unwrap_or(0);
            for (peer, pooling) in &found.pools {
                let pool = pool_of(process, peer);
                let uses = PoolUses {
                    time,
                    process: process.0,
                    peer: peer.clone(),
                    worked,
                    waiting: found.waiting.clone(),
                    ..self.uses(pool, pooling, time, &seen)
                };
                for site in uses.connections.iter().map(|one| one.borrower) {
                    code.look_at_site(site, outlet);
                }
                tracing::debug!(?uses, "a pool");
                outlet.tell(Input::PoolUses(Box::new(uses)));
                self.watch(process, pool, pooling, &mut kept, tracer, &seen);
            }
        }
        self.unwatch_others(kept, tracer, &seen);
        Ok(())
    }

    fn look_at(
        &self,
        process: ProcessId,
        tracer: &mut Tracer,
        outlet: &Outlet,
    ) -> anyhow::Result<Found> {
        let open = tracer.descriptor_uses(process.pid())?;
        // Who has the pid now?
        if self.proc.identity(process.pid()) != Some(process) {
            return Ok(Found::default());
        }
        let held: HashMap<u32, Holding> = outlet
            .ledger()
            .holdings(process)
            .into_iter()
            .filter(|one| one.kind == Kind::Socket && one.origin != Origin::Inherited)
            .filter_map(|one| Some((one.handle.descriptor()?, one)))
            .collect();
        let chosen_from = self.proc.port_range().map_or(0, |(first, _)| first);
        Ok(found(&open, &held, chosen_from, monotonic_now()))
    }

    /// What was seen of a pool's connections.
    fn uses(&self, pool: u64, pooling: &[Pooling], time: Nanos, seen: &Seen) -> PoolUses {
        let used = |one: &Pooling| {
            let member = self.watched.get(&one.connection.socket);
            let watch = seen.watches.get(&one.connection.socket);
            let watch = watch.filter(|_| member.is_some_and(|m| m.acquired == one.acquired));
            let sent = time.saturating_sub(one.connection.sent_ago);
            let seen = watch.map_or(0, |watch| watch.used);
            Pooled {
                handle: one.handle,
                acquired: one.acquired,
                // The kernel's own time is coarse, and is of ticks.
                used: match seen {
                    0 if one.preexisting => sent,
                    0 => sent.max(one.acquired),
                    seen => seen,
                },
                borrower: watch.and_then(|watch| watch.borrower).unwrap_or_default(),
            }
        };
        let (told, others) = pooling.split_at(pooling.len().min(WATCHED));
        let others = others.iter().map(|one| used(one).used);
        PoolUses {
            site: most_common(pooling),
            connections: told.iter().map(used).collect(),
            others: others.max().unwrap_or(0),
            borrows: seen.borrows.get(&pool).cloned().unwrap_or_default(),
            ..PoolUses::default()
        }
    }

    /// Has the sockets of a pool watched that are not new.
    fn watch(
        &mut self,
        process: ProcessId,
        pool: u64,
        pooling: &[Pooling],
        kept: &mut HashMap<u64, Member>,
        tracer: &mut Tracer,
        seen: &Seen,
    ) {
        let borrowers = seen.borrows.get(&pool).map_or(0, Vec::len);
        if borrowers > MAX_BORROWERS {
            if self.given_up.len() >= ALL_WATCHED {
                self.given_up.clear();
            }
            self.given_up.insert(pool);
        }
        if !tracer.knows_borrowers() || self.given_up.contains(&pool) {
            return;
        }
        for one in pooling.iter().take(WATCHED) {
            if kept.len() >= ALL_WATCHED {
                return;
            }
            let socket = one.connection.socket;
            let member = Member {
                acquired: one.acquired,
                pool,
            };
            if self.watched.get(&socket) != Some(&member) {
                // Another socket may have had the same address.
                if let Err(error) = tracer.watch(socket, process, pool) {
                    tracing::debug!(pid = process.pid(), %error, "a socket is not watched");
                    return;
                }
            }
            kept.insert(socket, member);
        }
    }

    /// Watches no longer what is not to be kept.
    fn unwatch_others(&mut self, kept: HashMap<u64, Member>, tracer: &mut Tracer, seen: &Seen) {
        for socket in self.watched.keys().filter(|one| !kept.contains_key(one)) {
            tracer.unwatch(*socket);
        }
        let pools: HashSet<u64> = kept.values().map(|member| member.pool).collect();
        let gone: Vec<(u64, SiteId)> = seen
            .counted
            .iter()
            .copied()
            .filter(|(pool, _)| !pools.contains(pool))
            .collect();
        let is_last = kept.is_empty() && !self.watched.is_empty();
        if is_last || !gone.is_empty() {
            tracer.forget_borrows(&gone, is_last);
        }
        self.watched = kept;
    }
}

impl Seen {
    fn by(tracer: &Tracer, code: &Code) -> anyhow::Result<Seen> {
        let mut seen = Seen {
            watches: HashMap::new(),
            borrows: HashMap::new(),
            counted: Vec::new(),
        };
        if !tracer.knows_borrowers() {
            return Ok(seen);
        }
        for mut watch in tracer.watches()? {
            watch.borrower = watch.borrower.map(|site| code.resolve(site));
            seen.watches.insert(watch.socket, watch);
        }
        let mut sums: HashMap<(u64, SiteId), Borrows> = HashMap::new();
        for one in tracer.borrows()? {
            seen.counted.push((one.pool, one.borrower));
            // Several stacks may turn out to be the same when they are finished.
            let borrower = code.resolve(one.borrower);
            match sums.entry((one.pool, borrower)) {
                Entry::Occupied(mut sum) => {
                    sum.get_mut().count += one.count;
                    sum.get_mut().followed += one.followed;
                }
                Entry::Vacant(place) => {
                    place.insert(Borrows {
                        borrower,
                        count: one.count,
                        followed: one.followed,
                    });
                }
            }
        }
        for ((pool, _), sum) in sums {
            seen.borrows.entry(pool).or_default().push(sum);
        }
        for borrows in seen.borrows.values_mut() {
            borrows.sort_unstable_by_key(|one| one.borrower);
        }
        Ok(seen)
    }
}

/// The processes that hold several sockets, those with most first.
fn holders(outlet: &Outlet) -> Vec<ProcessId> {
    let running = outlet.ledger().processes();
    let running = running.filter(|view| view.exited.is_none());
    let mut held: Vec<(u64, ProcessId)> = running
        .map(|view| {
            let sockets = view.outstanding.get(Kind::Socket) + view.preexisting.get(Kind::Socket);
            (sockets, view.id)
        })
        .filter(|(sockets, _)| *sockets >= LEAST as u64)
        .collect();
    held.sort_unstable_by_key(|&(count, process)| (std::cmp::Reverse(count), process));
    let held = held.into_iter().take(MAX_PROCESSES);
    held.map(|(_, process)| process).collect()
}

/// The pools among a process's descriptors, and the requests it has not answered. `held` says where
/// descriptors come from; ports below `chosen_from` are not those of who connects.
fn found(open: &[Used], held: &HashMap<u32, Holding>, chosen_from: u16, time: Nanos) -> Found {
    let listens: HashSet<u16> = open
        .iter()
        .filter_map(|one| match one.last {
            Last::Listens { local_port } => Some(local_port),
            _ => None,
        })
        .collect();
    let mut found = Found::default();
    for one in open {
        let (Some(connection), Last::Data { local_port, .. }) = (one.connection, one.last) else {
            continue;
        };
        if listens.contains(&local_port) || local_port < chosen_from {
            if connection.has_received && connection.received_ago < connection.sent_ago {
                found
                    .waiting
                    .push(time.saturating_sub(connection.received_ago));
            }
        } else if let Some(holding) = held.get(&one.descriptor) {
            let peer = connection.peer.to_string();
            found.pools.entry(peer).or_default().push(Pooling {
                handle: holding.handle,
                acquired: holding.acquired,
                preexisting: holding.origin == Origin::Preexisting,
                site: holding.site,
                connection,
            });
        }
    }
    found.waiting.sort_unstable();
    // The newest say whether requests wait since the pool ran dry.
    let left_out = found.waiting.len().saturating_sub(WAITING);
    found.waiting.drain(..left_out);
    for pooling in found.pools.values_mut() {
        pooling.sort_unstable_by_key(|one| (one.acquired, one.connection.socket));
    }
    let is_old = |one: &Pooling| one.preexisting || time.saturating_sub(one.acquired) >= NEW;
    found
        .pools
        .retain(|_, pooling| pooling.iter().filter(|one| is_old(one)).count() >= LEAST);
    found
}

/// The site that opened most of the connections.
fn most_common(pooling: &[Pooling]) -> SiteId {
    let mut counts: HashMap<SiteId, usize> = HashMap::new();
    for one in pooling {
        *counts.entry(one.site).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|&(site, count)| (count, site));
    most.map_or(SiteId::UNKNOWN, |(site, _)| site)
}

/// What the kernel side tells pools apart by.
fn pool_of(process: ProcessId, peer: &str) -> u64 {
    peer.bytes()
        .fold(mix(process.0, 0), |hash, byte| mix(hash, u64::from(byte)))
}
