//! What is outstanding of sites, resource by resource.

use std::collections::{HashMap, HashSet};

use leak_common::{Class, Handle, ProcessId};

use super::Ledger;
use super::entry::{Entry, Origin};
use super::sites::{Resource, SiteKey, oldest_and_newest};
use super::spaces::SpaceId;
use crate::model::time::Nanos;

/// Acquisition times kept of one site in a [`SiteDetail`].
const DETAIL_TIMES: usize = 256;

/// What is outstanding of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteDetail {
    pub count: u64,
    pub bytes: u64,
    pub oldest: Nanos,
    /// The three oldest and the two newest.
    pub samples: Vec<Resource>,
    /// When it was acquired, ascending. Of more than 256 times every n-th is kept, with
    /// the first and the last. What was only found in `/proc` has no time.
    pub times: Vec<Nanos>,
}

impl Ledger {
    /// What is outstanding of the sites that are wanted, in one pass over
    /// everything: ask for all at once.
    #[must_use]
    pub fn details(&self, wanted: impl Fn(SiteKey) -> bool) -> HashMap<SiteKey, SiteDetail> {
        self.details_by(|key| wanted(key).then_some(key))
    }

    /// The same of sites that count for others: `site` says for which one, or that it is not wanted.
    #[must_use]
    pub fn details_by(
        &self,
        site: impl Fn(SiteKey) -> Option<SiteKey>,
    ) -> HashMap<SiteKey, SiteDetail> {
        let mut found: HashMap<SiteKey, Vec<(Resource, bool)>> = HashMap::new();
        self.each_own(|owner, handle, entry| {
            if let Some(key) = site(entry.key(owner)) {
                let sample = Resource {
                    acquired: entry.acquired,
                    handle,
                    size: entry.size,
                };
                let samples = found.entry(key).or_default();
                samples.push((sample, entry.was_found()));
            }
        });
        found
            .into_iter()
            .map(|(key, samples)| (key, self.detail(key, samples)))
            .collect()
    }

    /// Visits all that sites count: what is outstanding where it was acquired or found, with
    /// the owner of the space it is in. Copies are left out, and a mapping in pieces comes once.
    fn each_own(&self, mut visit: impl FnMut(ProcessId, Handle, &Entry)) {
        let own = |entry: &Entry, space| {
            matches!(entry.origin_in(space), Origin::Traced | Origin::Adopted)
        };
        for (id, space) in self.tables.iter() {
            if space.content.tally().own() > 0 {
                for (handle, entry) in space.content.iter().filter(|(_, e)| own(e, id)) {
                    visit(space.owner, handle, entry);
                }
            }
        }
        for (id, space) in self.memories.iter() {
            if space.content.heap.tally().own() > 0 {
                for (handle, entry) in space.content.heap.iter().filter(|(_, e)| own(e, id)) {
                    visit(space.owner, handle, entry);
                }
            }
            if space.content.regions.tally().own() > 0 {
                let mut first: HashSet<u64> = HashSet::new();
                for (range, number, entry) in space.content.regions.iter() {
                    if own(entry, id) && first.insert(number) {
                        visit(space.owner, Handle::new(Class::Mapping, range.start), entry);
                    }
                }
            }
        }
        for (&id, process) in &self.processes {
            for (&handle, entry) in process
                .threads
                .iter()
                .filter(|(_, e)| own(e, SpaceId::NONE))
            {
                visit(id, handle, entry);
            }
        }
        for (&handle, loose) in &self.loose {
            if own(&loose.entry, SpaceId::NONE) {
                visit(loose.owner, handle, &loose.entry);
            }
        }
    }

    fn detail(&self, key: SiteKey, mut found: Vec<(Resource, bool)>) -> SiteDetail {
        found.sort_unstable();
        let times: Vec<Nanos> = found
            .iter()
            .filter(|(_, adopted)| !adopted)
            .map(|(sample, _)| sample.acquired)
            .collect();
        let samples = oldest_and_newest(&found);
        let samples = samples.map(|&(sample, _)| sample).collect();
        SiteDetail {
            count: found.len() as u64,
            bytes: self.site(key).map_or(0, |record| record.bytes),
            oldest: found.first().map_or(0, |(sample, _)| sample.acquired),
            samples,
            times: every_nth(&times, DETAIL_TIMES),
        }
    }
}

/// At most `limit` of `times`, evenly, with the first and the last.
fn every_nth(times: &[Nanos], limit: usize) -> Vec<Nanos> {
    if times.len() <= limit {
        return times.to_vec();
    }
    (0..limit)
        .map(|index| times[index * (times.len() - 1) / (limit - 1)])
        .collect()
}
