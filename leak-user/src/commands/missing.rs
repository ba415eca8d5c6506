//! The message about events that could not be written.

use crate::model::{escape::escape, missing::Missing};

/// Prints how many records are missing, and the first reason.
pub(super) fn told_missing(missing: &Missing) {
    if missing.lost > 0 {
        let first = missing.uncovered.first().map_or("", String::as_str);
        eprintln!(
            "leaktrace: {} records are missing: {}",
            missing.lost,
            escape(first)
        );
    }
}
