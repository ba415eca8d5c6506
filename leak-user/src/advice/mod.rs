//! What people know beside what was traced: hints and suppressions, built in and from
//! files, put on a finished report in one place.

pub mod hints;
pub mod pattern;
pub mod suppressions;

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};

use crate::{
    advice::{hints::Hints, suppressions::Suppressions},
    cli::AdviceOptions,
    model::report::Report,
};

/// Most bytes of a file.
const MAX_FILE: u64 = 4 << 20;

/// Hints and suppressions for reports.
#[derive(Clone, Debug)]
pub struct Advice {
    hints: Hints,
    suppressions: Suppressions,
}

impl Advice {
    /// What is built in and what is in files. Of hints a file that is named later goes
    /// before one that is named earlier.
    ///
    /// # Errors
    /// Where a file can not be read, or is not in its form: the file, the line and what
    /// is wrong there.
    pub fn read(options: &AdviceOptions) -> anyhow::Result<Advice> {
        let mut advice = Advice {
            hints: Hints::built_in(),
            suppressions: match options.no_default_suppressions {
                true => Suppressions::default(),
                false => Suppressions::built_in(),
            },
        };
        for path in &options.hints {
            let added = advice.hints.add(&text_of(path)?);
            added.with_context(|| format!("hints {}", path.display()))?;
        }
        for path in &options.suppressions {
            let added = advice.suppressions.add(&text_of(path)?);
            added.with_context(|| format!("suppressions {}", path.display()))?;
        }
        Ok(advice)
    }

    /// Takes out what is suppressed, and gives hints to the rest.
    pub fn apply(&self, report: &mut Report) {
        self.suppressions.apply(report);
        self.hints.annotate(report);
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    read.with_context(|| format!("can not read {}", path.display()))?;
    if text.len() as u64 > MAX_FILE {
        bail!("{} is larger than {} MiB", path.display(), MAX_FILE >> 20);
    }
    Ok(text)
}
