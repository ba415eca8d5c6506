//! Recordings: what is in the file (`format`), what writes it beside a trace (`writer`), and what makes a report of it
//! (`reader`).

pub mod format;
pub mod reader;
pub mod writer;
