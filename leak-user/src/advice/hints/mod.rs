//! Hints: what kind of bug a finding usually is, and how to fix it. They are data: a
//! list in `hints.toml`, and further lists in the same form from files. A hint is given
//! where all that its entry asks for is true of the finding, and else there is none.

mod caller;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use anyhow::{Context, bail};
use leak_common::Kind;
use serde::Deserialize;

use crate::{
    advice::pattern::{FramePatterns, line_at},
    model::report::{Finding, Report, Verdict},
};

/// Those that come with the program.
const BUILT_IN: &str = include_str!("hints.toml");

/// Most entries of a list.
const MAX_HINTS: usize = 4096;

/// Rules whose findings are about acquisitions that lack their release: what a hint
/// is about that names no rule. The empty one is of reports that do not tell.
const ACQUIRED: [&str; 10] = [
    "growth",
    "growth-by-many-ways",
    "held-at-exit",
    "wall",
    "zombies",
    "close-wait",
    "half-closed",
    "pool-ran-dry",
    "deleted-files",
    "",
];

/// Rules that state a fact which says more about the bug than where the resource was
/// acquired: a hint that names one goes before those that only know frames.
const FACTS: [&str; 7] = [
    "close-wait",
    "half-closed",
    "pool-ran-dry",
    "deleted-files",
    "inherited",
    "unjoined-threads",
    "watches",
];

/// How the description of a child ends that has ended.
const ZOMBIE: &str = ", zombie";

/// Source languages, by the ends of their files' names.
const LANGUAGES: [(&str, &[&str]); 9] = [
    ("c", &[".c"]),
    ("c++", &[".cc", ".cpp", ".cxx", ".hpp"]),
    ("go", &[".go"]),
    ("java", &[".java"]),
    ("javascript", &[".js", ".mjs", ".cjs", ".ts"]),
    ("php", &[".php"]),
    ("python", &[".py"]),
    ("ruby", &[".rb"]),
    ("rust", &[".rs"]),
];

/// Lists of hints, the most important one first.
#[derive(Clone, Debug)]
pub struct Hints(Vec<Vec<Hint>>);

/// A file of hints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    hint: Vec<toml::Spanned<Hint>>,
}

/// A hint and what it asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    /// A name for it, once in a list.
    id: String,
    /// Kinds of resource, as in a report.
    kinds: Vec<String>,
    #[serde(default)]
    frames: FramePatterns,
    /// An example socket is in one of these states.
    #[serde(default)]
    states: Vec<String>,
    /// The rule that decided.
    #[serde(default)]
    rules: Vec<String>,
    /// A frame's source file is of one of these languages.
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default)]
    verdicts: Vec<Verdict>,
    /// At least this share of what was acquired has been released.
    released_share: Option<f64>,
    /// Who called the C library.
    callers: Option<Callers>,
    /// The bug that it usually is, one sentence.
    usually: String,
    /// How to fix it, one sentence or two.
    fix: String,
    /// What is said in place of both where the children that are shown run.
    running: Option<String>,
}

/// Whose code it was that called the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Callers {
    /// A program's own, and not that of an interpreter or its packages, of which nobody
    /// changes the C code to mend a leak.
    Compiled,
}

impl Hints {
    /// The hints that come with the program.
    #[must_use]
    pub fn built_in() -> Hints {
        static PARSED: LazyLock<Vec<Hint>> =
            LazyLock::new(|| parse(BUILT_IN).expect("a test reads the list that is built in"));
        Hints(vec![PARSED.clone()])
    }

    /// Adds a list, which goes before all others.
    ///
    /// # Errors
    /// Where it is no list of hints: the line and what is wrong there.
    pub fn add(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.insert(0, parse(text)?);
        Ok(())
    }

    /// Gives each finding that is not steady the hint that says most about it. Where
    /// none is about it, it keeps what it has.
    pub fn annotate(&self, report: &mut Report) {
        for finding in &mut report.findings {
            if finding.verdict == Verdict::Steady {
                continue;
            }
            if let Some(hint) = self.about(finding) {
                finding.hint = Some(hint.text(finding));
            }
        }
    }

    /// The hint for a finding: of the first list that has any, the most specific.
    fn about(&self, finding: &Finding) -> Option<&Hint> {
        let of_list = |list: &'_ Vec<Hint>| -> Option<usize> {
            let fits = list
                .iter()
                .enumerate()
                .filter(|(_, hint)| hint.fits(finding));
            // The first of equals.
            let most =
                fits.max_by_key(|(index, hint)| (hint.specificity(finding), usize::MAX - index));
            most.map(|(index, _)| index)
        };
        self.0
            .iter()
            .find_map(|list| of_list(list).map(|index| &list[index]))
    }
}

