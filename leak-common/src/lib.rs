//! What the kernel side and the user side of leaktrace agree on: kinds of
//! resource, the table of system calls, the records of the ring buffer, the
//! configuration of the programs, counters and limits.
//!
//! No code of either side lives here, and nothing allocates.
#![no_std]

pub mod config;
pub mod counter;
pub mod identity;
pub mod kind;
pub mod limits;
mod numbered;
pub mod requests;
pub mod syscalls;
pub mod unwind;
pub mod wire;

pub use config::Config;
pub use counter::Counter;
pub use identity::{Handle, ProcessId};
pub use kind::{Class, Kind, KindSet};
