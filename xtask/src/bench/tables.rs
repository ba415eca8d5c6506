//! What leaktrace says of its unwind tables at the end of a trace.

use std::collections::HashMap;

use leak_common::unwind::{Page, Row};

/// Figures of one trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    /// Files with tables.
    pub(super) files: f64,
    /// Rows of all tables.
    pub(super) rows: f64,
    /// Kernel memory for rows and directory that is in use, in bytes.
    pub(super) bytes: f64,
    /// Processor time that building them took, in seconds.
    pub(super) seconds: f64,
}

impl Figures {
    /// From a line of its log; `None` where that tells something else.
    pub(super) fn parse(line: &str) -> Option<Figures> {
        let (_, pairs) = line.split_once("unwind tables: ")?;
        let pairs: HashMap<&str, f64> = pairs
            .split_whitespace()
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name, value.parse().ok()?))
            })
            .collect();
        let get = |name| pairs.get(name).copied();
        let (rows, pages) = (get("rows")?, get("pages")?);
        Some(Figures {
            files: get("files")?,
            rows,
            bytes: rows * size_of::<Row>() as f64 + pages * size_of::<Page>() as f64,
            seconds: get("seconds_busy")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_a_line_of_the_log() {
        let line = "2026-01-01T00:00:00Z DEBUG leak_user::stacks::tables: unwind tables: files=420 rows=1000 row_capacity=2000 \
                    pages=50 rules=35 evicted=0 seconds_busy=7.57";
        assert_eq!(
            Figures::parse(line),
            Some(Figures {
                files: 420.0,
                rows: 1000.0,
                bytes: 4400.0,
                seconds: 7.57,
            })
        );
    }

    #[test]
    fn other_lines_have_none() {
        assert_eq!(Figures::parse("unwind tables: files=420"), None);
        assert_eq!(
            Figures::parse("files=1 rows=1 pages=1 seconds_busy=1"),
            None
        );
        assert_eq!(Figures::parse(""), None);
    }
}
