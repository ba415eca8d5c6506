//! What the commands that trace share: the plan, the runtime, the end, and the summary of a recording.

use std::time::Duration;

use super::{Failure, escape_lines};
use crate::{
    cli::{Cli, Selection},
    model::escape::escape,
    recording::{format, writer::Summary},
    stacks::tables::default_memory,
    trace::{Outcome, Plan},
};

/// Prints a summary of the recording. Returns `false` if it ended with an error.
pub(super) fn told(summary: &Summary, waited: bool) -> bool {
    let names: Vec<String> = summary
        .files
        .iter()
        .map(|path| escape(&path.to_string_lossy()))
        .collect();
    if let Some(error) = &summary.error {
        eprintln!("leaktrace: {}", escape_lines(error));
        return false;
    }
    match (names.as_slice(), waited) {
        ([], true) => eprintln!("no trigger fired, so nothing was written"),
        ([], false) => eprintln!("recorded {} records", summary.records),
        (names, _) => eprintln!(
            "recorded {} records, {} bytes, in {}",
            summary.records,
            summary.bytes,
            names.join(", ")
        ),
    }
    if summary.lost > 0 {
        eprintln!(
            "{} records are missing from the recording; its report counts them as lost",
            summary.lost
        );
    }
    if summary.is_full {
        eprintln!("the recording reached --max-size and ended; it is complete");
    }
    if let Some(chain) = &summary.chain {
        eprintln!("chain {}", format::hexadecimal(chain));
    }
    true
}

/// The parts of the plan that are the same for every command.
pub(super) fn plan(
    cli: &Cli,
    selection: &Selection,
    pids: Vec<u32>,
    command: Vec<std::ffi::OsString>,
) -> Plan {
    Plan {
        pids,
        comms: selection.comms.clone(),
        cgroup: selection.cgroup.clone(),
        kinds: selection.kinds(),
        command,
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

pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Waits for the traced command; returns its exit code, which becomes ours.
pub(super) fn end(
    runtime: tokio::runtime::Runtime,
    outcome: &mut Outcome,
) -> Result<Option<u8>, Failure> {
    let code = match &mut outcome.child {
        // The trace ended before the command: it goes on.
        Some(child) => Some(runtime.block_on(child.wait())?),
        None => outcome.exit_code,
    };
    // Threads that read a file on a dead network mount are not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(code)
}
