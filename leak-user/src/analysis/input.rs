//! All that the analysis takes in. A live trace tells it these inputs one by one,
//! a recording is their sequence: so both come to the same report.

use leak_common::{Handle, Kind, KindSet, ProcessId};
use serde::{Deserialize, Serialize};

use super::FirstFailure;
use crate::{
    event::{Event, Failed, Notice, row::EventRow},
    judge::{GeneratedCode, LastUses, Observation, PoolUses, SavedJudge},
    ledger::{BaselineProcess, SavedLedger, Shown, SiteCounts},
    model::{
        facts::{Description, Facts},
        report::{Frame, Full, Health, Holder, Host, Limit, SharedLimit},
        site::SiteId,
        time::{Calendar, Nanos},
    },
};

/// Nanoseconds since the Unix epoch.
pub type Wall = u64;

/// What is known when a trace begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beginning {
    /// Version of the program that traced.
    pub version: String,
    pub host: Host,
    /// When the trace began, by both clocks.
    pub started: Nanos,
    pub started_at: Wall,
    /// When these inputs begin: later than the trace in all parts of a recording
    /// but the first.
    pub from: Nanos,
    /// Number of the part of a recording, 0 for the first.
    pub part: u32,
    /// Age in nanoseconds from which a resource is old.
    pub nursery: Nanos,
    /// Kinds traced, as the number of a [`KindSet`]: see [`Beginning::traced`].
    pub kinds: u32,
    /// What processes held when they exited is remembered.
    pub keep_exited: bool,
    /// Every acquisition is told, also of what is released young.
    pub all_events: bool,
}

impl Beginning {
    /// The kinds that were traced.
    #[must_use]
    pub fn traced(&self) -> KindSet {
        KindSet::from_bits(self.kinds)
    }

    /// How the two clocks relate.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let zero = i128::from(self.started_at) - i128::from(self.started);
        Calendar {
            monotonic_zero: i64::try_from(zero).unwrap_or(0),
        }
    }
}

/// A part of an analysis's state, for a recording that begins in the middle of a trace. All
/// parts come before anything else but uses: those come behind what is known of shared
/// limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedAnalysis {
    Ledger(SavedLedger),
    Judge(SavedJudge),
    /// What a process held at times.
    History {
        process: u64,
        points: Vec<(Nanos, u64)>,
    },
    /// The latest time that was told.
    Latest(Nanos),
    /// How much of its limits a process used at times.
    Uses {
        process: u64,
        descriptors: Vec<(Nanos, u64)>,
        /// Of earlier versions: what the kernel does not join is counted now, as shared use.
        #[serde(default)]
        mappings: Vec<(Nanos, u64)>,
    },
    /// How much of a shared limit was used at times.
    SharedUse {
        scope: String,
        resource: String,
        samples: Vec<(Nanos, u64)>,
    },
}

/// One thing that the analysis learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A part of the state at the time when these inputs begin.
    Restored(Box<SavedAnalysis>),
    /// What happened to resources and processes.
    Event(Event),
    /// A call that was refused, as it happened: for those who read single events. What became of it is
    /// [`Input::FirstFailure`].
    Failed(Failed),
    /// What concerned stacks alone. Live traces use it up at once; recordings may have it.
    Notice(Notice),
    /// What a process held when the trace began.
    Baseline(Box<BaselineProcess>),
    /// What `/proc` shows of a process.
    Compared {
        process: ProcessId,
        shown: Box<Shown>,
    },
    /// `/proc` does not show the process any more.
    Gone(ProcessId),
    /// Events of a process, or of any, were lost.
    Lost(Option<ProcessId>),
    /// All that was acquired until then has been told.
    Horizon(Nanos),
    /// What the kernel counts at a site.
    Counted { site: SiteId, counts: SiteCounts },
    /// An interval ends: what is outstanding now is noted.
    Sample(Nanos),
    /// Name, program and place of a process; the latest counts.
    Facts(ProcessId, Box<Facts>),
    /// A site's stack with names, innermost first; the latest counts.
    Stack { site: SiteId, frames: Vec<Frame> },
    /// What a resource was at a time.
    Described {
        time: Nanos,
        process: ProcessId,
        handle: Handle,
        kind: Kind,
        description: Box<Description>,
    },
    /// What a look at a process showed, for the judge.
    Observed(Box<Observation>),
    /// When resources of a site were used last, for the judge.
    LastUses(Box<LastUses>),
    /// Where a process has made code while it runs, for the judge; the latest counts.
    GeneratedCode(Box<GeneratedCode>),
    /// When the connections of a pool were used last, and by whom, for the judge.
    PoolUses(Box<PoolUses>),
    /// Who else held the same open file at a time; the latest counts.
    Shared {
        time: Nanos,
        process: ProcessId,
        handle: Handle,
        holders: Vec<Holder>,
    },
    /// The kernel refused something for the first time; the latest counts.
    FirstFailure(Box<FirstFailure>),
    /// The limits of a process, without times of exhaustion; the latest count.
    Limits(ProcessId, Vec<Limit>),
    /// The limits that processes share; the latest count.
    SharedLimits(Vec<SharedLimit>),
    /// What a process holds that is at a limit or near it; the latest counts. Without groups:
    /// it is not any more.
    Full(ProcessId, Box<Full>),
    /// What the kernel side has seen and lost so far; the latest counts.
    Health(Box<Health>),
    /// The trace ended, by both clocks.
    Ended { time: Nanos, wall: Wall },
}

impl Input {
    /// Whether it is one of the single events that [`Input::row`] has rows for.
    #[must_use]
    pub fn has_row(&self) -> bool {
        match self {
            Input::Event(_) | Input::Failed(_) => true,
            Input::Restored(_)
            | Input::Notice(_)
            | Input::Baseline(_)
            | Input::Compared { .. }
            | Input::Gone(_)
            | Input::Lost(_)
            | Input::Horizon(_)
            | Input::Counted { .. }
            | Input::Sample(_)
            | Input::Facts(..)
            | Input::Stack { .. }
            | Input::Described { .. }
            | Input::Observed(_)
            | Input::LastUses(_)
            | Input::GeneratedCode(_)
            | Input::PoolUses(_)
            | Input::Shared { .. }
            | Input::FirstFailure(_)
            | Input::Limits(..)
            | Input::SharedLimits(_)
            | Input::Full(..)
            | Input::Health(_)
            | Input::Ended { .. } => false,
        }
    }

    /// The row of a single event; `None` for what is none.
    #[must_use]
    pub fn row(&self, calendar: Calendar) -> Option<EventRow> {
        match self {
            Input::Event(event) => Some(EventRow::of(event, calendar)),
            Input::Failed(failed) => Some(EventRow::of_failed(failed, calendar)),
            other => {
                debug_assert!(!other.has_row(), "every input with a row is above");
                None
            }
        }
    }
}
