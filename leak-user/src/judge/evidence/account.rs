//! What there is to say on the growth of one site, or of several that belong together.

use super::last_use::LastUse;
use super::series::Series;
use crate::ledger::Lifetimes;
use crate::model::time::Nanos;

/// What is outstanding, when it was acquired, and what became of the rest.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Account<'a> {
    /// When what is outstanding was acquired, ascending; each time stands for `weight`
    /// resources.
    pub(in crate::judge) times: &'a [Nanos],
    pub(in crate::judge) weight: f64,
    /// How long those lived that were released.
    pub(in crate::judge) lifetimes: Lifetimes,
    pub(in crate::judge) outstanding: u64,
    /// Releases of what had outlived the nursery.
    pub(in crate::judge) old_released: u64,
    /// All releases, young ones included.
    pub(in crate::judge) released: u64,
    /// Found in `/proc` only: their times are not known.
    pub(in crate::judge) adopted: u64,
    /// The first acquisition, or the window's start if that is later.
    pub(in crate::judge) start: Nanos,
    pub(in crate::judge) now: Nanos,
    /// How many times the usual growth it takes for a leak.
    pub(in crate::judge) factor: f64,
    /// What was outstanding here over time.
    pub(in crate::judge) series: Option<&'a Series>,
    /// What the process held of the kind over time.
    pub(in crate::judge) totals: Option<&'a Series>,
    /// When the process began, or its program.
    pub(in crate::judge) born: Nanos,
    /// What the process holds of the kind from before the trace.
    pub(in crate::judge) preexisting: u64,
    pub(in crate::judge) window_start: Nanos,
    /// What the last uses of what is held say.
    pub(in crate::judge) last_use: LastUse,
    /// Series are looked at up to this time.
    pub(in crate::judge) series_end: Nanos,
}

impl Account<'_> {
    /// The same as it was at an earlier time, of what is still outstanding.
    pub(in crate::judge) fn at(&self, time: Nanos) -> Self {
        let times = &self.times[..self.times.partition_point(|&acquired| acquired <= time)];
        let timed = (times.len() as f64 * self.weight).round() as u64;
        Account {
            times,
            outstanding: timed + self.adopted,
            now: time,
            series_end: time,
            ..self.clone()
        }
    }
}
