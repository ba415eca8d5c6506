//! The whole state as inputs, for a recording that begins in the middle of a trace: an
//! analysis that takes them goes on like the one that they came from.

use leak_common::ProcessId;

use super::{Analysis, Beginning, Input, SavedAnalysis};

impl Analysis {
    /// The beginning and the first inputs of a recording that goes on from here.
    #[must_use]
    pub fn checkpoint(&self, part: u32) -> (Beginning, Vec<Input>) {
        let beginning = Beginning {
            from: self.latest,
            part,
            ..self.beginning.clone()
        };
        let mut saved: Vec<SavedAnalysis> = vec![SavedAnalysis::Latest(self.latest)];
        saved.extend(self.ledger.saved().into_iter().map(SavedAnalysis::Ledger));
        saved.extend(self.judge.saved().into_iter().map(SavedAnalysis::Judge));
        for (process, points) in self.histories.all() {
            saved.push(SavedAnalysis::History {
                process: process.0,
                points: points.to_vec(),
            });
        }
        let saved = saved.into_iter().map(Box::new).map(Input::Restored);
        let generated = self.judge.generated_code().into_iter();
        let generated = generated.map(|code| Input::GeneratedCode(Box::new(code)));
        let failures = self.failures.all().map(Box::new).map(Input::FirstFailure);
        // Uses come behind the shared limits: telling those adds a sample, and what was
        // saved replaces it.
        let uses = self.uses.saved().map(Box::new).map(Input::Restored);
        let inputs = saved
            .chain(self.knowledge.retold())
            .chain(generated)
            .chain(failures)
            .chain(uses);
        let inputs = inputs.collect();
        (beginning, inputs)
    }

    pub(super) fn restore(&mut self, saved: &SavedAnalysis) {
        match saved {
            SavedAnalysis::Ledger(part) => self.ledger.restore(part),
            SavedAnalysis::Judge(part) => self.judge.restore(part),
            SavedAnalysis::History { process, points } => {
                self.histories.restore(ProcessId(*process), points);
            }
            SavedAnalysis::Uses { .. } | SavedAnalysis::SharedUse { .. } => {
                self.uses.restore(saved)
            }
            SavedAnalysis::Latest(time) => self.latest = self.latest.max(*time),
        }
    }
}
