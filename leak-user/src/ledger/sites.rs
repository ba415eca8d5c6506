//! Sites and their counters, kept in step with every entry.

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

use super::endings::{Ending, Endings, Row};
use super::entry::{Entry, Origin, Tally};
use super::{Lifetimes, Totals, spaces::SpaceId};
use crate::model::hash::Map;
use crate::{
    event::{self},
    model::{site::SiteId, time::Nanos},
};

/// How many resources held at exit a site keeps one by one.
const HELD_SAMPLES: usize = 256;

/// A site, or what stands for it: resources are counted by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SiteKey {
    Site(SiteId),
    /// What was acquired out of sight or without a stack, by process and kind.
    Unknown(ProcessId, Kind),
}

impl SiteKey {
    /// Whether it has a stack.
    #[must_use]
    pub fn is_known(self) -> bool {
        matches!(self, SiteKey::Site(_))
    }
}

/// One resource, as an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    pub acquired: Nanos,
    pub handle: Handle,
    /// Bytes, where the kind has a size.
    pub size: u64,
}

/// What a process held when it exited, of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// When it exited.
    pub exit: Nanos,
    /// When it began to give back what it held, if it did so at its end.
    pub closing: Option<Nanos>,
    /// How many of `count` it gave back then.
    pub closed: u64,
    pub count: u64,
    pub bytes: u64,
    /// At most 256 of them, every n-th of those that came.
    pub samples: Vec<Resource>,
    /// Every how many is kept, less one.
    skipped: u64,
}

impl Held {
    /// What a saved ledger says was held.
    pub(super) fn restored(
        exit: Nanos,
        count: u64,
        bytes: u64,
        mut samples: Vec<Resource>,
        skipped: u64,
    ) -> Held {
        samples.truncate(HELD_SAMPLES);
        Held {
            exit,
            closing: None,
            closed: 0,
            count,
            bytes,
            samples,
            skipped,
        }
    }

    /// Adds `count` more, of which every n-th is a sample, with n - 1 in `skipped`.
    pub(super) fn join(&mut self, samples: Vec<Resource>, skipped: u64, count: u64) {
        // Both are one less than a power of two. One has to stand for as many as the other.
        let all = self.skipped.max(skipped);
        let thinned = |samples: Vec<Resource>, skipped: u64| {
            let step = usize::try_from((all + 1) / (skipped + 1)).unwrap_or(usize::MAX);
            samples.into_iter().step_by(step.max(1))
        };
        let own = std::mem::take(&mut self.samples);
        let own = thinned(own, self.skipped);
        self.samples = own.chain(thinned(samples, skipped)).collect();
        self.skipped = all;
        self.count = self.count.saturating_add(count);
    }

    /// Until when it held all of it.
    #[must_use]
    pub fn until(&self) -> Nanos {
        self.closing.unwrap_or(self.exit)
    }

    /// Every how many is kept, less one.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The three oldest and the two newest.
    #[must_use]
    pub fn examples(&self) -> Vec<Resource> {
        let mut samples = self.samples.clone();
        samples.sort_unstable();
        oldest_and_newest(&samples).copied().collect()
    }

    fn add(&mut self, exit: Nanos, sample: Resource) {
        self.exit = exit;
        if self.count.is_multiple_of(self.skipped + 1) {
            if self.samples.len() >= HELD_SAMPLES {
                let mut index = 0;
                self.samples.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.skipped = self.skipped * 2 + 1;
            }
            self.samples.push(sample);
        }
        self.count += 1;
        self.bytes = self.bytes.saturating_add(sample.size);
    }
}

/// The three oldest and the two newest of what is in the order of its times.
pub(super) fn oldest_and_newest<T>(ordered: &[T]) -> impl Iterator<Item = &T> {
    let newest = ordered.len().saturating_sub(2).max(3);
    let oldest = ordered.iter().take(3);
    oldest.chain(ordered.iter().skip(newest))
}

