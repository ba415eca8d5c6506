//! An inotify descriptor that gets ever more watches: one resource, but every watch
//! counts against the user's limit (`fs.inotify.max_user_watches`).

use std::collections::HashMap;

use leak_common::{Handle, Kind, ProcessId};

use super::{EXAMPLES, Rule, Subject, example};
use crate::judge::evidence::{
    needed::{Past, share},
    round::Round,
    series::{Minima, Series},
    site::Site,
};
use crate::judge::opinion::{LONGER, Opinion};
use crate::ledger::SiteKey;
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// A rise by fewer watches than this is no growth.
const LEAST: u64 = 3;

/// The descriptors by site.
#[derive(Default)]
pub(super) struct Watches(HashMap<SiteKey, Vec<Watching>>);

/// An inotify descriptor.
struct Watching {
    process: ProcessId,
    handle: Handle,
    acquired: Nanos,
    /// How many watches it had over time.
    watches: Series,
    /// When its process was refused more of them.
    refused: Option<Nanos>,
}

impl Rule for Watches {
    fn name() -> &'static str {
        "watches"
    }

    /// The limits on descriptors do not count watches.
    fn counts() -> bool {
        false
    }

    fn gather(round: &Round<'_>) -> Watches {
        let mut sites: HashMap<SiteKey, Vec<Watching>> = HashMap::new();
        for (process, seen) in round.seen.iter() {
            for (&handle, watches) in &seen.watches {
                if let Some(held) = round.ledger.held_on(process, handle) {
                    // Who adds them is to blame, not who made the descriptor.
                    let adder = seen.adders.get(&handle).map(|site| SiteKey::Site(*site));
                    let adder = adder.filter(|key| round.ledger.site(*key).is_some());
                    let site = round.counted_at(adder.unwrap_or(held.site));
                    let refused = round.refused.of_watches(process);
                    sites.entry(site).or_default().push(Watching {
                        process,
                        handle,
                        acquired: held.acquired,
                        watches: watches.clone(),
                        refused: refused.map(|refused| refused.time),
                    });
                }
            }
        }
        for watching in sites.values_mut() {
            watching.sort_unstable_by_key(|one| (one.process, one.handle));
        }
        Watches(sites)
    }

    fn sites(&self) -> Vec<SiteKey> {
        self.0.keys().copied().collect()
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        for one in self.0.get(&site.key).into_iter().flatten() {
            weigh(one, site, opinion);
        }
    }

    fn subject(&self, site: SiteKey) -> Option<Subject> {
        let watching = self.0.get(&site)?;
        let samples = watching.iter().take(EXAMPLES);
        Some(Subject {
            process: watching.first()?.process,
            kind: Kind::Inotify,
            outstanding: 1,
            samples: samples
                .map(|one| example(one.acquired, one.handle))
                .collect(),
        })
    }
}

/// Adds to an opinion how many watches one descriptor has.
fn weigh(watching: &Watching, site: &Site<'_>, opinion: &mut Opinion) {
    let watches = &watching.watches;
    // At the limit it cannot go on: it is judged up to there.
    let refused = watching.refused;
    let refused = refused.filter(|time| (site.window_start..site.now).contains(time));
    let (start, now) = (site.window_start, refused.unwrap_or(site.now));
    let Some(minima) = watches.minima(start, now) else {
        return;
    };
    if !minima.rise() || minima.risen() < LEAST {
        return;
    }
    let span = seconds(now.saturating_sub(start));
    let strength = share(span, minima.risen() as f64, Past::Young, 1.0);
    let verdict = match strength >= 1.0 {
        true => Verdict::Leak,
        false => Verdict::Suspect,
    };
    if opinion.worsen(Watches::name(), verdict, LONGER) {
        opinion.growth_per_second = watches.slope(start, now).unwrap_or(0.0).max(0.0);
    }
    let Minima { least, .. } = minima;
    let sentence = format!(
        "its watches rose from {} to {} and never came down",
        least[0], least[3]
    );
    // What adds watches acquires no descriptors: how many there are says nothing.
    if site
        .known
        .as_ref()
        .is_some_and(|known| known.balance.acquired == 0)
    {
        opinion.evidence.clear();
    }
    opinion.support(strength, span, sentence);
    if refused.is_some() {
        let sentence = "it went on until the kernel refused more: ENOSPC".to_owned();
        opinion.evidence.push(sentence);
    }
}
