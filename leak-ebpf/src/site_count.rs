//! How often sites acquire, and how much of that is released while it is in the young table: such a
//! release may pass in silence, so nobody else can count it.

use crate::{entries::Word, maps::SITES, verifier::global};

/// The counts of a site.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    /// Acquisitions.
    pub(crate) acquired: Word,
    /// Releases out of the young table.
    released: Word,
}

impl Counts {
    /// Those of a site that has been sent to user space.
    #[inline(always)]
    pub(crate) fn of(site: u64) -> Option<Counts> {
        let count = SITES.get_ptr_mut(site)?;
        // SAFETY: aligned words of an entry of the map.
        Some(unsafe {
            Counts {
                acquired: Word::new(&raw mut (*count).acquired),
                released: Word::new(&raw mut (*count).released),
            }
        })
    }
}

/// Counts acquisitions at a site that was visited before it was known whether there would be any.
#[inline(always)]
pub(crate) fn add(site: u64, amount: u64) {
    count_site(site, amount, 0);
}

/// Counts a release of what was in the young table, at the site that acquired it.
#[inline(always)]
pub(crate) fn released(site: u64) {
    count_site(site, 0, 1);
}

global! {
    fn count_site(site, acquired, released) = count;
}

/// A site that is not known (any more) has no counts.
#[inline(always)]
fn count(site: u64, acquired: u64, released: u64) -> u64 {
    if let Some(counts) = Counts::of(site) {
        if acquired != 0 {
            counts.acquired.add(acquired);
        }
        if released != 0 {
            counts.released.add(released);
        }
    }
    0
}
