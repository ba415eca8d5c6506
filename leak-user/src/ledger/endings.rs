//! What a site gave back since it acquired last. If its process exits soon after, that was
//! the end: interpreters, servers and test runners close what is left before they go, and
//! what they leaked with it. So it counts as held until then.
//!
//! Kept of descriptors, where it is to be remembered what processes held at their exit.

use super::sites::{Held, Resource, SiteRecord};
use super::{Lifetimes, SiteKey};
use crate::model::hash::{Map, Set};
use crate::model::time::Nanos;

/// How long before the exit the end begins at the earliest: a server that is told to stop
/// takes its time.
pub(super) const REACH: Nanos = 10_000_000_000;

/// A process that runs on for longer than this after its last release did not give back
/// because it ended.
const CALM: Nanos = 2_000_000_000;

/// Fewer than this form no pattern.
const LEAST: u64 = 5;

/// Releases of a site kept one by one: 40 bytes each.
const ROWS: usize = 256;

/// Sites of which releases are kept at a time.
const MAX_SITES: usize = 4096;

/// One release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) released: Nanos,
    pub(super) resource: Resource,
    /// Whether the site's record counts it as a release of what was old.
    pub(super) counted: bool,
}

/// What a site gave back since it acquired last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ending {
    /// When its process exited, if that was its end.
    pub(super) exit: Option<Nanos>,
    /// In the order of their arrival: at most 256, every n-th of those that came.
    pub(super) rows: Vec<Row>,
    /// Every how many is kept, less one.
    pub(super) skipped: u64,
    /// How many they stand for.
    pub(super) count: u64,
    came: u64,
}

impl Ending {
    /// What a saved ledger says of one.
    pub(super) fn restored(
        exit: Option<Nanos>,
        mut rows: Vec<Row>,
        skipped: u64,
        count: u64,
    ) -> Ending {
        rows.truncate(ROWS);
        let mut ending = Ending {
            exit,
            rows,
            skipped: skipped.min(1 << 40),
            count,
            came: 0,
        };
        ending.recount();
        ending
    }

    fn add(&mut self, row: Row) {
        if self
            .exit
            .is_some_and(|exit| row.released.saturating_add(REACH) < exit)
        {
            return;
        }
        if self.came.is_multiple_of(self.skipped + 1) {
            if self.rows.len() >= ROWS {
                let mut index = 0;
                self.rows.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.skipped = self.skipped * 2 + 1;
            }
            self.rows.push(row);
        }
        self.came += 1;
        self.count += 1;
    }

    /// The site acquired at a time: what it gave back before was not its end.
    pub(super) fn acquired(&mut self, time: Nanos) {
        self.keep(|row| row.released > time);
    }

    /// Its process exited. Says whether what was given back was its end.
    fn exited(&mut self, exit: Nanos) -> bool {
        self.keep(|row| row.released.saturating_add(REACH) >= exit);
        let last = self.rows.iter().map(|row| row.released).max();
        self.exit = Some(exit);
        self.count >= LEAST && last.is_some_and(|last| last.saturating_add(CALM) >= exit)
    }

    fn keep(&mut self, stays: impl Fn(&Row) -> bool) {
        let before = self.rows.len();
        self.rows.retain(stays);
        if self.rows.len() < before {
            self.recount();
        }
    }

    fn recount(&mut self) {
        self.count = self.count.min(self.rows.len() as u64 * self.weight());
    }

    /// How many each row stands for.
    fn weight(&self) -> u64 {
        self.skipped + 1
    }

    /// When it began.
    fn began(&self) -> Option<Nanos> {
        self.rows.iter().map(|row| row.released).min()
    }

    fn is_past(&self, horizon: Nanos) -> bool {
        let last = self.rows.iter().map(|row| row.released).max();
        self.exit.is_none() && last.is_none_or(|last| last.saturating_add(REACH) < horizon)
    }
}

