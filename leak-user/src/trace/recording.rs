//! What a recording needs while it runs: whoever reads it after the tracer was killed
//! has names, limits and figures of the last interval. Bounded for each interval.

use leak_common::ProcessId;

use super::engine::Engine;
use crate::{
    analysis::Input,
    kernel::monotonic_now,
    ledger::{ProcessView, SiteKey},
    model::{report::Verdict, site::SiteId, time::Nanos},
    recording::writer::{Options, Recorder, Summary, Trigger},
};

/// What is looked up in an interval at most.
const STACKS: usize = 256;
const FACTS: usize = 256;
const LIMITS: usize = 32;

/// Resources described in an interval at most, beside those of chosen processes.
const DESCRIPTIONS: usize = 256;

/// How long that may take: the trace waits for it, and what is left comes later.
const LOOKING_UP: Nanos = 50_000_000;

/// Least time between two judgements for a trigger.
const JUDGE_AGAIN: Nanos = 5_000_000_000;

/// A recording that goes along with the trace.
pub(super) struct Recording {
    recorder: Recorder,
    triggers: Vec<Trigger>,
    judged: Nanos,
    described: usize,
}

impl Engine {
    /// Begins to record, if that is wanted.
    pub(super) fn start_recording(
        &mut self,
        options: Option<&Options>,
        triggers: &[Trigger],
    ) -> anyhow::Result<()> {
        if let Some(options) = options {
            let recorder = Recorder::start(options.clone(), self.analysis.beginning())?;
            self.recording = Some(Recording {
                recorder,
                triggers: triggers.to_vec(),
                judged: monotonic_now(),
                described: 0,
            });
        }
        Ok(())
    }

    /// The one way by which anything reaches the analysis, the recording and those
    /// who read events.
    pub(super) fn tell(&mut self, input: Input) {
        self.analysis.take(&input);
        if let Input::Event(event) = &input {
            self.write_event(event);
        }
        let Some(recording) = &mut self.recording else {
            return;
        };
        let refused = match &input {
            Input::Failed(failure) => Some(failure.error),
            _ => None,
        };
        recording.recorder.take(input);
        if recording.recorder.is_due() {
            self.send_recording();
        }
        if let Some(refusal) = refused {
            self.fire(|trigger| *trigger == Trigger::Refused(refusal));
        }
    }

    /// Has written what was told. What there is no room for is lost to the recording:
    /// everything is compared with /proc then.
    pub(super) fn send_recording(&mut self) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let lost = recording.recorder.send();
        if lost > 0 {
            tracing::error!(lost, "the recording cannot keep up");
            self.analysis.take(&Input::Lost(None));
        }
    }

    /// Inputs that are not in the recording.
    pub(super) fn lost_to_recording(&self) -> u64 {
        let recording = self.recording.as_ref();
        recording.map_or(0, |recording| recording.recorder.lost())
    }

    /// Whether the recording has its size, or can not go on.
    pub(super) fn recording_is_over(&self) -> bool {
        self.recording
            .as_ref()
            .is_some_and(|one| one.recorder.is_full() || one.recorder.has_failed())
    }

    /// Begins a new part where one is due, and writes what was told.
    pub(super) fn tick_recording(&mut self) {
        self.send_recording();
        let Some(recording) = &mut self.recording else {
            return;
        };
        if recording.recorder.wants_part() {
            let (beginning, state) = self.analysis.checkpoint(recording.recorder.next_part());
            recording.recorder.part(beginning, state);
        }
    }

    /// Whether a resource may be described for the recording in this interval.
    pub(super) fn may_describe_for_recording(&mut self) -> bool {
        match &mut self.recording {
            Some(recording) if recording.described < DESCRIPTIONS => {
                recording.described += 1;
                true
            }
            _ => false,
        }
    }

    /// Tells what a reader needs who has no more than what was told until now.
    pub(super) fn tell_for_recording(&mut self) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.described = 0;
        let until = monotonic_now() + LOOKING_UP;
        self.tell_new_stacks(until);
        let mut views: Vec<ProcessView> = self
            .ledger()
            .processes()
            .filter(|view| view.exited.is_none())
            .filter(|view| view.outstanding.total() + view.preexisting.total() > 0)
            .collect();
        views.sort_by_key(|view| (std::cmp::Reverse(view.outstanding.total()), view.id));
        let unknown: Vec<ProcessId> = views
            .iter()
            .map(|view| view.id)
            .filter(|id| self.analysis.facts(*id).is_none())
            .take(FACTS)
            .collect();
        for process in unknown {
            if monotonic_now() > until {
                break;
            }
            self.remember(process);
        }
        let host = self.proc.host_use();
        for view in views.iter().take(LIMITS) {
            if monotonic_now() > until {
                break;
            }
            self.tell_limits_of(view.id, &host);
        }
        let health = self.health();
        self.tell(Input::Health(Box::new(health)));
        self.check_triggers();
        self.tick_recording();
    }

    /// Names of the stacks of sites that hold something.
    fn tell_new_stacks(&mut self, until: Nanos) {
        let mut sites: Vec<SiteId> = self
            .ledger()
            .sites()
            .filter(|(_, record)| record.outstanding > 0 || record.held.is_some())
            .filter_map(|(key, _)| match key {
                SiteKey::Site(site) => Some(site),
                SiteKey::Unknown(..) => None,
            })
            .filter(|site| !self.analysis.has_stack(*site))
            .collect();
        sites.sort_unstable();
        for site in sites.into_iter().take(STACKS) {
            if monotonic_now() > until {
                return;
            }
            self.tell_stack(site);
        }
    }

    fn check_triggers(&mut self) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let now = monotonic_now();
        if recording.triggers.contains(&Trigger::Findings)
            && now.saturating_sub(recording.judged) >= JUDGE_AGAIN
        {
            recording.judged = now;
            let findings = self.analysis.findings(self.analysis.whole());
            if findings.iter().any(|found| found.verdict == Verdict::Leak) {
                self.fire(|trigger| *trigger == Trigger::Findings);
            }
        }
        let used = self.analysis.limits();
        let over: Vec<Trigger> = self
            .recording
            .iter()
            .flat_map(|recording| &recording.triggers)
            .filter(|trigger| match trigger {
                Trigger::Limit { resource, percent } => used.iter().any(|limit| {
                    let share = u128::from(limit.soft) * u128::from(*percent);
                    limit.resource == *resource && u128::from(limit.used) * 100 > share
                }),
                Trigger::Findings | Trigger::Refused(_) => false,
            })
            .cloned()
            .collect();
        self.fire(|trigger| over.contains(trigger));
    }

    /// Has the past written if one of the triggers that are waited for is meant.
    fn fire(&mut self, is: impl Fn(&Trigger) -> bool) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let Some(fired) = recording.triggers.iter().find(|trigger| is(trigger)) else {
            return;
        };
        eprintln!("{fired}: recording what led to it, and what follows");
        recording.triggers.clear();
        recording.recorder.fire();
    }

    /// Ends the recording.
    pub(super) fn finish_recording(&mut self) -> Option<Summary> {
        let recording = self.recording.take()?;
        Some(recording.recorder.finish())
    }
}
