//! The ledger against naive models, fed by a kernel side that cancels what dies
//! young, promotes late and forgets what it promoted.
#![allow(clippy::unwrap_used, reason = "tests")]

mod claims;
mod descriptors;
mod kernel;
mod mappings;

use leak_common::ProcessId;

/// The n-th process of a test.
fn process(number: u32) -> ProcessId {
    ProcessId::new(number + 1, 1)
}
