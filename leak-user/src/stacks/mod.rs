//! All that turns the registers of a thread into the names of functions: unwind tables, the frames of interpreters,
//! symbols.

pub mod python;
pub mod symbolize;
pub mod tables;
pub mod unwind;
