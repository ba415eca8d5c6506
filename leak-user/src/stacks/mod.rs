//! All that turns the registers of a thread into the names of functions.
//!
//! [`unwind`] builds tables from the bytes of files and is pure: no files, no clock, no
//! `/proc`. [`tables`] keeps such tables in the maps of the programs. [`runtimes`] reads the
//! frames of interpreters and merges them with native ones. [`symbolize`] names native
//! addresses. `tables`, `runtimes` and `symbolize` read processes through [`crate::proc`].

mod mapped_code;
pub mod runtimes;
pub mod symbolize;
pub mod tables;
pub mod unwind;

pub use mapped_code::MappedCode;
