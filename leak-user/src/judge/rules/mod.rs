//! The rules, one a file, and the list of them.
//!
//! A new rule is a file that implements [`Rule`], and a line in [`RULES`]. In a round of
//! judging each rule has four occasions to speak, and at each the rules speak in the order
//! of the list:
//!
//! 1. [`Rule::gather`]: once a round, it looks at what the round knows, and keeps what it
//!    needs of each site;
//! 2. [`Rule::weigh`]: it changes the opinion on a site. It sees what the rules before it
//!    found, and may support that, raise it or lower it: a veto is a rule that stands behind
//!    those it forbids, and makes the verdict steady. The last word is that of the last rule
//!    in the list;
//! 3. [`Rule::compare`]: it looks at the findings on all sites together;
//! 4. [`Rule::add_names`]: it adds what the names of frames and resources say to a finding
//!    that is to be shown.

mod allocator;
mod close_wait;
mod deleted_files;
mod exit;
mod growth;
mod half_closed;
mod inherited;
mod many_ways;
mod pool_ran_dry;
#[cfg(test)]
mod tests;
mod thread_memory;
mod unjoined_threads;
mod unread;
mod wall;
mod watches;
mod zombies;

use std::collections::HashSet;

use leak_common::{Handle, Kind, ProcessId};

use super::Judged;
use super::evidence::{named::Named, round::Round, site::Site};
use super::findings::Findings;
use super::opinion::Opinion;
use crate::ledger::{Resource, SiteKey};
use crate::model::time::Nanos;

/// Every rule, in the order in which they speak.
const RULES: &[Line] = &[
    // What a site holds, or held at an exit: the opinion that the others change.
    Line::of::<growth::Growth>(),
    Line::of::<exit::HeldAtExit>(),
    // Growth that cannot go on.
    Line::of::<wall::Wall>(),
    // Sites that are none of their own.
    Line::of::<unread::Unread>(),
    // Facts that speak beside it.
    Line::of::<zombies::Zombies>(),
    Line::of::<close_wait::CloseWait>(),
    Line::of::<inherited::InheritedCopies>(),
    Line::of::<watches::Watches>(),
    Line::of::<pool_ran_dry::PoolRanDry>(),
    // What sites are together, where none of them is a leak alone.
    Line::of::<many_ways::ManyWays>(),
    // What belongs to something else that leaks.
    Line::of::<thread_memory::ThreadMemory>(),
    // What names say.
    Line::of::<unjoined_threads::UnjoinedThreads>(),
    Line::of::<allocator::Allocator>(),
    Line::of::<deleted_files::DeletedFiles>(),
    Line::of::<half_closed::HalfClosed>(),
];

/// Examples of a finding that rests on facts.
const EXAMPLES: usize = 5;

/// A rule at one round of judging: it holds what it gathered.
pub(super) trait Rule {
    /// Its name: findings that it decides carry it.
    fn name() -> &'static str
    where
        Self: Sized;

    /// Whether its findings are about how many resources there are of a kind, which is what
    /// limits count.
    fn counts() -> bool
    where
        Self: Sized,
    {
        true
    }

