//! A module of a crate as it is written: its names and every path in it, with the line where it stands.

use std::collections::{BTreeMap, BTreeSet};

/// A path with the name of each segment.
pub(super) type Segments = Vec<String>;

/// A module, in a file of its own or inline.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) path: Segments,
    /// Relative to the directory of the crate's root.
    pub(super) file: String,
    pub(super) mentions: Vec<Mention>,
    pub(super) children: BTreeSet<String>,
    /// What names that `use` brings in stand for.
    pub(super) names: BTreeMap<String, Written>,
    /// What is brought in by `use PATH::*`.
    pub(super) globs: Vec<Written>,
}

/// A path as it is written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) segments: Segments,
    /// `::std::fs`: the first segment is a crate.
    pub(super) absolute: bool,
}

/// A path in the text of a module.
#[derive(Clone, Debug)]
pub(super) struct Mention {
    pub(super) path: Written,
    pub(super) line: usize,
    /// `use PATH::*`.
    pub(super) is_glob: bool,
    /// It stands in a `use`, which is where a name comes from.
    pub(super) is_use: bool,
}
