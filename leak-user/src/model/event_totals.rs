//! How many events there were, and what is missing among them.

use serde::Serialize;

/// Sums over events that were read or written. Their JSON is part of the last line of the events as JSON lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventTotals {
    /// Events that were read, or written so far.
    pub events: u64,
    /// Records that are damaged, of a newer version, or lost during the trace; at least one for each place of damage.
    pub lost: u64,
    /// The first places of damage or causes of loss, each in a sentence.
    pub uncovered: Vec<String>,
}
