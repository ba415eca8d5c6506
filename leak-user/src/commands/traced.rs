//! A trace that a command waits for: the runtime that drives it, and what it leaves.

use std::{io, time::Duration};

use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::{
    output::EventOutput,
    trace::{Outcome, Plan, trace},
};

/// A trace that has ended. The command that it started may go on.
pub(super) struct Traced {
    runtime: Runtime,
    pub(super) outcome: Outcome,
}

impl Traced {
    /// Traces until the plan's end.
    pub(super) fn run(plan: &Plan, events: Option<EventOutput>) -> Result<Traced, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(trace(plan, events)) {
            Ok(outcome) => Ok(Traced { runtime, outcome }),
            Err(error) => {
                // A start that was given up may still wait for the kernel: it ends with the process.
                runtime.shutdown_background();
                Err(error.into())
            }
        }
    }

    /// Waits for the command, whose exit code becomes ours; `None` where there was none.
    pub(super) fn exit_code(mut self) -> io::Result<Option<u8>> {
        let code = match &mut self.outcome.child {
            // The trace ended before the command, which goes on.
            Some(child) => Some(self.runtime.block_on(child.wait())?),
            None => self.outcome.exit_code,
        };
        // A thread that reads a file on a dead network mount would never end: it is not waited for.
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(code)
    }
}
