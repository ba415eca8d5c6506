//! The vocabulary of the whole program: what a report, a comparison of two and the doctor say, and the names, times and
//! handles in them. It imports nothing of ours, and everything may import it.

pub mod address;
pub mod diff;
pub mod doctor;
pub mod escape;
pub mod event_totals;
pub mod facts;
pub mod file_name;
pub mod frames;
pub mod handle;
pub(crate) mod hash;
pub mod hex;
pub mod loss;
pub mod problem;
pub mod refusal;
pub mod report;
pub mod resource_limit;
#[cfg(test)]
pub(crate) mod sample;
pub mod site;
pub mod size;
pub mod time;
pub mod who;
