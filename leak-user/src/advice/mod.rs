//! What people know beside what was traced: hints and suppressions. Some are built in, others come from files. Only
//! this module reads files; the rooms below it take text and change a finished report.

pub mod hints;
pub mod pattern;
pub mod suppressions;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{
    advice::{hints::Hints, suppressions::Suppressions},
    analysis::{noise, problems},
    model::report::Report,
};

/// Most bytes of a file.
const MAX_FILE: u64 = 4 << 20;

/// Where advice comes from, beside what is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Files of hints.
    pub hints: Vec<PathBuf>,
    /// Files of suppressions.
    pub suppressions: Vec<PathBuf>,
    /// Whether to do without the suppressions that are built in. Hints that are built in are always there.
    pub no_default_suppressions: bool,
}

/// Hints and suppressions for reports.
#[derive(Clone, Debug)]
pub struct Advice {
    hints: Hints,
    suppressions: Suppressions,
}

impl Advice {
    /// Reads what is built in and what is in files. Where hints of two files are about the same finding, the file that
    /// is named later wins.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, or is not in its form: the file, the line and what is wrong there.
    pub fn read(sources: &Sources) -> anyhow::Result<Advice> {
        let mut advice = Advice {
            hints: Hints::built_in(),
            suppressions: match sources.no_default_suppressions {
                true => Suppressions::default(),
                false => Suppressions::built_in(),
            },
        };
        for path in &sources.hints {
            let added = advice.hints.add(&text_of(path)?);
            added.with_context(|| format!("hints {}", path.display()))?;
        }
        for path in &sources.suppressions {
            let added = advice.suppressions.add(&text_of(path)?);
            added.with_context(|| format!("suppressions {}", path.display()))?;
        }
        Ok(advice)
    }

    /// Takes out what is suppressed, gives hints to the rest, folds what says nothing, and tells which of it is one
    /// problem.
    pub fn apply(&self, report: &mut Report) {
        self.suppressions.apply(report);
        self.hints.annotate(report);
        noise::fold(report);
        problems::tell(report);
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > MAX_FILE {
        bail!("{} is larger than {} MiB", path.display(), MAX_FILE >> 20);
    }
    Ok(text)
}
