//! The one way by which anything that a trace learns reaches others: the analysis, the recording, and those who read
//! single events. Nothing else changes the analysis of a running trace, so a recording tells the same.

mod recording;
mod stream;

use std::collections::BTreeMap;

use leak_common::ProcessId;

use crate::{
    analysis::{Analysis, Beginning, Input},
    ledger::Ledger,
    model::{event_totals::EventTotals, facts::Facts, report::Frame, site::SiteId},
    output::EventOutput,
    recording::writer::{self, Summary, Trigger},
};
use recording::Recording;
use stream::Stream;

/// Where everything is told.
pub(super) struct Outlet {
    analysis: Analysis,
    recording: Option<Recording>,
    stream: Option<Stream>,
}

impl Outlet {
    pub(super) fn new(beginning: Beginning) -> Outlet {
        Outlet {
            analysis: Analysis::new(beginning),
            recording: None,
            stream: None,
        }
    }

    /// Begins to record as well.
    pub(super) fn record(
        &mut self,
        options: &writer::Options,
        triggers: &[Trigger],
    ) -> anyhow::Result<()> {
        let recording = Recording::start(options, triggers, self.analysis.beginning())?;
        self.recording = Some(recording);
        Ok(())
    }

    /// Begins to write single events as well.
    pub(super) fn write_events(&mut self, output: EventOutput) -> std::io::Result<()> {
        self.stream = Some(Stream::start(output, self.analysis.beginning())?);
        Ok(())
    }

    /// What was made of all that was told.
    pub(super) fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.analysis.ledger()
    }

    /// How often a process has executed a program: its generation.
    pub(super) fn generation(&self, process: ProcessId) -> u32 {
        self.ledger().generation(process)
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.analysis.take(&input);
        if let Some(stream) = &mut self.stream {
            stream.take(&input);
        }
        if let Some(recording) = &mut self.recording {
            recording.take(input);
            if recording.is_due() {
                self.write_recording();
            }
        }
    }

    /// Tells what is known of a process, unless that was told.
    pub(super) fn tell_facts(&mut self, process: ProcessId, facts: Facts) {
        let known = self.analysis.facts(process);
        if known.is_none_or(|known| !known.say_the_same(&facts)) {
            self.tell(Input::Facts(process, Box::new(facts)));
        }
    }

    /// Tells the stack of a site, unless that was told.
    pub(super) fn tell_stack(&mut self, site: SiteId, frames: Vec<Frame>) {
        if !self.analysis.knows_stack(site, &frames) {
            self.tell(Input::Stack { site, frames });
        }
    }

    /// Has the events written that were told until now.
    pub(super) fn write_out(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.send();
        }
    }

    /// Has written what was told to the recording. What there is no room for is lost to it: everything is compared with
    /// /proc then, so that what is told from there on can be trusted.
    pub(super) fn write_recording(&mut self) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        if recording.write() > 0 {
            self.analysis.take(&Input::Lost(None));
        }
    }

    /// Writes to the recording, and begins a new part of it where one is due.
    pub(super) fn tick(&mut self) {
        self.write_recording();
        if let Some(recording) = &mut self.recording {
            recording.begin_part(&self.analysis);
        }
    }

    /// Whether there is a recording, which needs names and limits before the trace ends.
    pub(super) fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Begins an interval of the recording: as much as in the last one may be described for it.
    pub(super) fn begin_interval(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.begin_interval();
        }
    }

    /// Whether one more resource may be described for the recording in this interval.
    pub(super) fn may_describe(&mut self) -> bool {
        self.recording.as_mut().is_some_and(Recording::may_describe)
    }

    /// Has the past recorded if what a trigger waits for is the case.
    pub(super) fn check_triggers(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.check_triggers(&self.analysis);
        }
    }

    /// Inputs that are not in the recording.
    pub(super) fn lost_to_recording(&self) -> u64 {
        self.recording.as_ref().map_or(0, Recording::lost)
    }

    /// Whether the recording has its size, or cannot go on.
    pub(super) fn recording_is_over(&self) -> bool {
        self.recording.as_ref().is_some_and(Recording::is_over)
    }

    /// Whether events were to be written and cannot be any more.
    pub(super) fn events_are_over(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_over)
    }

    /// Ends the recording.
    pub(super) fn finish_recording(&mut self) -> Option<Summary> {
        Some(self.recording.take()?.finish())
    }

    /// Writes the events that are left, and the last line, which says how much was lost by which cause. `None` where no
    /// events are written.
    pub(super) async fn finish_events(
        &mut self,
        mut lost: BTreeMap<String, u64>,
    ) -> Option<anyhow::Result<EventTotals>> {
        let stream = self.stream.take()?;
        // What the recording has lost, the lines have.
        lost.remove("recording");
        Some(stream.finish(lost).await)
    }
}
