//! What speaks beside a site's growth: children not reaped, sockets whose peer has
//! gone, what other programs inherited, what one descriptor gathers.

use std::collections::HashMap;

use leak_common::{Handle, Kind, ProcessId};

use super::{Config, Judge, Opinion, series::Series};
use crate::judge::rules::{
    close_wait::{self, Closed},
    inherited, watches, zombies,
};
use crate::ledger::{Inherited, Ledger, Sample, SiteKey, Zombie};
use crate::model::time::Nanos;

/// Facts on a site that speak beside its growth.
#[derive(Debug, Default)]
pub(super) struct Facts {
    dead: Vec<Zombie>,
    closed: Vec<Closed>,
    copies: Vec<Inherited>,
    watches: Vec<Watching>,
}

/// An inotify descriptor.
#[derive(Debug)]
struct Watching {
    process: ProcessId,
    handle: Handle,
    acquired: Nanos,
    /// How many watches it had.
    watches: Series,
}

impl Facts {
    /// Examples of a finding that rests on facts.
    const EXAMPLES: usize = 5;

    pub(super) fn is_empty(&self) -> bool {
        self.dead.is_empty() && self.closed.is_empty() && self.copies.is_empty()
    }

    pub(super) fn judge(
        &self,
        config: &Config,
        start: Nanos,
        window_start: Nanos,
        now: Nanos,
        opinion: &mut Opinion,
    ) {
        let window = now.saturating_sub(window_start);
        if !self.dead.is_empty() {
            zombies::judge(&self.dead, now, config.zombie, opinion);
        }
        if !self.closed.is_empty() {
            close_wait::judge(&self.closed, now, window, opinion);
        }
        if !self.copies.is_empty() {
            inherited::judge(config, &self.copies, start, now, opinion);
        }
        for one in &self.watches {
            watches::judge(&one.watches, window_start, now, opinion);
        }
    }

    /// Those the facts are about, else what growth has shown.
    pub(super) fn samples(&self, shown: Vec<Sample>) -> Vec<Sample> {
        let sample = |acquired, handle| Sample {
            acquired,
            handle,
            size: 0,
        };
        let dead = self.dead.iter().map(|one| sample(one.acquired, one.handle));
        let closed = self
            .closed
            .iter()
            .map(|one| sample(one.acquired, one.handle));
        let facts: Vec<Sample> = dead.chain(closed).take(Facts::EXAMPLES).collect();
        if !facts.is_empty() {
            return facts;
        }
        if !shown.is_empty() {
            return shown;
        }
        let watching = self.watches.iter();
        let watching = watching.map(|one| sample(one.acquired, one.handle));
        watching.take(Facts::EXAMPLES).collect()
    }

    /// Whom and what they are about where the site is not known, and how many.
    pub(super) fn subject(&self) -> Option<(ProcessId, Kind, u64)> {
        let dead = self.dead.first();
        let closed = self.closed.first();
        let watching = self.watches.first();
        dead.map(|one| (one.parent, Kind::Process, self.dead.len() as u64))
            .or_else(|| closed.map(|one| (one.process, Kind::Socket, self.closed.len() as u64)))
            .or_else(|| watching.map(|one| (one.process, Kind::Inotify, 1)))
    }
}

impl Judge {
    /// The facts that speak beside growth, by site.
    pub(super) fn facts(
        &self,
        now: Nanos,
        window_start: Nanos,
        ledger: &Ledger,
    ) -> HashMap<SiteKey, Facts> {
        let mut facts: HashMap<SiteKey, Facts> = HashMap::new();
        for (key, dead) in zombies::by_site(ledger, now, self.config.zombie) {
            facts.entry(key).or_default().dead = dead;
        }
        for (key, copies) in inherited::by_site(ledger, now, self.config.inherited) {
            if ledger.site(key).is_some() {
                facts.entry(key).or_default().copies = copies;
            }
        }
        let age = close_wait::age(&self.config, now.saturating_sub(window_start));
        for (process, seen) in self.seen.iter() {
            let old = |since: Nanos| now.saturating_sub(since) >= age;
            for (&handle, waiting) in &seen.close_wait {
                if let Some((key, acquired)) = ledger.site_on(process, handle)
                    && old(waiting.since)
                {
                    facts.entry(key).or_default().closed.push(Closed {
                        process,
                        handle,
                        acquired,
                        waiting: waiting.clone(),
                    });
                }
            }
            for (&handle, watches) in &seen.watches {
                if let Some((key, acquired)) = ledger.site_on(process, handle) {
                    facts.entry(key).or_default().watches.push(Watching {
                        process,
                        handle,
                        acquired,
                        watches: watches.clone(),
                    });
                }
            }
        }
        for facts in facts.values_mut() {
            facts
                .closed
                .sort_unstable_by_key(|one| (one.waiting.since, one.handle));
        }
        facts
    }
}
