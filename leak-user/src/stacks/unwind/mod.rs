//! Unwind tables from ELF files: what the programs need to find callers without
//! frame pointers.
//!
//! Pure: bytes of a file in, a [`Table`] out. `elf` finds the call frame information
//! and `code` the code, `columns` runs the instructions, `translate` turns a row into a
//! [`Rule`], `functions` does that for all functions, `cover` decides where they
//! overlap, and `pages` packs the rows. Files are untrusted: all work and memory is bounded.
//!
//! [`Rule`]: leak_common::unwind::Rule

mod code;
mod columns;
mod cover;
mod elf;
mod finish;
mod functions;
mod pages;
mod signal_return;
mod table;
#[cfg(test)]
mod tests;
mod translate;

pub use finish::{Code, finish};
pub use pages::PageRows;
pub use table::{Statistics, Table, TableError, build};
