//! A recording that goes along with a trace, and what makes it write the past that it keeps in memory.

use crate::{
    analysis::{Analysis, Beginning, Input},
    kernel::monotonic_now,
    model::{report::Verdict, time::Nanos},
    recording::writer::{Options, Recorder, Summary, Trigger},
};

/// Resources described in an interval at most, beside those of chosen processes.
const DESCRIPTIONS: usize = 256;

/// Least time between two judgements for a trigger.
const JUDGE_AGAIN: Nanos = 5_000_000_000;

pub(super) struct Recording {
    recorder: Recorder,
    triggers: Vec<Trigger>,
    judged: Nanos,
    described: usize,
}

impl Recording {
    pub(super) fn start(
        options: &Options,
        triggers: &[Trigger],
        beginning: &Beginning,
    ) -> anyhow::Result<Recording> {
        Ok(Recording {
            recorder: Recorder::start(options.clone(), beginning)?,
            triggers: triggers.to_vec(),
            judged: monotonic_now(),
            described: 0,
        })
    }

    pub(super) fn take(&mut self, input: Input) {
        let refused = match &input {
            Input::FirstFailure(failure) => Some(failure.error),
            _ => None,
        };
        self.recorder.take(input);
        if let Some(refusal) = refused {
            self.fire(|trigger| *trigger == Trigger::Refused(refusal));
        }
    }

    /// Whether enough was taken to be written.
    pub(super) fn is_due(&self) -> bool {
        self.recorder.is_due()
    }

    /// Has written what was taken. Returns how much of it there was no room for.
    pub(super) fn write(&mut self) -> u64 {
        let lost = self.recorder.send();
        if lost > 0 {
            tracing::error!(lost, "the recording cannot keep up");
        }
        lost
    }

    /// Begins a new part where one is due: it starts with all that is known.
    pub(super) fn begin_part(&mut self, analysis: &Analysis) {
        if self.recorder.wants_part() {
            let (beginning, state) = analysis.checkpoint(self.recorder.next_part());
            self.recorder.part(beginning, state);
        }
    }

    pub(super) fn begin_interval(&mut self) {
        self.described = 0;
    }

    /// Whether one more resource may be described in this interval.
    pub(super) fn may_describe(&mut self) -> bool {
        let may = self.described < DESCRIPTIONS;
        self.described += usize::from(may);
        may
    }

    /// Inputs that are not in it.
    pub(super) fn lost(&self) -> u64 {
        self.recorder.lost()
    }

    /// Whether it has its size, or cannot go on.
    pub(super) fn is_over(&self) -> bool {
        self.recorder.is_full() || self.recorder.has_failed()
    }

    pub(super) fn finish(self) -> Summary {
        self.recorder.finish()
    }

    /// Looks whether a limit is used as much, or a leak was found, as a trigger says.
    pub(super) fn check_triggers(&mut self, analysis: &Analysis) {
        let now = monotonic_now();
        if self.triggers.contains(&Trigger::Findings)
            && now.saturating_sub(self.judged) >= JUDGE_AGAIN
        {
            self.judged = now;
            let findings = analysis.findings(analysis.whole());
            if findings.iter().any(|found| found.verdict == Verdict::Leak) {
                self.fire(|trigger| *trigger == Trigger::Findings);
            }
        }
        let limits = analysis.limits();
        self.fire(|trigger| match trigger {
            Trigger::Limit { resource, percent } => limits.iter().any(|limit| {
                let share = u128::from(limit.soft) * u128::from(*percent);
                limit.resource == *resource && u128::from(limit.used) * 100 > share
            }),
            Trigger::Findings | Trigger::Refused(_) => false,
        });
    }

    /// Has the past written if one of the triggers that are waited for is meant.
    fn fire(&mut self, is: impl Fn(&Trigger) -> bool) {
        let Some(fired) = self.triggers.iter().find(|trigger| is(trigger)) else {
            return;
        };
        eprintln!("{fired}: recording what led to it, and what follows");
        self.triggers.clear();
        self.recorder.fire();
    }
}
