//! Several sites counted as one: their stacks differ, the place in the program does not.

use super::endings::Ending;
use super::sites::{Held, SiteCounts, SiteRecord};

impl SiteRecord {
    /// Adds all that another site of the same process and kind counts.
    pub fn join(&mut self, other: &SiteRecord) {
        self.first_seen = self.first_seen.min(other.first_seen);
        let add = |own: &mut u64, more: u64| *own = own.saturating_add(more);
        add(&mut self.promoted, other.promoted);
        add(&mut self.old_released, other.old_released);
        add(&mut self.outstanding, other.outstanding);
        add(&mut self.adopted, other.adopted);
        add(&mut self.bytes, other.bytes);
        add(&mut self.promoted_late, other.promoted_late);
        add(&mut self.counted_twice, other.counted_twice);
        self.lifetimes.merge(&other.lifetimes);
        self.counted.join(other.counted);
        self.counted_before.join(other.counted_before);
        self.join_ends(other);
    }

    fn join_ends(&mut self, other: &SiteRecord) {
        match (&mut self.held, &other.held) {
            (Some(held), Some(more)) => held.join_other(more),
            (held @ None, more) => held.clone_from(more),
            (Some(_), None) => {}
        }
        match (&mut self.ending, &other.ending) {
            (Some(ending), Some(more)) => ending.join(more),
            (ending @ None, more) => ending.clone_from(more),
            (Some(_), None) => {}
        }
        // What was given back before the last acquisition of all was not the end.
        let held = self.held.iter().flat_map(|held| &held.samples);
        let given_back = self.ending.iter().flat_map(|ending| &ending.rows);
        let given_back = given_back.map(|row| row.resource.acquired);
        let last = held.map(|sample| sample.acquired).chain(given_back).max();
        if let (Some(ending), Some(last)) = (&mut self.ending, last) {
            ending.acquired(last);
        }
    }
}

impl Held {
    fn join_other(&mut self, other: &Held) {
        self.exit = self.exit.max(other.exit);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.join(other.samples.clone(), other.skipped(), other.count);
    }
}

impl Ending {
    fn join(&mut self, other: &Ending) {
        self.exit = self.exit.max(other.exit);
        self.rows.extend_from_slice(&other.rows);
        self.skipped = self.skipped.max(other.skipped);
        self.count = self.count.saturating_add(other.count);
    }
}

impl SiteCounts {
    fn join(&mut self, other: SiteCounts) {
        self.acquired = self.acquired.saturating_add(other.acquired);
        self.young = self.young.saturating_add(other.young);
        self.elsewhere = self.elsewhere.saturating_add(other.elsewhere);
        // A site that was not counted yet has nothing to add.
        self.released = match (self.released, other.released) {
            (Some(own), Some(more)) => Some(own.saturating_add(more)),
            (one, two) => one.or(two),
        };
    }
}
