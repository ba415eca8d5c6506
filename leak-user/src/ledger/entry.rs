//! What the ledger keeps of one resource, and the counters that follow it.

use leak_common::{Kind, ProcessId};

use super::{SiteKey, spaces::SpaceId};
use crate::model::{site::SiteId, time::Nanos};

/// How the ledger came to know a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Its acquisition was seen, in the process that holds it.
    Traced,
    /// A copy that a fork (or an unshared table) made.
    Inherited,
    /// Found in `/proc` later; its acquisition was not seen.
    Adopted,
    /// There before the trace began.
    Preexisting,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Origin; 4] = [
        Origin::Traced,
        Origin::Inherited,
        Origin::Adopted,
        Origin::Preexisting,
    ];
}

/// One outstanding resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it was acquired; for what was only found, when it was found.
    pub(super) acquired: Nanos,
    pub(super) site: SiteId,
    /// Bytes of a mapping's piece, a segment or a block, else 0.
    pub(super) size: u64,
    /// The space in which it was acquired. In any other space the entry is a copy: so a
    /// whole table is copied without a change to its entries.
    pub(super) space: SpaceId,
    pub(super) kind: Kind,
    /// Never [`Origin::Inherited`]: that follows from `space`.
    pub(super) origin: Origin,
    pub(super) close_on_exec: bool,
    pub(super) kind_guessed: bool,
}

const _: () = assert!(size_of::<Entry>() <= 40);

/// How what is present on a handle relates to an acquisition that arrives.
#[derive(Clone, Copy)]
pub(super) enum Relation {
    /// It is that acquisition.
    Same,
    /// It was acquired before, so it must have been released.
    Earlier,
    /// It was acquired after.
    Later,
    /// It was only found, and what arrives is its acquisition.
    Found,
}

impl Entry {
    /// How the holders of `space` came to it.
    pub(super) fn origin_in(&self, space: SpaceId) -> Origin {
        match self.origin {
            Origin::Preexisting => Origin::Preexisting,
            _ if self.space != space => Origin::Inherited,
            origin => origin,
        }
    }

    /// Whether its acquisition was not seen.
    pub(super) fn was_found(&self) -> bool {
        matches!(self.origin, Origin::Adopted | Origin::Preexisting)
    }

    /// The site it counts for, in a space made by `owner`.
    pub(super) fn key(&self, owner: ProcessId) -> SiteKey {
        if self.site == SiteId::UNKNOWN {
            SiteKey::Unknown(owner, self.kind)
        } else {
            SiteKey::Site(self.site)
        }
    }

    /// How this relates to `arriving` on the same handle.
    pub(super) fn relation_to(&self, arriving: &Entry) -> Relation {
        if self.was_found() && arriving.acquired <= self.acquired {
            Relation::Found
        } else if self.acquired == arriving.acquired {
            Relation::Same
        } else if self.acquired < arriving.acquired {
            Relation::Earlier
        } else {
            Relation::Later
        }
    }

    /// Whether a release at `time` ends this. `acquired` is when the released resource
    /// had been acquired, if the kernel knew.
    pub(super) fn ends_by(&self, time: Nanos, acquired: Option<Nanos>) -> bool {
        self.acquired < time || acquired == Some(self.acquired)
    }
}

/// Numbers of resources by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u32; Kind::ALL.len() + 1]);

impl Counts {
    /// How many of `kind`.
    #[must_use]
    pub fn get(&self, kind: Kind) -> u64 {
        u64::from(self.0[kind as usize])
    }

    /// How many of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// The kinds there are any of, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.get(kind)))
            .filter(|&(_, count)| count > 0)
    }

    pub(super) fn increase(&mut self, kind: Kind, by: u64) {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        self.0[kind as usize] = self.0[kind as usize].saturating_add(by);
    }

    fn decrease(&mut self, kind: Kind) {
        self.0[kind as usize] = self.0[kind as usize].saturating_sub(1);
    }

    pub(super) fn add(&mut self, other: &Counts) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }
}

/// [`Counts`] by origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([Counts; Origin::ALL.len()]);

impl Tally {
    pub(super) fn of(&self, origin: Origin) -> &Counts {
        &self.0[origin as usize]
    }

    pub(super) fn add(&mut self, origin: Origin, kind: Kind) {
        self.0[origin as usize].increase(kind, 1);
    }

    pub(super) fn remove(&mut self, origin: Origin, kind: Kind) {
        self.0[origin as usize].decrease(kind);
    }

    /// All that is not from before the trace.
    pub(super) fn outstanding(&self) -> Counts {
        let mut counts = *self.of(Origin::Traced);
        counts.add(self.of(Origin::Inherited));
        counts.add(self.of(Origin::Adopted));
        counts
    }

    /// What was acquired or found here: what sites count.
    pub(super) fn own(&self) -> u64 {
        self.of(Origin::Traced).total() + self.of(Origin::Adopted).total()
    }

    /// The tally of a copy of this space.
    pub(super) fn inherited(&self) -> Tally {
        let mut tally = Tally::default();
        tally.0[Origin::Inherited as usize] = self.outstanding();
        tally.0[Origin::Preexisting as usize] = *self.of(Origin::Preexisting);
        tally
    }
}
