//! Verdicts on sites: does what a site holds grow and not come down?
//!
//! A rule is a file in `rules` and a line in its list, which also says in which order rules
//! speak. A round of judging (`findings`) asks all of them about each site, and makes a
//! finding of the `opinion` they come to. What rules look at is in `evidence`; how sure a
//! verdict is, in `confidence`.
//!
//! The judge reads the ledger and knows no clock. Nothing it says is certain: a
//! long life is not a leak, and every verdict carries its evidence in words. What frames
//! and resources are called comes later, from the one who drives the judge ([`weigh`]).

mod confidence;
mod evidence;
mod findings;
mod judged;
mod opinion;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use crate::event::Failed;
use crate::ledger::{Ledger, ProcessView, SiteKey};
use crate::model::{address::AddressRange, site::SiteId, time::Nanos};
use evidence::generated::AllGenerated;
use evidence::last_use::AllLastUses;
use evidence::observed::AllSeen;
use evidence::pool::AllPools;
use evidence::refused::AllRefused;
use evidence::series::Series;

pub use evidence::generated::GeneratedCode;
pub use evidence::last_use::LastUses;
pub use evidence::named::Named;
pub use evidence::observed::Observation;
pub use evidence::pool::{Borrows, PoolUses, Pooled};
pub(crate) use evidence::{level::ends_level, slope::Slopes};
pub use judged::Judged;
pub use rules::weigh;
pub use state::{SavedJudge, SavedPool};

const SECOND: Nanos = 1_000_000_000;

/// Thresholds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The nursery's age: what is younger is not seen yet.
    pub nursery: Nanos,
    /// How long after that a resource is promoted at the latest.
    pub promotion: Nanos,
    /// How long a child has to be dead to count as a zombie.
    pub zombie: Nanos,
    /// How long a socket has to wait for its owner's close to count: less in a short
    /// window.
    pub close_wait: Nanos,
    /// How long a program has to run before it counts that it holds what it inherited.
    pub inherited: Nanos,
    /// Sites followed over time: about 1.6 KiB each.
    pub max_sites: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            nursery: SECOND,
            promotion: 300_000_000,
            zombie: 10 * SECOND,
            close_wait: 10 * SECOND,
            inherited: 3 * SECOND,
            max_sites: 20_000,
        }
    }
}

impl Config {
    /// What was acquired at least this long ago has been promoted: the ledger knows it.
    fn lag(&self) -> Nanos {
        self.nursery.saturating_add(self.promotion)
    }
}

/// Follows sites over time and judges them.
#[derive(Debug)]
pub struct Judge {
    config: Config,
    series: HashMap<SiteKey, Series>,
    /// What processes hold of a kind, what is from before the trace included.
    totals: HashMap<(ProcessId, Kind), Series>,
    seen: AllSeen,
    refused: AllRefused,
    last_uses: AllLastUses,
    generated: AllGenerated,
    pools: AllPools,
    /// How often a site was not followed because there was no room for it.
    turned_away: u64,
}

impl Judge {
    /// A judge who has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Judge {
        Judge {
            config,
            series: HashMap::new(),
            totals: HashMap::new(),
            seen: AllSeen::default(),
            refused: AllRefused::default(),
            last_uses: AllLastUses::default(),
            generated: AllGenerated::default(),
            pools: AllPools::default(),
            turned_away: 0,
        }
    }

    /// Notes what is outstanding at every site, and what each of the processes that run
    /// holds. To be called at every interval; a time that does not come after the last
    /// one is ignored.
    pub fn sample(&mut self, now: Nanos, ledger: &Ledger, running: &[ProcessView]) {
        self.series.retain(|&key, _| ledger.site(key).is_some());
        for (key, record) in ledger.sites() {
            if let Some(series) = self.series.get_mut(&key) {
                series.push(now, record.outstanding);
            } else if record.outstanding > 0 {
                if self.series.len() >= self.config.max_sites {
                    self.turned_away += 1;
                    continue;
                }
                let mut series = Series::default();
                series.push(now, record.outstanding);
                self.series.insert(key, series);
            }
        }
        self.sample_totals(now, ledger, running);
        self.seen.forget(ledger);
        self.refused.forget(ledger);
        self.last_uses.forget(ledger);
        self.generated.forget(ledger);
        self.pools.forget(ledger);
    }

    fn sample_totals(&mut self, now: Nanos, ledger: &Ledger, running: &[ProcessView]) {
        let mut all = std::mem::take(&mut self.totals);
        for view in running {
            for kind in Kind::ALL {
                let total = view.outstanding.get(kind) + view.preexisting.get(kind);
                let before = all.remove(&(view.id, kind));
                if total == 0 && before.is_none() || self.totals.len() >= self.config.max_sites {
                    continue;
                }
                let mut series = before.unwrap_or_default();
                series.push(now, total);
                self.totals.insert((view.id, kind), series);
            }
        }
        // Of those that have exited, as long as it is remembered what they held.
        let mut exited: Vec<_> = all
            .into_iter()
            .filter(|(of, _)| ledger.knows(of.0))
            .collect();
        exited.sort_unstable_by_key(|((process, kind), _)| (*process, *kind as u32));
        let room = self.config.max_sites.saturating_sub(self.totals.len());
        self.totals.extend(exited.into_iter().take(room));
    }

    /// Takes note of what a look at a process showed.
    pub fn observe(&mut self, observation: &Observation) {
        self.seen.take(observation);
    }

    /// Takes note of when resources of a site were used last.
    pub fn used(&mut self, uses: &LastUses) {
        self.last_uses.take(uses);
    }

    /// Takes note of where a process has made code.
    pub fn generated(&mut self, code: &GeneratedCode) {
        self.generated.take(code);
    }

    /// Where a process has made code, as it was told.
    #[must_use]
    pub fn generated_by(&self, process: ProcessId) -> &[AddressRange] {
        self.generated.of(process).unwrap_or_default()
    }

    /// The same of all processes.
    #[must_use]
    pub fn generated_code(&self) -> Vec<GeneratedCode> {
        self.generated.all()
    }

    /// Takes note of when the connections of a pool were used last, and by whom.
    pub fn pool_used(&mut self, uses: &PoolUses) {
        self.pools.take(uses);
    }

    /// The stacks that used connections of pools last.
    pub fn last_users(&self) -> impl Iterator<Item = SiteId> {
        self.pools.iter().flat_map(|pool| pool.last_users())
    }

    /// Takes note of a call that the kernel refused.
    pub fn refused(&mut self, failed: &Failed) {
        self.refused.take(failed);
    }

    /// Refused calls that are not remembered because there was no room.
    #[must_use]
    pub fn refusals_dropped(&self) -> u64 {
        self.refused.dropped()
    }

    /// Looks at last uses that are not remembered because there was no room.
    #[must_use]
    pub fn last_uses_dropped(&self) -> u64 {
        self.last_uses.dropped()
    }

    /// How often a site was not followed because there was no room for it.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.turned_away
    }
}
