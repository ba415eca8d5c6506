//! The commands, as their users call them.

mod diff;
mod faults;
mod run;
