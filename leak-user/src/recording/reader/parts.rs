//! The parts of a recording: their order, the one that a report is made of, and what is
//! damaged in the others.

use std::io::Read;

use super::{Query, QueryError, Source};
use crate::{
    analysis::Beginning,
    recording::format::{Damage, Reader},
};

/// A part of a recording, read up to the end of its beginning.
pub(super) struct Part<R: Read> {
    pub(super) name: String,
    pub(super) reader: Reader<R>,
    /// `None` where it is damaged.
    pub(super) beginning: Option<Beginning>,
    pub(super) is_being_written: bool,
}

/// Whether this is no damage: the file has no end yet because it is being written.
pub(super) fn is_unfinished(is_being_written: bool, damage: &Damage) -> bool {
    is_being_written && damage.is_early_end()
}

/// Opens the parts of one recording; returns them oldest first.
pub(super) fn open<R: Read>(sources: Vec<Source<R>>) -> Result<Vec<Part<R>>, QueryError> {
    let mut parts = Vec::new();
    for source in sources {
        let Source {
            name,
            content,
            is_being_written,
        } = source;
        let reader = Reader::new(content).map_err(|error| QueryError::Read {
            name: name.clone(),
            error,
        })?;
        let beginning = reader.beginning().cloned();
        parts.push(Part {
            name,
            reader,
            beginning,
            is_being_written,
        });
    }
    parts.sort_by_key(|part| part.beginning.as_ref().map_or(0, |one| one.part));
    let same = |a: &Beginning, b: &Beginning| {
        (&a.host, a.started, a.started_at) == (&b.host, b.started, b.started_at)
    };
    for pair in parts.windows(2) {
        if let (Some(one), Some(other)) = (&pair[0].beginning, &pair[1].beginning)
            && !same(one, other)
        {
            return Err(QueryError::Mixed {
                one: pair[0].name.clone(),
                other: pair[1].name.clone(),
            });
        }
    }
    Ok(parts)
}

/// The parts that are missing between those that there are, oldest first: a sentence for each gap.
pub(super) fn missing<R: Read>(parts: &[Part<R>]) -> Vec<String> {
    let numbers = parts
        .iter()
        .filter_map(|part| Some((&part.name, part.beginning.as_ref()?.part)));
    let numbers: Vec<(&String, u32)> = numbers.collect();
    let gaps = numbers.windows(2).filter_map(|pair| {
        let ((name, before), (next, after)) = (pair[0], pair[1]);
        let which = match (before.checked_add(1)?, after.checked_sub(1)?) {
            (first, last) if first > last => return None,
            (first, last) if first == last => format!("part {first} is"),
            (first, last) => format!("parts {first} to {last} are"),
        };
        Some(format!(
            "{which} missing between {name} and {next}: what happened then is known only as far as \
             later parts repeat it"
        ))
    });
    gaps.collect()
}

/// Takes out the part to make the report of. Each part begins with all that was known,
/// so the last one that begins before the latest time asked for has everything.
pub(super) fn choose<R: Read>(
    parts: &mut Vec<Part<R>>,
    query: &Query,
) -> Result<Part<R>, QueryError> {
    let is_early = |part: &Part<R>| {
        let beginning = part.beginning.as_ref();
        beginning.is_none_or(|beginning| beginning.from <= query.latest(beginning))
    };
    if parts.is_empty() {
        return Err(QueryError::Times("there is no file".to_owned()));
    }
    let chosen = parts.iter().rposition(is_early).unwrap_or(0);
    Ok(parts.remove(chosen))
}

impl<R: Read> Part<R> {
    /// What is wrong with a part that the report does not rest on, in one sentence.
    pub(super) fn damage(self) -> Option<String> {
        let (mut first, mut places) = (None, 0_u64);
        let is_being_written = self.is_being_written;
        let read = self.reader.check(|damage| {
            if !is_unfinished(is_being_written, &damage) {
                first.get_or_insert(damage);
                places += 1;
            }
        });
        let what = match (read, first) {
            (Err(error), _) => error.to_string(),
            (Ok(()), None) => return None,
            (Ok(()), Some(damage)) if places == 1 => damage.to_string(),
            (Ok(()), Some(damage)) => format!("{damage}; and {} more places", places - 1),
        };
        Some(format!(
            "{} (not needed for this report): {what}",
            self.name
        ))
    }
}
