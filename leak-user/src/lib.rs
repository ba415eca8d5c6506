//! leaktrace finds resource leaks across a whole Linux host.

pub mod bpf;
pub mod cli;
pub mod decode;
pub mod doctor;
pub mod event;
pub mod judge;
pub mod ledger;
pub mod output;
pub mod proc;
pub mod report;
pub mod source;
pub mod symbolize;
pub mod trace;
