//! What was told of processes, sites and resources beside events: names, places,
//! limits. Bounded, and dropped with the process or site that it is about.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use leak_common::{Handle, Kind, ProcessId};

use super::names;
use crate::{
    analysis::Input,
    event::Executed,
    ledger::{Ledger, SiteKey},
    model::{
        facts::{Description, Facts},
        report::{Frame, Full, Health, Holder, Limit, SharedLimit},
        site::SiteId,
        time::Nanos,
    },
};

/// Processes with facts, and with limits: about a kilobyte each.
const MAX_PROCESSES: usize = 65_536;

/// Sites with stacks: frames are kept once, a stack has 8 bytes of each.
const MAX_STACKS: usize = 131_072;

/// Different frames: some 200 bytes each.
const MAX_FRAMES: usize = 524_288;

/// Resources with a description: some 200 bytes each.
const MAX_DESCRIPTIONS: usize = 131_072;

/// What is told of a process or site may be ahead of its first event by this much.
const AHEAD: Nanos = 10_000_000_000;

/// Processes that are full, or were when they ended: about 2 KiB each.
const MAX_FULL: usize = 1024;

/// Something, and when it was told.
#[derive(Debug)]
struct Told<T> {
    at: Nanos,
    what: T,
}

#[derive(Debug, Default)]
pub(super) struct Knowledge {
    facts: HashMap<ProcessId, Told<Facts>>,
    stacks: HashMap<SiteId, Told<Box<[Arc<Frame>]>>>,
    frames: HashSet<Arc<Frame>>,
    descriptions: HashMap<(ProcessId, Handle), Told<(Kind, Description)>>,
    holders: HashMap<(ProcessId, Handle), Told<Vec<Holder>>>,
    limits: HashMap<ProcessId, Told<Vec<Limit>>>,
    /// Kept when the process has ended: it may have ended of it.
    full: HashMap<ProcessId, Told<Full>>,
    pub(super) shared_limits: Vec<SharedLimit>,
    pub(super) health: Health,
}

impl Knowledge {
    pub(super) fn facts(&mut self, process: ProcessId, facts: &Facts, now: Nanos) {
        insert(&mut self.facts, MAX_PROCESSES, process, facts.clone(), now);
    }

    /// A process executed a program: the names known of it are of the former one, unless
    /// they were read later than that.
    pub(super) fn executed(&mut self, executed: &Executed) {
        let Some(told) = self.facts.get_mut(&executed.process) else {
            return;
        };
        if !told
            .what
            .are_since(executed.time, &names::text(&executed.comm))
        {
            told.what = told.what.of_next_program();
        }
    }

    pub(super) fn limits(&mut self, process: ProcessId, limits: &[Limit], now: Nanos) {
        insert(
            &mut self.limits,
            MAX_PROCESSES,
            process,
            limits.to_vec(),
            now,
        );
    }

    /// Takes what a process holds that is full; nothing where it is not any more.
    pub(super) fn full(&mut self, process: ProcessId, full: &Full, now: Nanos) {
        if full.groups.is_empty() {
            self.full.remove(&process);
        } else {
            insert(&mut self.full, MAX_FULL, process, full.clone(), now);
        }
    }

    /// What is full, fullest first.
    pub(super) fn all_full(&self) -> Vec<Full> {
        let mut all: Vec<Full> = self.full.values().map(|told| told.what.clone()).collect();
        let share = |full: &Full| full.used as f64 / full.limit.max(1) as f64;
        all.sort_by(|a, b| {
            let order = share(b).total_cmp(&share(a));
            order.then_with(|| (a.pid, a.start_time).cmp(&(b.pid, b.start_time)))
        });
        all
    }

    pub(super) fn stack(&mut self, site: SiteId, frames: &[Frame], now: Nanos) {
        if self.frames.len() >= MAX_FRAMES {
            return;
        }
        let shared = frames.iter().map(|frame| self.once(frame)).collect();
        insert(&mut self.stacks, MAX_STACKS, site, shared, now);
    }

    fn once(&mut self, frame: &Frame) -> Arc<Frame> {
        if let Some(known) = self.frames.get(frame) {
            return Arc::clone(known);
        }
        let new = Arc::new(frame.clone());
        self.frames.insert(Arc::clone(&new));
        new
    }

    pub(super) fn described(
        &mut self,
        process: ProcessId,
        handle: Handle,
        time: Nanos,
        kind: Kind,
        description: &Description,
    ) {
        if self.descriptions.len() >= MAX_DESCRIPTIONS {
            drop_older_half(&mut self.descriptions);
        }
        let told = Told {
            at: time,
            what: (kind, description.clone()),
        };
        self.descriptions.insert((process, handle), told);
    }

    /// Who else holds a resource.
    pub(super) fn shared(
        &mut self,
        process: ProcessId,
        handle: Handle,
        time: Nanos,
        holders: &[Holder],
    ) {
        if self.holders.len() >= MAX_DESCRIPTIONS {
            drop_older_half(&mut self.holders);
        }
        let told = Told {
            at: time,
            what: holders.to_vec(),
        };
        self.holders.insert((process, handle), told);
    }

