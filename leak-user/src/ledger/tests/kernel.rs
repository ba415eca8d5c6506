//! The kernel side as the ledger sees it: the young table and its scan.

use std::collections::{BTreeMap, HashSet};

use leak_common::{Handle, Kind, ProcessId};

use crate::ledger::{Config, Ledger, ProcessView, SavedLedger, SiteCounts};
use crate::{
    event::{Acquired, Event, Released},
    model::{site::SiteId, time::Nanos},
};

/// Ticks that a resource is young.
pub(super) const NURSERY: Nanos = 20;

#[derive(Clone, Copy)]
pub(super) struct Young {
    pub(super) acquired: Acquired,
}

pub(super) struct Kernel {
    config: Config,
    pub(super) now: Nanos,
    pub(super) ledger: Ledger,
    pub(super) young: BTreeMap<(ProcessId, Handle), Young>,
    /// Times of what the ledger has been told, or found at the start.
    pub(super) told: HashSet<Nanos>,
    /// A silent cancellation hit another resource than the one in the young table.
    pub(super) blind: bool,
    /// What it counts at each site.
    counts: BTreeMap<SiteId, SiteCounts>,
    /// Which of the next events are lost, used in a circle.
    losses: Vec<bool>,
    sent: usize,
}

impl Kernel {
    pub(super) fn new(config: Config, losses: Vec<bool>) -> Kernel {
        Kernel {
            now: 1,
            config,
            ledger: Ledger::new(config),
            young: BTreeMap::new(),
            told: HashSet::from([0]),
            blind: false,
            counts: BTreeMap::new(),
            losses,
            sent: 0,
        }
    }

    pub(super) fn send(&mut self, event: Event) {
        self.sent += 1;
        let lost = !self.losses.is_empty() && self.losses[self.sent % self.losses.len()];
        if !lost {
            self.ledger.apply(&event);
        }
    }

    /// An acquisition enters the young table; an older one in its place is promoted.
    pub(super) fn acquire(
        &mut self,
        owner: ProcessId,
        process: ProcessId,
        kind: Kind,
        handle: Handle,
        close_on_exec: bool,
        size: u64,
    ) {
        let acquired = Acquired {
            time: self.now,
            process,
            kind,
            handle,
            site: SiteId(u64::from(process.pid()) << 8 | kind as u64),
            size,
            close_on_exec,
            kind_guessed: false,
            maybe_existed: false,
        };
        let counts = self.counts.entry(acquired.site).or_default();
        counts.acquired += 1;
        counts.released.get_or_insert(0);
        if let Some(older) = self.young.insert((owner, handle), Young { acquired }) {
            self.told.insert(older.acquired.time);
            self.send(Event::Acquired(older.acquired));
        }
    }

    /// Tells the ledger what is counted.
    pub(super) fn count_sites(&mut self) {
        for (&site, counts) in &mut self.counts {
            let here = |young: &&Young| young.acquired.site == site;
            counts.young = self.young.values().filter(here).count() as u64;
            self.ledger.site_counted(site, *counts);
        }
    }

    /// Whether no event can have been lost.
    pub(super) fn is_lossless(&self) -> bool {
        !self.losses.contains(&true)
    }

    /// What is counted at a site.
    pub(super) fn counted(&self, site: SiteId) -> SiteCounts {
        self.counts.get(&site).copied().unwrap_or_default()
    }

    /// The entry of the young table for a release, with its age.
    pub(super) fn take_young(&mut self, owner: ProcessId, handle: Handle) -> Option<(Young, bool)> {
        let young = self.young.remove(&(owner, handle))?;
        let counts = self.counts.entry(young.acquired.site).or_default();
        *counts.released.get_or_insert(0) += 1;
        let silent = self.now - young.acquired.time < NURSERY;
        Some((young, silent))
    }

    /// A release of a handle behind which is what was acquired at `actual`.
    pub(super) fn release(&mut self, owner: ProcessId, handle: Handle, actual: Option<Nanos>) {
        let taken = self.take_young(owner, handle);
        if let Some((young, true)) = taken {
            self.blind |= actual.is_some_and(|time| time != young.acquired.time);
            return;
        }
        self.send(Event::Released(Released {
            time: self.now,
            process: owner,
            handle,
            acquired: taken.map(|(young, _)| young.acquired.time),
        }));
    }

    /// Promotes and forgets what is not young any more, in an order of no meaning.
    pub(super) fn scan(&mut self) {
        let mut old: Vec<_> = self
            .young
            .iter()
            .filter(|(_, young)| self.now - young.acquired.time >= NURSERY)
            .map(|(&key, &young)| (key, young))
            .collect();
        old.sort_by_key(|((_, handle), young)| {
            (handle.0 ^ young.acquired.time).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        for (key, young) in old {
            self.young.remove(&key);
            self.told.insert(young.acquired.time);
            self.send(Event::Acquired(young.acquired));
        }
        self.ledger.horizon(self.now.saturating_sub(NURSERY));
        if self.now.is_multiple_of(3) {
            self.reborn();
        }
    }

    /// Puts a ledger made of the present one's state in its place: whatever holds of
    /// one must hold of the other, in all that follows.
    pub(super) fn reborn(&mut self) {
        let saved = self.ledger.saved();
        let text = serde_json::to_string(&saved).unwrap();
        let read: Vec<SavedLedger> = serde_json::from_str(&text).unwrap();
        let mut twin = Ledger::new(self.config);
        for part in &read {
            twin.restore(part);
        }
        assert_eq!(twin.saved(), saved);
        let views = |ledger: &Ledger| {
            let mut views: Vec<ProcessView> = ledger.processes().collect();
            views.sort_by_key(|view| view.id);
            views
        };
        assert_eq!(views(&twin), views(&self.ledger));
        self.ledger = twin;
    }

    /// Lets everything grow old and be promoted.
    pub(super) fn settle(&mut self) {
        self.now += NURSERY + 1;
        self.scan();
        assert!(self.young.is_empty());
    }
}
