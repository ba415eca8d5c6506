//! Unwind tables from ELF files: what the programs need to find callers without
//! frame pointers.
//!
//! Pure: the bytes of a file come in, a [`Table`] goes out. `build` has the order of the
//! steps: `elf` finds the call frame information, `code_segments` the code, `columns` runs
//! the instructions, `translate` turns a row into a [`Rule`], `functions` does that for all
//! functions, `cover` decides which function counts where several overlap, and `pages`
//! packs the rows. No file here uses one that uses it in turn. `finish` walks a stack with
//! such tables. Files are untrusted: all work and memory has a bound.
//!
//! [`Rule`]: leak_common::unwind::Rule

mod build;
mod code_segments;
mod columns;
mod cover;
mod elf;
mod error;
mod finish;
mod functions;
mod machine;
mod pages;
mod signal_return;
mod table;
#[cfg(test)]
mod tests;
mod translate;

pub use build::build;
pub use error::TableError;
pub use finish::{Lookup, finish};
pub use table::{PageRows, Statistics, Table};
