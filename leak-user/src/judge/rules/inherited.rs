//! Descriptors that programs hold by accident: opened without close-on-exec, handed on
//! by fork and exec, and closed since by the process that opened them. The kernel keeps each
//! open until the last holder closes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use leak_common::ProcessId;

use super::Rule;
use crate::judge::evidence::{pattern::Pattern, round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::ledger::{Inherited, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Fewer resources than this are not worth an alarm, only a word.
const SEVERAL: usize = 3;

/// Holders named in the evidence.
const NAMED: usize = 3;

/// The copies by the site that acquired them. The program that closed its own a moment ago
/// may close the copies next, so only those count that have been with their holder for a
/// while.
#[derive(Default)]
pub(super) struct InheritedCopies(HashMap<SiteKey, Vec<Inherited>>);

impl Rule for InheritedCopies {
    fn name() -> &'static str {
        "inherited"
    }

    fn gather(round: &Round<'_>) -> InheritedCopies {
        let mut sites: HashMap<SiteKey, Vec<Inherited>> = HashMap::new();
        for copy in round.ledger.inherited() {
            let is_old = round.now.saturating_sub(copy.since) >= round.config.inherited;
            if is_old && round.ledger.site(copy.site).is_some() {
                let site = round.counted_at(copy.site);
                sites.entry(site).or_default().push(copy);
            }
        }
        InheritedCopies(sites)
    }

    fn sites(&self) -> Vec<SiteKey> {
        self.0.keys().copied().collect()
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let Some(copies) = self.0.get(&site.key) else {
            return;
        };
        let resources: BTreeSet<Nanos> = copies.iter().map(|copy| copy.acquired).collect();
        let times: Vec<Nanos> = resources.iter().copied().collect();
        let end = site.now.saturating_sub(site.config.inherited);
        let pattern = Pattern::of(&times, 1.0, site.start, end);
        let ever_more = resources.len() >= SEVERAL && pattern.throughout() && !pattern.stopped();
        let verdict = match resources.len() {
            _ if ever_more => Verdict::Leak,
            number if number >= SEVERAL => Verdict::Suspect,
            _ => Verdict::Steady,
        };
        let waits_for = "more programs that inherit them, or their ends";
        if opinion.worsen(Self::name(), verdict, waits_for) {
            opinion.growth_per_second = pattern.rate();
        }
        opinion.support(
            resources.len() as f64 / SEVERAL as f64,
            seconds(site.now.saturating_sub(site.start)),
            format!(
                "{} closed here are still open in programs started meanwhile, which inherited them for want \
                 of close-on-exec: pid {}",
                resources.len(),
                holders(copies)
            ),
        );
    }
}

/// The first of those who hold copies, and how many each.
fn holders(copies: &[Inherited]) -> String {
    let mut holders: BTreeMap<ProcessId, usize> = BTreeMap::new();
    for copy in copies {
        *holders.entry(copy.holder).or_default() += 1;
    }
    let named: Vec<String> = holders
        .iter()
        .take(NAMED)
        .map(|(holder, count)| format!("{} ({count})", holder.pid()))
        .collect();
    let named = named.join(", ");
    match holders.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