/// A site and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    pub process: ProcessId,
    pub kind: Kind,
    /// Return addresses, innermost first; empty where none came.
    pub frames: Box<[u64]>,
    /// Why the stack ends where it does.
    pub end: StackEnd,
    /// The thread that acquired first, 0 where it is unknown.
    pub tid: u32,
    /// The first acquisition.
    pub first_seen: Nanos,
    /// Acquisitions that outlived the nursery.
    pub promoted: u64,
    /// Releases of what had outlived the nursery.
    pub old_released: u64,
    /// Old resources not released; a split mapping counts once.
    pub outstanding: u64,
    /// Of those, how many were found in `/proc` only.
    pub adopted: u64,
    /// Bytes of what is outstanding.
    pub bytes: u64,
    /// How long those lived that had outlived the nursery and were released.
    pub lifetimes: Lifetimes,
    /// What the process held at its exit.
    pub held: Option<Box<Held>>,
    /// What was given back since the last acquisition, where that is remembered.
    pub(super) ending: Option<Box<Ending>>,
    /// Promoted acquisitions that had ended by then.
    pub(super) promoted_late: u64,
    /// Of `old_released`, those that the kernel counts as well: the release found them in the young
    /// table, although they were old.
    pub(super) counted_twice: u64,
    /// The kernel's counts, and what they were when they last began anew.
    pub(super) counted: SiteCounts,
    pub(super) counted_before: SiteCounts,
}

/// What the kernel counts at a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteCounts {
    /// Acquisitions.
    pub acquired: u64,
    /// Of those, releases out of the young table; `None` in recordings by versions that did not
    /// count them.
    pub released: Option<u64>,
    /// What was in the young table when this was read.
    pub young: u64,
    /// Of the acquisitions, those that count for another site, or for none.
    pub elsewhere: u64,
}

/// Where everything is that a site has acquired: the parts add up to `acquired`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub acquired: u64,
    /// Seen to be released, young or old.
    pub released: u64,
    /// Younger than the nursery's age: what becomes of it is not known yet.
    pub young: u64,
    /// Outstanding and old, or held at exit.
    pub outstanding: u64,
    /// Neither of these: records of it were lost.
    pub unaccounted: u64,
}

impl SiteRecord {
    fn new(process: ProcessId, kind: Kind, first_seen: Nanos) -> SiteRecord {
        SiteRecord {
            process,
            kind,
            frames: Box::default(),
            end: StackEnd::NotTaken,
            tid: 0,
            first_seen,
            promoted: 0,
            old_released: 0,
            outstanding: 0,
            adopted: 0,
            bytes: 0,
            lifetimes: Lifetimes::default(),
            held: None,
            ending: None,
            promoted_late: 0,
            counted_twice: 0,
            counted: SiteCounts::default(),
            counted_before: SiteCounts::default(),
        }
    }

    /// The kernel's last counts.
    #[must_use]
    pub fn counted(&self) -> SiteCounts {
        self.counted
    }

    /// Where everything is that was acquired here. `lossy`: records of the process were lost at some
    /// time. Where none were, whatever is neither released nor outstanding is on its way from the
    /// kernel, or was acquired while the young table was read, and so is young.
    #[must_use]
    pub fn balance(&self, lossy: bool) -> Balance {
        let kernel = self
            .counted
            .acquired
            .saturating_add(self.counted_before.acquired)
            .saturating_sub(self.counted.elsewhere);
        // What was given back at the end of the process counts as held until then.
        let closed = self.closed_at_the_end();
        let outstanding = self.outstanding.saturating_add(self.held_at_exit());
        let told = (self.old_released.saturating_add(self.promoted_late))
            .saturating_sub(self.counted_twice);
        let early = match self.counted.released {
            Some(early) => early.saturating_add(self.counted_before.released.unwrap_or(0)),
            // Older recordings: what was never promoted is taken to be released.
            None => kernel.saturating_sub(self.promoted),
        };
        let released = told.saturating_add(early).saturating_sub(closed);
        let known = released.saturating_add(outstanding);
        let rest = kernel.saturating_sub(known);
        let young = if lossy {
            self.counted.young.min(rest)
        } else {
            rest
        };
        Balance {
            acquired: kernel.max(known),
            released,
            young,
            outstanding,
            unaccounted: rest - young,
        }
    }

    /// How many its process held at its exit, or until its end.
    #[must_use]
    pub fn held_at_exit(&self) -> u64 {
        let held = self.held.as_ref().map_or(0, |held| held.count);
        held.saturating_add(self.closed_at_the_end())
    }

    fn closed_at_the_end(&self) -> u64 {
        let ending = self.ending.as_ref().filter(|ending| ending.exit.is_some());
        ending.map_or(0, |ending| ending.count)
    }

