//! The whole state as inputs, for a recording that begins in the middle of a trace: an
//! analysis that takes them goes on like the one that they came from.

use leak_common::ProcessId;

use super::{Analysis, Beginning, Input, Restored};

impl Analysis {
    /// The beginning and the first inputs of a recording that goes on from here.
    #[must_use]
    pub fn checkpoint(&self, part: u32) -> (Beginning, Vec<Input>) {
        let beginning = Beginning {
            from: self.latest,
            part,
            ..self.beginning.clone()
        };
        let mut restored: Vec<Restored> = vec![Restored::Latest(self.latest)];
        restored.extend(self.ledger.pieces().into_iter().map(Restored::Ledger));
        restored.extend(self.judge.saved().into_iter().map(Restored::Judge));
        for (process, points) in self.histories.all() {
            restored.push(Restored::History {
                process: process.0,
                points: points.to_vec(),
            });
        }
        let restored = restored.into_iter().map(Box::new).map(Input::Restored);
        let failures = self.failures.all().map(Box::new).map(Input::Failed);
        // Behind the shared limits, of which it would be one sample more to tell them.
        let uses = self.uses.kept().map(Box::new).map(Input::Restored);
        let inputs = restored
            .chain(self.knowledge.retold())
            .chain(failures)
            .chain(uses);
        let inputs = inputs.collect();
        (beginning, inputs)
    }

    pub(super) fn restore(&mut self, restored: &Restored) {
        match restored {
            Restored::Ledger(piece) => self.ledger.restore(piece),
            Restored::Judge(saved) => self.judge.restore(saved),
            Restored::History { process, points } => {
                self.histories.restore(ProcessId(*process), points);
            }
            Restored::Uses { .. } | Restored::SharedUse { .. } => self.uses.restore(restored),
            Restored::Latest(time) => self.latest = self.latest.max(*time),
        }
    }
}