    pub(super) fn facts_of(&self, process: ProcessId) -> Option<&Facts> {
        self.facts.get(&process).map(|told| &told.what)
    }

    pub(super) fn limits_of(&self, process: ProcessId) -> &[Limit] {
        self.limits
            .get(&process)
            .map_or(&[], |told| told.what.as_slice())
    }

    pub(super) fn stack_of(&self, site: SiteId) -> Vec<Frame> {
        let frames = self.stacks.get(&site).map_or(&[][..], |told| &told.what);
        frames.iter().map(|frame| Frame::clone(frame)).collect()
    }

    pub(super) fn has_stack(&self, site: SiteId) -> bool {
        self.stacks.contains_key(&site)
    }

    pub(super) fn is_stack(&self, site: SiteId, frames: &[Frame]) -> bool {
        self.stacks.get(&site).is_some_and(|told| {
            told.what.len() == frames.len() && told.what.iter().zip(frames).all(|(a, b)| **a == *b)
        })
    }

    /// What the resource is that was acquired as `handle`: what was described
    /// earlier was another one.
    pub(super) fn description(
        &self,
        process: ProcessId,
        handle: Handle,
        acquired: Nanos,
    ) -> Option<&Description> {
        let told = self.descriptions.get(&(process, handle))?;
        (told.at >= acquired).then_some(&told.what.1)
    }

    /// All of it, as the inputs that told it. Names come before what was noted of
    /// resources.
    pub(super) fn retold(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (process, told) in sorted(&self.facts) {
            inputs.push(Input::Facts(*process, Box::new(told.what.clone())));
        }
        for (&site, _) in sorted(&self.stacks) {
            let frames = self.stack_of(site);
            inputs.push(Input::Stack { site, frames });
        }
        for (process, told) in sorted(&self.limits) {
            inputs.push(Input::Limits(*process, told.what.clone()));
        }
        for (process, told) in sorted(&self.full) {
            inputs.push(Input::Full(*process, Box::new(told.what.clone())));
        }
        for (&(process, handle), told) in sorted(&self.descriptions) {
            inputs.push(Input::Described {
                time: told.at,
                process,
                handle,
                kind: told.what.0,
                description: Box::new(told.what.1.clone()),
            });
        }
        for (&(process, handle), told) in sorted(&self.holders) {
            inputs.push(Input::Shared {
                time: told.at,
                process,
                handle,
                holders: told.what.clone(),
            });
        }
        inputs.push(Input::SharedLimits(self.shared_limits.clone()));
        inputs.push(Input::Health(Box::new(self.health.clone())));
        inputs
    }

    /// Who else holds the resource that was acquired as `handle`.
    pub(super) fn holders(&self, process: ProcessId, handle: Handle, acquired: Nanos) -> &[Holder] {
        match self.holders.get(&(process, handle)) {
            Some(told) if told.at >= acquired => &told.what,
            _ => &[],
        }
    }

    /// Drops what is about processes and sites that the ledger has forgotten.
    pub(super) fn prune(&mut self, now: Nanos, ledger: &Ledger) {
        let is_new = |at: Nanos| now.saturating_sub(at) < AHEAD;
        let lives = |process: ProcessId, at: Nanos| is_new(at) || ledger.knows(process);
        self.facts.retain(|&process, told| lives(process, told.at));
        self.limits.retain(|&process, told| lives(process, told.at));
        self.descriptions
            .retain(|&(process, _), told| lives(process, told.at));
        self.holders
            .retain(|&(process, _), told| lives(process, told.at));
        let before = self.stacks.len();
        self.stacks
            .retain(|&site, told| is_new(told.at) || ledger.site(SiteKey::Site(site)).is_some());
        if self.stacks.len() < before {
            // The only one left is the set's own.
            self.frames.retain(|frame| Arc::strong_count(frame) > 1);
        }
    }
}

/// Inserts where there is room, or in the place of what is known.
fn insert<K: std::hash::Hash + Eq, T>(
    map: &mut HashMap<K, Told<T>>,
    limit: usize,
    key: K,
    what: T,
    at: Nanos,
) {
    if map.len() < limit || map.contains_key(&key) {
        map.insert(key, Told { at, what });
    }
}

/// In the order of their keys.
fn sorted<K: Ord, T>(map: &HashMap<K, Told<T>>) -> Vec<(&K, &Told<T>)> {
    let mut all: Vec<_> = map.iter().collect();
    all.sort_unstable_by(|a, b| a.0.cmp(b.0));
    all
}

fn drop_older_half<T>(all: &mut HashMap<(ProcessId, Handle), Told<T>>) {
    let mut order: Vec<(Nanos, ProcessId, Handle)> = all
        .iter()
        .map(|(&(process, handle), told)| (told.at, process, handle))
        .collect();
    order.sort_unstable();
    for (_, process, handle) in &order[..order.len() / 2] {
        all.remove(&(*process, *handle));
    }
}
