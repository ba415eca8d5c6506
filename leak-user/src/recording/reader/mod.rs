//! Reads recordings: into the report that the trace would have made, or event by event.
//! A report goes through the same analysis as a live trace, in memory that does not grow
//! with the file. What is damaged counts as lost, and is named. To open files, and to
//! show what comes out, is left to the commands.

mod events;
mod late_facts;
mod missed;
mod parts;
mod query;
mod report;

use std::io::Read;

use crate::{model::report::Report, recording::format::ReadError};

pub use events::Events;
pub use query::Query;

/// A file of a recording, and what messages call it.
pub struct Source<R> {
    pub name: String,
    pub content: R,
    /// A recorder is writing it at this moment, so that it has no end yet.
    pub is_being_written: bool,
}

/// Why a query has no answer.
#[derive(Debug)]
pub enum QueryError {
    /// A file cannot be read.
    Read { name: String, error: ReadError },
    /// The files are of different traces.
    Mixed { one: String, other: String },
    /// The times asked for are not in the recording, or in no order.
    Times(String),
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            QueryError::Read { name, error } => write!(f, "{name}: {error}"),
            QueryError::Mixed { one, other } => write!(
                f,
                "{one} and {other} are of different traces: a report is on one; ask for each by itself"
            ),
            QueryError::Times(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for QueryError {}

/// Makes the report on one recording, which may be in several files.
///
/// # Errors
/// See [`QueryError`].
pub fn report<R: Read>(sources: Vec<Source<R>>, query: &Query) -> Result<Report, QueryError> {
    let mut parts = parts::open(sources)?;
    let missing = parts::missing(&parts);
    let part = parts::choose(&mut parts, query)?;
    let mut report = report::of_part(part, query)?;
    report.health.uncovered.extend(missing);
    let damaged = parts.into_iter().filter_map(parts::Part::damage);
    report.health.uncovered.extend(damaged);
    Ok(report)
}