    /// Takes what it needs from what the round knows.
    fn gather(_round: &Round<'_>) -> Self
    where
        Self: Sized + Default,
    {
        Self::default()
    }

    /// The sites that it gathered something about. Each of them is judged, also one that
    /// holds nothing, or that the ledger does not know.
    fn sites(&self) -> Vec<SiteKey> {
        Vec::new()
    }

    /// Adds to the opinion on a site what it has to say, which is nothing on most.
    fn weigh(&self, _site: &Site<'_>, _opinion: &mut Opinion) {}

    /// The resources of a site that it speaks of, as examples: they are shown before those
    /// that the site holds otherwise.
    fn examples(&self, _site: SiteKey) -> Vec<Resource> {
        Vec::new()
    }

    /// How many resources from before the trace it counts at a site, beside those that the
    /// ledger counts there.
    fn before_trace(&self, _site: SiteKey) -> u64 {
        0
    }

    /// Whom and what it speaks of, where the ledger does not know the site.
    fn subject(&self, _site: SiteKey) -> Option<Subject> {
        None
    }

    /// Looks at the sites together, after each of them has been judged.
    fn compare(&self, _round: &Round<'_>, _findings: &mut Findings) {}

    /// Adds to a finding what names say.
    fn add_names(_named: &Named<'_>, _judged: &mut Judged)
    where
        Self: Sized,
    {
    }
}

/// What a finding is about whose site the ledger does not know.
pub(super) struct Subject {
    pub(super) process: ProcessId,
    pub(super) kind: Kind,
    /// Beside what is from before the trace.
    pub(super) outstanding: u64,
    /// Examples, where there are no others.
    pub(super) samples: Vec<Resource>,
}

/// A rule in the list.
struct Line {
    name: fn() -> &'static str,
    counts: fn() -> bool,
    gather: fn(&Round<'_>) -> Box<dyn Rule>,
    add_names: fn(&Named<'_>, &mut Judged),
}

impl Line {
    const fn of<R: Rule + Default + 'static>() -> Line {
        Line {
            name: R::name,
            counts: R::counts,
            gather: |round| Box::new(R::gather(round)),
            add_names: R::add_names,
        }
    }
}

/// Whether the findings of a rule are about how many resources there are of a kind.
pub(super) fn counts(rule: &str) -> bool {
    let line = RULES.iter().find(|line| (line.name)() == rule);
    line.is_none_or(|line| (line.counts)())
}

/// Adds what names say to a verdict.
pub fn weigh(judged: &mut Judged, named: &Named<'_>) {
    for line in RULES {
        (line.add_names)(named, judged);
    }
}

/// The rules at one round, in their order, with what they gathered.
pub(super) struct Gathered(Vec<Box<dyn Rule>>);

impl Gathered {
    pub(super) fn at(round: &Round<'_>) -> Gathered {
        Gathered(RULES.iter().map(|line| (line.gather)(round)).collect())
    }

    /// Other rules than those of the list.
    #[cfg(test)]
    pub(super) fn of(rules: Vec<Box<dyn Rule>>) -> Gathered {
        Gathered(rules)
    }

    /// The sites that a rule gathered something about.
    pub(super) fn sites(&self) -> HashSet<SiteKey> {
        self.0.iter().flat_map(|rule| rule.sites()).collect()
    }

    /// What all rules come to about a site.
    pub(super) fn opinion(&self, site: &Site<'_>) -> Opinion {
        let mut opinion = Opinion::steady(growth::Growth::name(), 0.0, Vec::new());
        for rule in &self.0 {
            rule.weigh(site, &mut opinion);
        }
        opinion
    }

    /// Examples of a site: those that rules speak of, else what it has to show.
    pub(super) fn examples(&self, site: SiteKey, shown: Vec<Resource>) -> Vec<Resource> {
        let spoken_of = self.0.iter().flat_map(|rule| rule.examples(site));
        let spoken_of: Vec<Resource> = spoken_of.take(EXAMPLES).collect();
        if !spoken_of.is_empty() {
            return spoken_of;
        }
        if !shown.is_empty() {
            return shown;
        }
        let subject = self.subject(site);
        subject.map_or_else(Vec::new, |subject| subject.samples)
    }

    /// How many resources from before the trace count at a site, beside those that the
    /// ledger counts there.
    pub(super) fn before_trace(&self, site: SiteKey) -> u64 {
        let all = self.0.iter().map(|rule| rule.before_trace(site));
        all.max().unwrap_or(0)
    }

    /// Whom and what a site is about that the ledger does not know.
    pub(super) fn subject(&self, site: SiteKey) -> Option<Subject> {
        self.0.iter().find_map(|rule| rule.subject(site))
    }

    /// All rules about all findings.
    pub(super) fn compare(&self, round: &Round<'_>, findings: &mut Findings) {
        for rule in &self.0 {
            rule.compare(round, findings);
        }
    }
}

/// A resource as an example.
fn example(acquired: Nanos, handle: Handle) -> Resource {
    Resource {
        acquired,
        handle,
        size: 0,
    }
}