impl Hint {
    fn fits(&self, finding: &Finding) -> bool {
        let one_of = |words: &[String], word: &str| words.iter().any(|known| known == word);
        let rule = finding.rule.as_str();
        one_of(&self.kinds, &finding.kind)
            && match self.rules.as_slice() {
                [] => ACQUIRED.contains(&rule),
                rules => one_of(rules, rule),
            }
            && (self.verdicts.is_empty() || self.verdicts.contains(&finding.verdict))
            && (self.states.is_empty()
                || sockets(finding).any(|socket| one_of(&self.states, &socket.state)))
            && (self.languages.is_empty()
                || self
                    .languages
                    .iter()
                    .any(|name| is_written_in(finding, name)))
            && self
                .released_share
                .is_none_or(|least| released_share(finding) >= least)
            && match self.callers {
                None => true,
                Some(Callers::Compiled) => !caller::is_of_interpreter(&finding.stack),
            }
            && self.frames.matches(&finding.stack)
    }

    /// How much a hint asks for: a rule that states a fact, then frames, then other facts,
    /// then characters.
    fn specificity(&self, finding: &Finding) -> (bool, usize, usize, usize) {
        let facts = [
            !self.states.is_empty(),
            !self.rules.is_empty(),
            !self.languages.is_empty(),
            !self.verdicts.is_empty(),
            self.released_share.is_some(),
        ];
        let facts = facts.into_iter().filter(|given| *given).count();
        // One that does not name the rule of the finding, or names none, knows nothing of its fact.
        let of_fact = FACTS.contains(&finding.rule.as_str()) && self.rules.contains(&finding.rule);
        (of_fact, self.frames.len(), facts, self.frames.literals())
    }

    fn text(&self, finding: &Finding) -> String {
        match &self.running {
            Some(running) if children_run(finding) => running.clone(),
            _ => format!("{} {}", self.usually, self.fix),
        }
    }

    /// What is wrong with it, in words.
    fn check(&self) -> anyhow::Result<()> {
        for kind in &self.kinds {
            if !Kind::ALL.iter().any(|known| known.name() == kind) {
                bail!("there is no kind {kind:?}");
            }
        }
        for language in &self.languages {
            if !LANGUAGES.iter().any(|(name, _)| name == language) {
                let known = LANGUAGES.map(|(name, _)| name).join(", ");
                bail!("there is no language {language:?}: {known} are known");
            }
        }
        if self.kinds.is_empty() {
            bail!("kinds is empty");
        }
        let facts = [&self.states, &self.rules, &self.languages];
        if self.frames.is_empty() && facts.iter().all(|given| given.is_empty()) {
            bail!("one of frames, states, rules and languages is needed");
        }
        if self
            .running
            .as_ref()
            .is_some_and(|text| text.trim().is_empty())
        {
            bail!("running must have a text");
        }
        if self.id.is_empty() || self.usually.trim().is_empty() || self.fix.trim().is_empty() {
            bail!("id, usually and fix must have a text");
        }
        Ok(())
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<Hint>> {
    let list: List = toml::from_str(text)?;
    if list.hint.len() > MAX_HINTS {
        bail!(
            "{} hints: at most {MAX_HINTS} are possible",
            list.hint.len()
        );
    }
    let mut hints: Vec<Hint> = Vec::with_capacity(list.hint.len());
    for entry in list.hint {
        let line = line_at(text, entry.span().start);
        let hint = entry.into_inner();
        let twice = hints.iter().any(|other| other.id == hint.id);
        let checked = match twice {
            true => Err(anyhow::anyhow!("there are two of this id")),
            false => hint.check(),
        };
        checked.with_context(|| format!("line {line}, hint {:?}", hint.id))?;
        hints.push(hint);
    }
    Ok(hints)
}

fn sockets(finding: &Finding) -> impl Iterator<Item = &crate::model::report::Socket> {
    finding.examples.iter().filter_map(|e| e.socket.as_ref())
}

/// Whether the children that are shown run, every one of them. A zombie is no running child.
fn children_run(finding: &Finding) -> bool {
    finding.kind == Kind::Process.name()
        && finding.rule != "zombies"
        && !finding.examples.is_empty()
        && !finding
            .examples
            .iter()
            .any(|e| e.description.ends_with(ZOMBIE))
}

fn is_written_in(finding: &Finding, language: &str) -> bool {
    let ends = LANGUAGES.iter().find(|(name, _)| *name == language);
    let files = || finding.stack.iter().filter_map(|f| f.file.as_deref());
    ends.is_some_and(|(_, ends)| files().any(|file| ends.iter().any(|end| file.ends_with(end))))
}

/// Of all acquisitions here; 0 where none was counted.
fn released_share(finding: &Finding) -> f64 {
    match finding.acquired {
        0 => 0.0,
        acquired => finding.released as f64 / acquired as f64,
    }
}
