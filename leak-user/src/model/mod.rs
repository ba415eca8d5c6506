//! The vocabulary of the whole program: what a report says, and the names, times and handles in it. It imports nothing
//! of ours, and everything may import it.

pub mod escape;
pub mod handle;
pub(crate) mod hash;
pub mod moment;
pub mod report;
#[cfg(test)]
pub(crate) mod sample;
