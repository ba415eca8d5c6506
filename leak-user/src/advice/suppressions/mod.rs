//! Suppressions: findings that someone looked at and said why they are all right. They
//! leave the report's findings, and the report counts them by that reason. Built in
//! (`suppressions.toml`) is only what the source of a program proves: all else is for the
//! program's owner to judge.

#[cfg(test)]
mod built_in_tests;
mod merged;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use anyhow::{Context, bail};
use leak_common::Kind;
use serde::Deserialize;

use crate::{
    advice::pattern::{FramePatterns, Glob, line_at},
    model::report::{Finding, Report, Suppressed, Verdict},
};

/// Those that come with the program.
const BUILT_IN: &str = include_str!("suppressions.toml");

/// Most entries of all files together.
const MAX_SUPPRESSIONS: usize = 4096;

/// What to leave out, in the order of the files; what is built in comes last.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    own: Vec<Suppression>,
    built_in: &'static [Suppression],
}

/// A file of suppressions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    suppress: Vec<toml::Spanned<Suppression>>,
}

/// Which findings, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppression {
    kind: Option<Kinds>,
    #[serde(default)]
    frames: FramePatterns,
    comm: Option<Glob>,
    why: String,
}

/// One kind of resource or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a kind, or a list of kinds")]
enum Kinds {
    One(String),
    Some(Vec<String>),
}

/// What a finding is suppressed by.
#[derive(Clone, Copy)]
struct Reason<'a> {
    why: &'a str,
    built_in: bool,
}

impl Suppressions {
    /// Those that come with the program.
    #[must_use]
    pub fn built_in() -> Suppressions {
        static PARSED: LazyLock<Vec<Suppression>> = LazyLock::new(|| {
            let mut list = Suppressions::default();
            list.add(BUILT_IN)
                .expect("a test reads the list that is built in");
            list.own
        });
        Suppressions {
            own: Vec::new(),
            built_in: &PARSED,
        }
    }

    /// Adds the suppressions of a file's text, behind those of other files.
    ///
    /// # Errors
    /// Where it is no list of suppressions: the line and what is wrong there.
    pub fn add(&mut self, text: &str) -> anyhow::Result<()> {
        let list: List = toml::from_str(text)?;
        for entry in list.suppress {
            let line = line_at(text, entry.span().start);
            let suppression = entry.into_inner();
            suppression
                .check()
                .with_context(|| format!("line {line}, this [[suppress]]"))?;
            if self.own.len() >= MAX_SUPPRESSIONS {
                bail!("line {line}: at most {MAX_SUPPRESSIONS} suppressions are possible");
            }
            self.own.push(suppression);
        }
        Ok(())
    }

    /// Takes the findings that are suppressed out of a report, and counts them there,
    /// each at the first suppression that is about it. A verdict that rests on several
    /// sites stays unless all of them are suppressed.
    pub fn apply(&self, report: &mut Report) {
        let reasons: Vec<Option<Reason<'_>>> =
            report.findings.iter().map(|one| self.reason(one)).collect();
        let found: Vec<bool> = reasons.iter().map(Option::is_some).collect();
        let open = merged::open_ways(&report.findings, &found);
        let mut fates = reasons.into_iter().zip(open);
        let suppressed = &mut report.suppressed;
        report.findings.retain_mut(|finding| match fates.next() {
            Some((Some(reason), 0)) => {
                count(suppressed, reason, finding.outstanding);
                false
            }
            Some((Some(_), open)) => {
                finding.evidence.push(merged::sentence(open));
                true
            }
            Some((None, _)) | None => true,
        });
    }

    /// What is built in leaves steady findings alone: they are no reproach.
    fn reason(&self, finding: &Finding) -> Option<Reason<'_>> {
        let built_in = match finding.verdict {
            Verdict::Leak | Verdict::Suspect => self.built_in,
            Verdict::Steady => &[],
        };
        let lists = [(self.own.as_slice(), false), (built_in, true)];
        lists.into_iter().find_map(|(list, built_in)| {
            let found = list.iter().find(|one| one.is_about(finding))?;
            let why = found.why.as_str();
            Some(Reason { why, built_in })
        })
    }
}

fn count(suppressed: &mut Vec<Suppressed>, reason: Reason<'_>, outstanding: u64) {
    let Reason { why, built_in } = reason;
    let is_it = |entry: &Suppressed| entry.why == why && entry.built_in == built_in;
    let at = suppressed.iter().position(is_it).unwrap_or_else(|| {
        suppressed.push(Suppressed {
            why: why.to_owned(),
            built_in,
            ..Suppressed::default()
        });
        suppressed.len() - 1
    });
    let entry = &mut suppressed[at];
    entry.findings += 1;
    entry.outstanding = entry.outstanding.saturating_add(outstanding);
}

impl Suppression {
    fn is_about(&self, finding: &Finding) -> bool {
        let kinds = self.kind.as_ref().map(Kinds::names);
        kinds.is_none_or(|kinds| kinds.contains(&finding.kind))
            && self
                .comm
                .as_ref()
                .is_none_or(|comm| comm.matches(&finding.comm))
            && self.frames.matches(&finding.stack)
    }

    fn check(&self) -> anyhow::Result<()> {
        let kinds = self.kind.as_ref().map_or(&[][..], Kinds::names);
        for kind in kinds {
            if !Kind::ALL.iter().any(|known| known.name() == kind) {
                bail!("there is no kind {kind:?}");
            }
        }
        if self.kind.is_some() && kinds.is_empty() {
            bail!("kind is empty: leave it out for all kinds");
        }
        if self.frames.is_empty() && self.comm.is_none() {
            bail!("one of frames and comm is needed");
        }
        if self.why.trim().is_empty() {
            bail!("why must say why this is all right");
        }
        Ok(())
    }
}

impl Kinds {
    fn names(&self) -> &[String] {
        match self {
            Kinds::One(kind) => std::slice::from_ref(kind),
            Kinds::Some(kinds) => kinds,
        }
    }
}