    /// The share of old resources that were released, 0 to 1.
    #[must_use]
    pub fn release_ratio(&self) -> f64 {
        let (released, _) = self.released_before_end();
        let all = released + self.outstanding + self.held_at_exit();
        if all == 0 {
            0.0
        } else {
            released as f64 / all as f64
        }
    }
}

impl Outcome {
    /// A release of what was acquired at a time, where the kernel says when it was that it found in
    /// the young table.
    pub(super) fn of_release(entry: Nanos, young: Option<Nanos>) -> Outcome {
        if young == Some(entry) {
            Outcome::Counted
        } else {
            Outcome::Released
        }
    }
}

/// How an entry's time in the ledger ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was released.
    Released,
    /// The same, and the kernel has counted that.
    Counted,
    /// Its holder exited at this time, and that is to be remembered.
    Held(Nanos),
    /// It was known as something else.
    Corrected,
}

/// All sites.
#[derive(Debug)]
pub(super) struct Sites {
    records: Map<SiteKey, SiteRecord>,
    limit: usize,
    pub(super) endings: Endings,
}

impl Sites {
    /// No sites yet. `keep_endings`: what is given back is remembered for a while.
    pub(super) fn new(limit: usize, keep_endings: bool) -> Sites {
        Sites {
            records: Map::default(),
            limit,
            endings: Endings::new(keep_endings),
        }
    }

    /// Notes that something of a site went.
    fn ended(&mut self, key: SiteKey, row: Row) {
        if let Some(record) = self.records.get_mut(&key) {
            self.endings.released(key, record, row);
        }
    }

    /// Forgets what no exit after `horizon` can make an end.
    pub(super) fn prune_endings(&mut self, horizon: Nanos) {
        let Sites {
            records, endings, ..
        } = self;
        endings.prune(horizon, records);
    }

    pub(super) fn get(&self, key: SiteKey) -> Option<&SiteRecord> {
        self.records.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: SiteKey) -> Option<&mut SiteRecord> {
        self.records.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SiteKey, &SiteRecord)> {
        self.records.iter().map(|(&key, record)| (key, record))
    }

    pub(super) fn remove(&mut self, key: SiteKey) {
        self.records.remove(&key);
    }

    /// Makes sure that there is a record. Says whether it is new; `None` where
    /// there is no room for one.
    pub(super) fn ensure(
        &mut self,
        key: SiteKey,
        process: ProcessId,
        kind: Kind,
        time: Nanos,
    ) -> Option<bool> {
        if let Some(record) = self.records.get_mut(&key) {
            record.first_seen = record.first_seen.min(time);
            return Some(false);
        }
        if self.records.len() >= self.limit {
            return None;
        }
        self.records
            .insert(key, SiteRecord::new(process, kind, time));
        Some(true)
    }

    pub(super) fn describe(&mut self, site: event::Site) {
        if let Some(record) = self.records.get_mut(&SiteKey::Site(site.id)) {
            if record.promoted == 0 {
                record.kind = site.kind;
            }
            record.frames = site.frames;
            record.end = site.end;
            record.tid = site.tid;
        }
    }

    /// Takes the kind of a site's first resource. `/proc` knows it better than the call
    /// that acquired it.
    pub(super) fn corrected(&mut self, site: SiteId, kind: Kind) {
        if let Some(record) = self.records.get_mut(&SiteKey::Site(site))
            && record.promoted == 0
            && record.kind.class() == kind.class()
        {
            record.kind = kind;
        }
    }

    /// Takes the kernel's counts at a site.
    pub(super) fn counted(&mut self, site: SiteId, counts: SiteCounts) {
        if let Some(record) = self.records.get_mut(&SiteKey::Site(site)) {
            let (last, before) = (record.counted, &mut record.counted_before);
            if counts.acquired < last.acquired {
                before.acquired = before.acquired.saturating_add(last.acquired);
                let released = before.released.unwrap_or(0);
                before.released = Some(released.saturating_add(last.released.unwrap_or(0)));
            }
            record.counted = counts;
        }
    }
}

/// All that counts an entry, and the space that it is in.
pub(super) struct Books<'a> {
    pub(super) sites: &'a mut Sites,
    pub(super) totals: &'a mut Totals,
    /// The latest time there was.
    pub(super) time: Nanos,
    pub(super) space: SpaceId,
    /// The process that the entries without a site count for.
    pub(super) owner: ProcessId,
}

