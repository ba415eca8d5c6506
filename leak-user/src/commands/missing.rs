//! What is said of events that were written.

use crate::model::{escape::escape, missing::Missing};

/// Says what is missing among events that were written.
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
