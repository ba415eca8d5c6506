//! The vocabulary of the whole program: what a report says, and the names, times and handles in it. It imports nothing
//! of ours, and everything may import it.

pub mod address;
pub mod escape;
pub mod facts;
pub mod file_name;
pub mod handle;
pub(crate) mod hash;
pub mod hex;
pub mod loss;
pub mod missing;
pub mod refusal;
pub mod report;
#[cfg(test)]
pub(crate) mod sample;
pub mod site;
pub mod time;
