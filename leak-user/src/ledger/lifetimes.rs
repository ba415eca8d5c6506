//! How long resources of a site lived that were released: a histogram in octaves,
//! 96 bytes a site. It answers one question: of those that reached an age, how many
//! were released after all?

use crate::model::time::Nanos;

/// The first octave begins here: 1/8 s.
const FIRST: Nanos = 125_000_000;

/// The last one holds all from twelve days on.
const OCTAVES: usize = 24;

/// Numbers of releases by lifetime. Octave `n` holds lifetimes of at least
/// `FIRST << n`, the first also all that are shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes([u32; OCTAVES]);

impl Lifetimes {
    /// Notes a release after `lifetime`.
    pub fn add(&mut self, lifetime: Nanos) {
        let count = &mut self.0[octave_of(lifetime)];
        *count = count.saturating_add(1);
    }

    /// Takes back a number of releases after `lifetime`.
    pub fn remove(&mut self, lifetime: Nanos, number: u64) {
        let count = &mut self.0[octave_of(lifetime)];
        *count = count.saturating_sub(u32::try_from(number).unwrap_or(u32::MAX));
    }

    /// The numbers, shortest lifetimes first.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.0
    }

    /// The histogram with these counts; further ones are left out.
    #[must_use]
    pub fn from_counts(counts: &[u32]) -> Lifetimes {
        let mut lifetimes = Lifetimes::default();
        for (count, saved) in lifetimes.0.iter_mut().zip(counts) {
            *count = *saved;
        }
        lifetimes
    }

    /// Adds all of another site.
    pub fn merge(&mut self, other: &Lifetimes) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// The ages to ask for, ascending: each twice the one before.
    pub fn ages() -> impl Iterator<Item = Nanos> {
        (0..OCTAVES as u32).map(|octave| FIRST << octave)
    }

    /// How many were released at `age` (one of [`ages`](Self::ages)) or later; of
    /// another age, at the next lower one or later.
    #[must_use]
    pub fn released_after(&self, age: Nanos) -> u64 {
        let later = self.0.iter().skip(octave_of(age));
        later.map(|&count| u64::from(count)).sum()
    }

    /// How many were released.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.released_after(0)
    }

    /// An age that half of them did not outlive; `None` where none was released.
    #[must_use]
    pub fn half_ended_by(&self) -> Option<Nanos> {
        self.ended_by(2)
    }

    /// An age that nineteen in twenty did not outlive; `None` where none was released.
    #[must_use]
    pub fn most_ended_by(&self) -> Option<Nanos> {
        self.ended_by(20)
    }

    /// An age that all but one in `parts` did not outlive.
    fn ended_by(&self, parts: u64) -> Option<Nanos> {
        let total = self.total();
        (total > 0).then(|| {
            Lifetimes::ages()
                .skip(1)
                .find(|&age| self.released_after(age) * parts <= total)
                .unwrap_or(FIRST << (OCTAVES - 1))
        })
    }
}

/// The octave that a lifetime falls in.
fn octave_of(lifetime: Nanos) -> usize {
    let octave = (lifetime / FIRST).checked_ilog2().unwrap_or(0) as usize;
    octave.min(OCTAVES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn releases_are_counted_by_the_age_they_reached() {
        let mut lifetimes = Lifetimes::default();
        for lifetime in [0, SECOND, 3 * SECOND, 5 * SECOND, u64::MAX] {
            lifetimes.add(lifetime);
        }
        assert_eq!(lifetimes.total(), 5);
        assert_eq!(lifetimes.released_after(SECOND), 4);
        assert_eq!(lifetimes.released_after(4 * SECOND), 2);
        assert_eq!(lifetimes.released_after(u64::MAX), 1);
    }

    #[test]
    fn the_age_that_most_do_not_outlive() {
        let mut lifetimes = Lifetimes::default();
        assert_eq!(lifetimes.most_ended_by(), None);
        for _ in 0..50 {
            lifetimes.add(3 * SECOND);
        }
        lifetimes.add(500 * SECOND);
        assert_eq!(lifetimes.most_ended_by(), Some(4 * SECOND));
        for _ in 0..60 {
            lifetimes.add(9 * SECOND);
        }
        assert_eq!(lifetimes.half_ended_by(), Some(16 * SECOND));
    }

    #[test]
    fn merged_lifetimes_are_those_of_both() {
        let (mut one, mut two) = (Lifetimes::default(), Lifetimes::default());
        one.add(SECOND);
        two.add(9 * SECOND);
        one.merge(&two);
        assert_eq!(one.total(), 2);
        assert_eq!(one.released_after(8 * SECOND), 1);
    }
}
