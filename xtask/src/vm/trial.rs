//! How a kernel did: an outcome for each step, with what its check has to say.

use super::kernels::Series;

/// What a check has to say.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// A few words.
    pub(crate) summary: String,
    /// Lines for a reader.
    pub(crate) notes: Vec<String>,
    /// A line for each thing that is wrong; none where all is well.
    pub(crate) failures: Vec<String>,
}

impl Findings {
    pub(crate) fn tell(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }
}

/// How a step went on a kernel.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) step: &'static str,
    pub(crate) seconds: f64,
    pub(crate) findings: Findings,
}

/// How a kernel did.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) kernel: Series,
    /// Seconds from starting the machine to its end.
    pub(crate) seconds: f64,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Trial {
    pub(crate) fn passed(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| outcome.findings.failures.is_empty())
    }
}
