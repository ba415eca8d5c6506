//! The plan of a trace, from the options that all commands that trace share.

use std::ffi::OsString;

use crate::{
    cli::{Cli, Selection},
    stacks::tables::default_memory,
    trace::Plan,
};

/// A plan that records nothing and ends with a report; the commands change what they have options for.
pub(super) fn plan(
    cli: &Cli,
    selection: &Selection,
    pids: Vec<u32>,
    command: Vec<OsString>,
) -> Plan {
    Plan {
        pids,
        comms: selection.comms.clone(),
        cgroup: selection.cgroup.clone(),
        kinds: selection.kinds(),
        command,
        limits: Vec::new(),
        duration: selection.duration,
        interval: selection.interval(),
        nursery: selection.nursery,
        ring_bytes: selection.ring_size,
        all_events: false,
        no_stacks: selection.no_stacks,
        stack_memory: selection.stack_memory.unwrap_or_else(default_memory),
        record: None,
        triggers: Vec::new(),
        only_record: false,
        verbose: cli.verbose > 0,
        progress: cli.verbose == 0,
    }
}