/// The sites of which releases are kept.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// Whether any are to be kept.
    kept: bool,
    sites: Set<SiteKey>,
    /// Releases that were not kept because there was no room.
    pub(super) refused: u64,
}

impl Endings {
    pub(super) fn new(kept: bool) -> Endings {
        Endings {
            kept,
            ..Endings::default()
        }
    }

    /// Notes a release of a site.
    pub(super) fn released(&mut self, key: SiteKey, record: &mut SiteRecord, row: Row) {
        if !self.kept {
            return;
        }
        if record.ending.is_none() {
            if self.sites.len() >= MAX_SITES && !self.sites.contains(&key) {
                self.refused += 1;
                return;
            }
            self.sites.insert(key);
        }
        record.ending.get_or_insert_default().add(row);
    }

    /// Puts back what is kept of a site.
    pub(super) fn restore(&mut self, key: SiteKey) {
        self.sites.insert(key);
    }

    /// Forgets what no exit after `horizon` can make an end.
    pub(super) fn prune(&mut self, horizon: Nanos, records: &mut Map<SiteKey, SiteRecord>) {
        self.sites.retain(|key| {
            let Some(record) = records.get_mut(key) else {
                return false;
            };
            let past = record
                .ending
                .as_ref()
                .is_none_or(|one| one.is_past(horizon));
            if past {
                record.ending = None;
            }
            // What has become an end is kept with its process, which has a bound.
            record.ending.as_ref().is_some_and(|one| one.exit.is_none())
        });
    }
}

impl SiteRecord {
    /// The process exited, and nobody else has its descriptors.
    pub(super) fn exited(&mut self, exit: Nanos) {
        if let Some(ending) = &mut self.ending
            && !ending.exited(exit)
        {
            self.ending = None;
        }
    }

    /// Whether its process held something at its exit, or until its end.
    #[must_use]
    pub fn ended_with_its_process(&self) -> bool {
        let ending = self.ending.as_ref();
        self.held.is_some() || ending.is_some_and(|ending| ending.exit.is_some())
    }

    /// What its process held at its exit, or until its end.
    #[must_use]
    pub fn at_exit(&self) -> Option<Held> {
        let held = self.held.as_deref();
        let ended = self.ending.as_deref().and_then(|ending| {
            let (exit, began) = (ending.exit?, ending.began()?);
            Some((ending, exit, began))
        });
        let Some((ending, exit, began)) = ended else {
            return held.cloned();
        };
        let mut held = held.cloned().unwrap_or_default();
        held.exit = exit;
        held.join(
            ending.rows.iter().map(|row| row.resource).collect(),
            ending.skipped,
            ending.count,
        );
        held.closing = Some(began);
        held.closed = ending.count;
        Some(held)
    }

    /// Releases of what had outlived the nursery, and how long it had lived, without what was
    /// given back at the end of the process.
    #[must_use]
    pub fn released_before_end(&self) -> (u64, Lifetimes) {
        let (mut released, mut lifetimes) = (self.old_released, self.lifetimes);
        let ending = self
            .ending
            .as_deref()
            .filter(|ending| ending.exit.is_some());
        if let Some(ending) = ending {
            for row in ending.rows.iter().filter(|row| row.counted) {
                released = released.saturating_sub(ending.weight());
                let lived = row.released.saturating_sub(row.resource.acquired);
                lifetimes.remove(lived, ending.weight());
            }
        }
        (released, lifetimes)
    }
}

