//! Descriptors that programs hold by accident: opened without close-on-exec, handed on
//! by fork and exec, and closed since by who opened them. The kernel keeps each open
//! until the last holder closes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use leak_common::ProcessId;

use crate::judge::pattern::Pattern;
use crate::judge::{Config, Opinion};
use crate::ledger::{Inherited, Ledger, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Fewer resources than this are not worth an alarm, only a word.
const SEVERAL: usize = 3;

/// Holders named in the evidence.
const NAMED: usize = 3;

/// The copies by site. What closed them lately may close the rest in a moment, so only
/// those count that have been with their holder for a while.
pub(in crate::judge) fn by_site(
    ledger: &Ledger,
    now: Nanos,
    age: Nanos,
) -> HashMap<SiteKey, Vec<Inherited>> {
    let mut sites: HashMap<SiteKey, Vec<Inherited>> = HashMap::new();
    for copy in ledger.inherited() {
        if now.saturating_sub(copy.since) >= age {
            sites.entry(copy.site).or_default().push(copy);
        }
    }
    sites
}

/// Adds to an opinion on a site who else holds what it acquired.
pub(in crate::judge) fn judge(
    config: &Config,
    copies: &[Inherited],
    start: Nanos,
    now: Nanos,
    opinion: &mut Opinion,
) {
    let resources: BTreeSet<Nanos> = copies.iter().map(|copy| copy.acquired).collect();
    let times: Vec<Nanos> = resources.iter().copied().collect();
    let pattern = Pattern::of(&times, 1.0, start, now.saturating_sub(config.inherited));
    let ever_more = resources.len() >= SEVERAL && pattern.throughout() && !pattern.stopped();
    let verdict = match resources.len() {
        _ if ever_more => Verdict::Leak,
        number if number >= SEVERAL => Verdict::Suspect,
        _ => Verdict::Steady,
    };
    if verdict < opinion.verdict {
        opinion.rule = "inherited";
        opinion.verdict = verdict;
        opinion.growth_per_second = pattern.rate();
        opinion.waits_for = (verdict == Verdict::Suspect)
            .then(|| "more programs that inherit them, or their ends".to_owned());
    }
    let strength = resources.len() as f64 / SEVERAL as f64;
    opinion.strength = opinion.strength.max(strength);
    opinion.observed = opinion.observed.max(seconds(now.saturating_sub(start)));
    let mut holders: BTreeMap<ProcessId, usize> = BTreeMap::new();
    for copy in copies {
        *holders.entry(copy.holder).or_default() += 1;
    }
    let named: Vec<String> = holders
        .iter()
        .take(NAMED)
        .map(|(holder, count)| format!("{} ({count})", holder.pid()))
        .collect();
    let more = match holders.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    opinion.evidence.push(format!(
        "{} closed here are still open in programs started meanwhile, which inherited them for want \
         of close-on-exec: pid {}{more}",
        resources.len(),
        named.join(", ")
    ));
}