impl Books<'_> {
    /// The record of an entry, unless this is only a copy of it.
    fn record(&mut self, entry: &Entry) -> Option<&mut SiteRecord> {
        match entry.origin_in(self.space) {
            Origin::Traced | Origin::Adopted => self.sites.get_mut(entry.key(self.owner)),
            Origin::Inherited | Origin::Preexisting => None,
        }
    }

    /// An entry came.
    pub(super) fn enter(&mut self, tally: &mut Tally, entry: &Entry) {
        tally.add(entry.origin_in(self.space), entry.kind);
        if let Some(record) = self.record(entry) {
            record.outstanding += 1;
            record.bytes = record.bytes.saturating_add(entry.size);
            if entry.origin == Origin::Adopted {
                record.adopted += 1;
            }
        }
    }

    /// An entry went.
    pub(super) fn leave(
        &mut self,
        tally: &mut Tally,
        handle: Handle,
        entry: &Entry,
        outcome: Outcome,
    ) {
        tally.remove(entry.origin_in(self.space), entry.kind);
        if matches!(outcome, Outcome::Released | Outcome::Counted) {
            self.ended(handle, entry, self.time, true);
        }
        let lifetime = self.time.saturating_sub(entry.acquired);
        if let Some(record) = self.record(entry) {
            record.outstanding = record.outstanding.saturating_sub(1);
            record.bytes = record.bytes.saturating_sub(entry.size);
            if entry.origin == Origin::Adopted {
                record.adopted = record.adopted.saturating_sub(1);
            }
            if matches!(outcome, Outcome::Released | Outcome::Counted) {
                record.old_released += 1;
                record.counted_twice += u64::from(outcome == Outcome::Counted);
                if !entry.was_found() {
                    record.lifetimes.add(lifetime);
                }
            }
        }
        if let Outcome::Held(exit) = outcome {
            self.hold(handle, entry, exit);
        }
    }

    /// What is left of an entry grew or shrank, in bytes.
    pub(super) fn resize(&mut self, entry: &Entry, from: u64, to: u64) {
        if let Some(record) = self.record(entry) {
            record.bytes = record.bytes.saturating_add(to).saturating_sub(from);
        }
    }

    /// An entry was held when its process exited.
    pub(super) fn hold(&mut self, handle: Handle, entry: &Entry, exit: Nanos) {
        if entry.origin_in(self.space) != Origin::Traced {
            return;
        }
        let sample = Resource {
            acquired: entry.acquired,
            handle,
            size: entry.size,
        };
        if let Some(record) = self.record(entry) {
            record.held.get_or_insert_default().add(exit, sample);
        }
    }

    /// An entry that counts as released since `counted` was not.
    pub(super) fn not_released(&mut self, entry: &Entry, counted: Nanos, late: bool) {
        if let Some(record) = self.record(entry) {
            if late {
                record.promoted_late = record.promoted_late.saturating_sub(1);
            } else {
                record.old_released = record.old_released.saturating_sub(1);
                record
                    .lifetimes
                    .remove(counted.saturating_sub(entry.acquired), 1);
            }
        }
    }

    /// A promoted acquisition had ended already.
    pub(super) fn promoted_late(&mut self, entry: &Entry) {
        self.totals.ended_before_promotion += 1;
        if entry.origin == Origin::Traced
            && let Some(record) = self.record(entry)
        {
            record.promoted_late += 1;
        }
    }

    /// An entry was released at a time. `counted`: its site's record counts the release.
    pub(super) fn ended(&mut self, handle: Handle, entry: &Entry, time: Nanos, counted: bool) {
        let own = entry.origin_in(self.space) == Origin::Traced;
        if !own || handle.class() != Some(Class::Descriptor) {
            return;
        }
        let resource = Resource {
            acquired: entry.acquired,
            handle,
            size: entry.size,
        };
        let row = Row {
            released: time,
            resource,
            counted,
        };
        self.sites.ended(entry.key(self.owner), row);
    }

    /// A promoted acquisition was taken note of, in the space it was made in.
    pub(super) fn promoted(&mut self, entry: &Entry) {
        if entry.origin == Origin::Traced
            && let Some(record) = self.record(entry)
        {
            record.promoted += 1;
            if let Some(ending) = &mut record.ending {
                ending.acquired(entry.acquired);
            }
        }
    }
}