#[cfg(test)]
mod tests {
    use leak_common::{Class, Handle, Kind, ProcessId};
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Acquired, Event, Released};
    use crate::ledger::{Config, Ledger};
    use crate::model::site::SiteId;

    const PROCESS: ProcessId = ProcessId::new(7, 70);
    const SITE: SiteId = SiteId(99);
    const TENTH: Nanos = 100_000_000;

    fn ledger() -> Ledger {
        Ledger::new(Config {
            keep_exited: true,
            ..Config::default()
        })
    }

    fn acquire(ledger: &mut Ledger, time: Nanos, descriptor: u64) {
        ledger.apply(&Event::Acquired(Acquired {
            time,
            process: PROCESS,
            kind: Kind::File,
            handle: Handle::new(Class::Descriptor, descriptor),
            site: SITE,
            size: 0,
            close_on_exec: false,
            kind_guessed: false,
            maybe_existed: false,
        }));
    }

    fn release(ledger: &mut Ledger, time: Nanos, descriptor: u64) {
        ledger.apply(&Event::Released(Released {
            time,
            process: PROCESS,
            handle: Handle::new(Class::Descriptor, descriptor),
            acquired: None,
        }));
    }

    fn exit(ledger: &mut Ledger, time: Nanos) -> Option<Held> {
        ledger.apply(&Event::Exited {
            time,
            process: PROCESS,
        });
        ledger.site(SiteKey::Site(SITE))?.at_exit()
    }

    #[test]
    fn more_than_is_kept_one_by_one_is_counted() {
        let mut ledger = ledger();
        for n in 0..10_000 {
            acquire(&mut ledger, n + 1, n);
        }
        for n in 0..10_000 {
            release(&mut ledger, 20_000 + n, n);
        }
        let held = exit(&mut ledger, 40_000);
        let held = held.expect("it was closed at the end");
        assert_eq!((held.count, held.closed), (10_000, 10_000));
        assert_eq!(held.closing, Some(20_000));
        assert!((128..=ROWS).contains(&held.samples.len()));
        let record = ledger.site(SiteKey::Site(SITE)).expect("the site is known");
        assert_eq!(
            (record.balance(false).released, record.old_released),
            (0, 10_000)
        );
    }

    #[test]
    fn what_was_not_closed_is_added() {
        let mut ledger = ledger();
        for n in 0..40 {
            acquire(&mut ledger, n + 1, n);
        }
        for n in 0..30 {
            release(&mut ledger, 100 + n, n);
        }
        let held = exit(&mut ledger, 200).expect("it held something");
        assert_eq!((held.count, held.closed, held.samples.len()), (40, 30, 40));
    }

    #[test]
    fn nothing_is_kept_where_nobody_asks_for_what_was_held() {
        let mut ledger = Ledger::new(Config::default());
        for n in 0..40 {
            acquire(&mut ledger, n + 1, n);
            release(&mut ledger, 100 + n, n);
        }
        assert_eq!(exit(&mut ledger, 200), None);
    }

    proptest! {
        /// Steps: tenths of a second since the step before, and whether one is acquired or
        /// the oldest is released.
        #[test]
        fn the_end_is_what_was_released_since_the_last_acquisition(
            steps in prop::collection::vec((1..30u64, any::<bool>()), 1..80), rest in 1..40u64
        ) {
            let mut ledger = ledger();
            let (mut time, mut last, mut next, mut oldest) = (0, 0, 0, 0);
            let mut releases: Vec<Nanos> = Vec::new();
            for (pause, acquires) in steps {
                time += pause * TENTH;
                if acquires || oldest == next {
                    acquire(&mut ledger, time, next);
                    (last, next) = (time, next + 1);
                } else {
                    release(&mut ledger, time, oldest);
                    oldest += 1;
                    releases.push(time);
                }
                ledger.horizon(time.saturating_sub(12 * TENTH));
            }
            let exited = time + rest * TENTH;
            let held = exit(&mut ledger, exited);
            releases.retain(|&at| at > last && at + REACH >= exited);
            let is_end = releases.len() as u64 >= LEAST
                && releases.last().is_some_and(|at| at + CALM >= exited);
            let closed = if is_end { releases.len() as u64 } else { 0 };
            prop_assert_eq!(held.as_ref().map_or(0, |held| held.closed), closed);
            prop_assert_eq!(held.map_or(0, |held| held.count), closed + next - oldest);
        }
    }
}
