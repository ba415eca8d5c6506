//! What a trace is asked for.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use leak_common::KindSet;

use crate::{
    kernel,
    model::resource_limit::ResourceLimit,
    recording::writer::{self, Trigger},
};

/// What to trace, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Processes to trace, with the descendants they will have; empty for all.
    pub pids: Vec<u32>,
    /// Names of processes to trace; empty for all.
    pub comms: Vec<String>,
    /// Control group (version 2) to trace; none for all.
    pub cgroup: Option<PathBuf>,
    /// Kinds to trace.
    pub kinds: KindSet,
    /// Command to start and trace; empty for none.
    pub command: Vec<OsString>,
    /// Limits that the command is started with.
    pub limits: Vec<ResourceLimit>,
    /// When to end at the latest; `None` at a signal, or with what was chosen.
    pub duration: Option<Duration>,
    /// Time between the samples that verdicts rest on.
    pub interval: Duration,
    /// Age from which a resource is old.
    pub nursery: Duration,
    /// Bytes of the ring buffer.
    pub ring_bytes: u32,
    /// Every acquisition and release goes through the ring.
    pub all_events: bool,
    /// No stacks are taken.
    pub no_stacks: bool,
    /// Kernel memory for unwind tables in bytes.
    pub stack_memory: u64,
    /// Where and how to record.
    pub record: Option<writer::Options>,
    /// What makes the recording write its past.
    pub triggers: Vec<Trigger>,
    /// The recording is all that is wanted: the trace ends with it.
    pub only_record: bool,
    /// Whether the programs log.
    pub verbose: bool,
    /// Whether progress may be drawn on standard error.
    pub progress: bool,
}

impl Plan {
    /// What the kernel side is asked for.
    pub(super) fn options(&self) -> kernel::Options {
        kernel::Options {
            kinds: self.kinds,
            ring_bytes: self.ring_bytes,
            by_pid: !self.pids.is_empty(),
            comms: self.comms.clone(),
            cgroup: self.cgroup.clone(),
            follow_own_children: !self.command.is_empty(),
            prompt: !self.command.is_empty(),
            all_events: self.all_events,
            stack_memory: self.stack_memory,
            no_stacks: self.no_stacks,
            stack_samples: false,
            verbose: self.verbose,
        }
    }
}
