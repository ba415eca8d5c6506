//! Children that exited and were not reaped: a fact that speaks alone, if there are
//! ever more of them. A parent may have something else to do for a while.

use std::collections::HashMap;

use crate::judge::{Opinion, SECOND};
use crate::ledger::{Ledger, SiteKey, Zombie};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// So many are a leak, if they did not all die at about the same time.
const SEVERAL: usize = 3;

/// Dead for so long, two are enough.
const FORGOTTEN: Nanos = 60 * SECOND;

/// Those dead for at least `age`, longest first.
pub(in crate::judge) fn by_site(
    ledger: &Ledger,
    now: Nanos,
    age: Nanos,
) -> HashMap<SiteKey, Vec<Zombie>> {
    let mut sites: HashMap<SiteKey, Vec<Zombie>> = HashMap::new();
    for zombie in ledger.zombies() {
        if now.saturating_sub(zombie.since) >= age {
            sites.entry(zombie.key).or_default().push(zombie);
        }
    }
    for dead in sites.values_mut() {
        dead.sort_unstable_by_key(|zombie| (zombie.since, zombie.handle));
    }
    sites
}

/// Adds to an opinion what zombies say, all dead for at least `age`.
pub(in crate::judge) fn judge(dead: &[Zombie], now: Nanos, age: Nanos, opinion: &mut Opinion) {
    let (Some(first), Some(last)) = (dead.first(), dead.last()) else {
        return;
    };
    let longest = now.saturating_sub(first.since);
    let apart = last.since.saturating_sub(first.since);
    let ever_more = dead.len() >= SEVERAL && apart >= 2 * SECOND;
    let forgotten = dead.len() >= 2 && now.saturating_sub(last.since) >= FORGOTTEN;
    let verdict = match ever_more || forgotten {
        true => Verdict::Leak,
        false => Verdict::Suspect,
    };
    if verdict < opinion.verdict {
        opinion.rule = "zombies";
        opinion.verdict = verdict;
        if apart > 0 {
            opinion.growth_per_second = (dead.len() - 1) as f64 / seconds(apart);
        }
        opinion.waits_for = (verdict == Verdict::Suspect)
            .then(|| "more of them, or their parent's wait(2) for those there are".to_owned());
    }
    let strength = dead.len() as f64 / SEVERAL as f64;
    opinion.strength = opinion.strength.max(strength);
    opinion.observed = opinion.observed.max(seconds(longest));
    let (subject, verb, them) = match dead.len() {
        1 => ("child has", "is", "it"),
        _ => ("children have", "are", "the first"),
    };
    opinion.evidence.push(format!(
        "{} {subject} been dead for {:.0} s or more and {verb} not reaped: {them} died {:.1} s ago",
        dead.len(),
        seconds(age),
        seconds(longest)
    ));
}
