//! Suppressions: findings that someone looked at and said why they are all right. They
//! leave the report's findings, and the report counts them by that reason. None are built
//! in: what grows is for the owner of the program to judge.

#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use leak_common::Kind;
use serde::Deserialize;

use crate::{
    pattern::{FramePatterns, Glob, line_at},
    report::{
        Report,
        model::{Finding, Suppressed},
    },
};

/// Most entries of all files together.
const MAX_SUPPRESSIONS: usize = 4096;

/// What to leave out, in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct Suppressions(Vec<Suppression>);

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

impl Suppressions {
    /// Adds the suppressions of a file's text, behind those that are there.
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
            if self.0.len() >= MAX_SUPPRESSIONS {
                bail!("line {line}: at most {MAX_SUPPRESSIONS} suppressions are possible");
            }
            self.0.push(suppression);
        }
        Ok(())
    }

    /// Takes the findings that are suppressed out of a report, and counts them there,
    /// each at the first suppression that is about it.
    pub fn apply(&self, report: &mut Report) {
        report.findings.retain(|finding| {
            let Some(found) = self.0.iter().find(|one| one.is_about(finding)) else {
                return true;
            };
            count(&mut report.suppressed, &found.why, finding.outstanding);
            false
        });
    }
}

fn count(suppressed: &mut Vec<Suppressed>, why: &str, outstanding: u64) {
    if !suppressed.iter().any(|entry| entry.why == why) {
        suppressed.push(Suppressed {
            why: why.to_owned(),
            ..Suppressed::default()
        });
    }
    for entry in suppressed.iter_mut().filter(|entry| entry.why == why) {
        entry.findings += 1;
        entry.outstanding = entry.outstanding.saturating_add(outstanding);
    }
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
