//! leaktrace against real programs on the running kernel, as root. A module here holds the
//! module of `leak-user` with the same name to account; `README.md` beside has the promises.

#![allow(clippy::unwrap_used, reason = "tests")]

mod advice;
mod analysis;
mod commands;
mod judge;
mod kernel;
mod ledger;
mod output;
mod proc;
mod recording;
mod stacks;
mod trace;
mod victims;
