//! What differs between two reports: which sites are new, gone, grew or shrank.
//!
//! Sites of all processes of a program are summed, and matched across runs, hosts and builds by `site::Identity`.
//! The JSON form is a contract (schema `leaktrace.diff/1`): keys may be added, never renamed.

mod change;
mod matching;
mod site;

use serde::{Deserialize, Serialize};

use super::report::{Frame, Host, Report, Verdict, Window};

/// The schema's name.
pub const SCHEMA: &str = "leaktrace.diff/1";

/// What differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    pub schema: String,
    pub base: Origin,
    pub new: Origin,
    pub counts: Counts,
    /// New ones first, then grown, shrunken, gone and unchanged ones; by verdict and pace within.
    pub sites: Vec<Site>,
}

/// What a report was made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub host: Host,
    pub window: Window,
    /// Events seen, and records lost: with a loss, a site may be missing.
    pub events: u64,
    pub lost: u64,
    /// Findings in it.
    pub findings: u64,
}

/// Sites by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub new: u64,
    pub grew: u64,
    pub shrank: u64,
    pub gone: u64,
    pub same: u64,
}

/// What became of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    New,
    Grew,
    Shrank,
    Gone,
    Same,
}

/// A site of either report or of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Site {
    pub change: Change,
    pub kind: String,
    /// The program's file name, of which 15 bytes count.
    pub program: String,
    /// Nothing where the site is new.
    pub base: Option<Amounts>,
    /// Nothing where it is gone.
    pub new: Option<Amounts>,
    /// Innermost first, as it is in the newer of the reports that have it.
    pub stack: Vec<Frame>,
    /// The hint of the newer report, if it has one.
    pub hint: Option<String>,
    /// Why the newer report cannot show less of it as better: the kernel refused the program
    /// more, with this error (`EMFILE`). Such a site counts as the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A site in one report, summed over the processes of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Amounts {
    /// The worst of any process.
    pub verdict: Verdict,
    /// Findings that were summed: one for each process and line.
    pub findings: u64,
    pub acquired: u64,
    pub released: u64,
    #[serde(default)]
    pub young: u64,
    pub outstanding: u64,
    #[serde(default)]
    pub unaccounted: u64,
    pub bytes: u64,
    /// Over the window: what can be compared between windows of any length.
    pub acquired_per_second: f64,
    pub growth_per_second: f64,
}

impl Diff {
    /// Compares two reports.
    #[must_use]
    pub fn between(base: &Report, new: &Report) -> Diff {
        let mut sites = matching::sites(base, new);
        sites.sort_by(|a, b| {
            let pace = |site: &Site| site.latest().growth_per_second;
            (a.change.cmp(&b.change))
                .then(a.worst().cmp(&b.worst()))
                .then(pace(b).total_cmp(&pace(a)))
                .then(b.latest().outstanding.cmp(&a.latest().outstanding))
        });
        Diff {
            schema: SCHEMA.to_owned(),
            base: Origin::of(base),
            new: Origin::of(new),
            counts: Counts::of(&sites),
            sites,
        }
    }

    /// The worst verdict, in the new report, of a site that is new or grew.
    #[must_use]
    pub fn worst_news(&self) -> Option<Verdict> {
        let news = self.sites.iter().filter(|site| site.is_news());
        news.filter_map(|site| Some(site.new?.verdict)).min()
    }
}

impl Site {
    /// Whether it is something that was not there before, or not as much.
    #[must_use]
    pub fn is_news(&self) -> bool {
        matches!(self.change, Change::New | Change::Grew)
    }

    /// The worst verdict of either report.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        let verdicts = [self.base, self.new].into_iter().flatten();
        let worst = verdicts.map(|amounts| amounts.verdict).min();
        worst.unwrap_or_default()
    }

    /// What the newer report says, or the older where the site is gone.
    fn latest(&self) -> Amounts {
        self.new.or(self.base).unwrap_or_default()
    }
}

impl Origin {
    fn of(report: &Report) -> Origin {
        Origin {
            host: report.host.clone(),
            window: report.window.clone(),
            events: report.health.events,
            lost: report.health.lost,
            findings: report.findings.len() as u64,
        }
    }
}

impl Counts {
    fn of(sites: &[Site]) -> Counts {
        let mut counts = Counts::default();
        for site in sites {
            match site.change {
                Change::New => counts.new += 1,
                Change::Grew => counts.grew += 1,
                Change::Shrank => counts.shrank += 1,
                Change::Gone => counts.gone += 1,
                Change::Same => counts.same += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
