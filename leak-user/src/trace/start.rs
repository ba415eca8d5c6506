//! The start of a trace. The kernel verifies the programs and `/proc` is read, which takes seconds on a slow or large
//! host: a signal ends it at once, and who waits is told for what.

use std::{cell::Cell, time::Duration};

use super::{Plan, TraceError, engine::Engine, signals::Interrupts};
use crate::{
    kernel::{self, Tracer},
    proc::Proc,
};

/// A start that is not done after this time says what it does.
const PATIENCE: Duration = Duration::from_secs(1);

const CHECKING: &str = "the kernel checks the programs";
const READING: &str = "reading from /proc what each process holds";

/// Loads the programs, attaches them and takes the baseline.
///
/// # Errors
/// See [`TraceError`]; [`Aborted`](TraceError::Aborted) at the first signal: nothing was traced that a report could tell.
/// The kernel may then still be busy with a program: whoever owns the runtime must not wait for its threads.
pub(super) async fn start(
    plan: &Plan,
    proc: Proc,
    interrupts: &mut Interrupts,
) -> Result<Engine, TraceError> {
    let step = Cell::new(CHECKING);
    let starting = async {
        let options = plan.options();
        let loaded = tokio::task::spawn_blocking(move || Tracer::load(&options)).await;
        let mut tracer = loaded.map_err(|error| TraceError::Other(error.into()))??;
        if plan.verbose {
            kernel::forward_logs(&mut tracer)?;
        }
        step.set(READING);
        Engine::start(tracer, proc, plan).await
    };
    let waiting = async {
        let mut told = "";
        loop {
            tokio::time::sleep(PATIENCE).await;
            if step.get() != told {
                told = step.get();
                eprintln!("still starting: {told}");
            }
        }
    };
    tokio::select! {
        biased;
        _ = interrupts.next() => Err(TraceError::Aborted),
        started = starting => started,
        () = waiting => unreachable!("it has no end"),
    }
}
