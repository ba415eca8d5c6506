//! What the eBPF programs see, what they lose, and what they leave.

mod loss;
mod rows;
mod two_tracers;
mod uncovered;
