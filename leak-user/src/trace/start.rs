//! The start of a trace. The kernel verifies the programs and `/proc` is read, which takes seconds on a slow or large
//! host: a signal ends it at once, and who waits is told for what.

use std::time::Duration;

use super::{Plan, TraceError, engine::Engine, signals::Interrupts};
use crate::{
    kernel::{self, Tracer},
    proc::Proc,
};

/// A start that is not done after this time says what it does.
const PATIENCE: Duration = Duration::from_secs(1);

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
    let starting = async {
        let options = plan.options();
        let loaded = tokio::task::spawn_blocking(move || Tracer::load(&options)).await;
        let mut tracer = loaded.map_err(|error| TraceError::Other(error.into()))??;
        if plan.verbose {
            kernel::forward_logs(&mut tracer)?;
        }
        Engine::start(tracer, proc, plan).await
    };
    let waiting = async {
        tokio::time::sleep(PATIENCE).await;
        eprintln!(
            "still starting: the kernel checks the programs, then /proc tells what each process holds"
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        _ = interrupts.next() => Err(TraceError::Aborted),
        started = starting => started,
        () = waiting => unreachable!("it has no end"),
    }
}
