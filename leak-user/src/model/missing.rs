//! What is missing among events that were written or read.

use serde::Serialize;

/// How much of a recording was read, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Events that were read.
    pub events: u64,
    /// Records that are damaged or of a newer version; at least one for each place.
    pub lost: u64,
    /// The first places, each in a sentence.
    pub uncovered: Vec<String>,
}
