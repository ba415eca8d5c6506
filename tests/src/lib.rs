//! Builds victims, runs the tracer beside them, reads its report.
//!
//! The tests know the tracer by its command line and its JSON report alone:
//! [`report`] reads the documented keys, not the tracer's own types. They load
//! real programs into the real kernel and therefore need root; `cargo xtask test`
//! builds the binary first.

pub mod bpf;
pub mod browser;
pub mod compile;
pub mod duckdb;
pub mod proc;
pub mod report;
pub mod rows;
pub mod stacks;
pub mod tracer;
pub mod victim;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use report::Report;
pub use tracer::{Ran, Tracer};
pub use victim::Victim;

/// How long anything may take that should be a matter of moments: generous,
/// since a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Held by each test: tracers and loads would disturb each other's timing.
///
/// # Panics
/// Where the test does not run as root.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "these tests need root");
    // A test that failed while it held the lock says nothing about the next one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the condition holds; whether it came to that within [`PATIENCE`].
#[must_use]
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Lets what was just acquired grow old. With `--nursery 200ms` it counts once it
/// has lived that long and a scan (every 300 ms at most) has come by; nothing
/// outside the tracer shows when that has happened, hence a time and no condition.
pub fn grow_old() {
    std::thread::sleep(Duration::from_millis(900));
}

/// The nursery that [`grow_old`] goes with.
pub const BRIEF_NURSERY: [&str; 2] = ["--nursery", "200ms"];
