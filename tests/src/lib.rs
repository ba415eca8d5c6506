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
pub mod wait;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use report::Report;
pub use tracer::{Ran, Tracer};
pub use victim::Victim;
pub use wait::{BRIEF_NURSERY, PATIENCE, be_taken_over, eventually, grow_old};

static TURNS: RwLock<()> = RwLock::new(());

/// Held by a test that no other may run beside: it traces the whole host or all that the
/// tests start, or it keeps the machine busy.
///
/// # Panics
/// Where the test does not run as root.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    assert_root();
    // A test that failed while it held the lock says nothing about the next one.
    TURNS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by all other tests: they trace processes of their own, and bear what others do.
///
/// # Panics
/// Where the test does not run as root.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    assert_root();
    TURNS.read().unwrap_or_else(PoisonError::into_inner)
}

fn assert_root() {
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "these tests need root");
}
