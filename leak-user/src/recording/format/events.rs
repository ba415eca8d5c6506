//! Events other than acquisitions and releases, which are compact records: each is a
//! record of its fields, one behind the other.

use super::{
    fields::{Field, field_by_field},
    kinds,
    wire::Cursor,
};
use crate::{
    event::{
        CodeMapped, Event, Executed, Failed, Forked, Interpreted, RangeReleased, Remapped, Site,
        StackSnapshot, Uncovered, Unfinished,
    },
    model::time::Nanos,
};

field_by_field! {
    Site { time, process, kind, id, tid, frames, end }
    RangeReleased { time, process, class, first, last, unshare, close_on_exec, attachment }
    Remapped { time, process, old, old_length, new, new_length, site, keeps_old }
    Forked { time, parent, child, shares_files, shares_memory, comm }
    Executed { time, process, comm }
    CodeMapped { time, process, file, start, end, offset, wanted }
    Interpreted { time, process, site, layout, frames }
    StackSnapshot {
        time, process, tid, instruction, stack_pointer, frame_pointer, link, frames, end, memory,
    }
    Unfinished { time, process, kind, site, last, file, start, end, offset, memory }
    Failed { time, process, kind, site, size, call, error, tid }
}

/// Appends an event's fields; returns its kind of record and its time.
pub(super) fn put(out: &mut Vec<u8>, event: &Event) -> (u8, Nanos) {
    match event {
        Event::Site(site) => (fields(out, kinds::SITE, site), site.time),
        Event::RangeReleased(range) => (fields(out, kinds::RANGE_RELEASED, range), range.time),
        Event::Remapped(remapped) => (fields(out, kinds::REMAPPED, remapped), remapped.time),
        Event::Forked(forked) => (fields(out, kinds::FORKED, forked), forked.time),
        Event::Executed(executed) => (fields(out, kinds::EXECUTED, executed), executed.time),
        Event::Exited { time, process } => {
            time.put(out);
            (fields(out, kinds::EXITED, process), *time)
        }
        Event::Uncovered {
            time,
            process,
            cause,
        } => {
            time.put(out);
            process.put(out);
            (fields(out, kinds::UNCOVERED, cause), *time)
        }
        Event::CodeMapped(mapped) => (fields(out, kinds::CODE_MAPPED, mapped), mapped.time),
        Event::Interpreted(walked) => (fields(out, kinds::INTERPRETED, walked), walked.time),
        Event::Snapshot(snapshot) => (fields(out, kinds::SNAPSHOT, &**snapshot), snapshot.time),
        Event::Unfinished(stack) => (fields(out, kinds::UNFINISHED, &**stack), stack.time),
        Event::Failed(failed) => (fields(out, kinds::FAILED, failed), failed.time),
        Event::Acquired(_) | Event::Released(_) => {
            unreachable!("the encoder has its own way for these")
        }
    }
}

fn fields(out: &mut Vec<u8>, kind: u8, fields: &impl Field) -> u8 {
    fields.put(out);
    kind
}

/// The event in a record of `kind`. `None` where the kind is no event's, or the fields
/// are not what this version knows.
pub(super) fn get(kind: u8, payload: &[u8]) -> Option<Event> {
    let from = &mut Cursor::new(payload);
    Some(match kind {
        kinds::SITE => Event::Site(Site::get(from)?),
        kinds::RANGE_RELEASED => Event::RangeReleased(RangeReleased::get(from)?),
        kinds::REMAPPED => Event::Remapped(Remapped::get(from)?),
        kinds::FORKED => Event::Forked(Forked::get(from)?),
        kinds::EXECUTED => Event::Executed(Executed::get(from)?),
        kinds::EXITED => Event::Exited {
            time: Field::get(from)?,
            process: Field::get(from)?,
        },
        kinds::UNCOVERED => Event::Uncovered {
            time: Field::get(from)?,
            process: Field::get(from)?,
            cause: Uncovered::get(from)?,
        },
        kinds::CODE_MAPPED => Event::CodeMapped(CodeMapped::get(from)?),
        kinds::INTERPRETED => Event::Interpreted(Interpreted::get(from)?),
        kinds::SNAPSHOT => Event::Snapshot(Box::new(StackSnapshot::get(from)?)),
        kinds::UNFINISHED => Event::Unfinished(Box::new(Unfinished::get(from)?)),
        kinds::FAILED => Event::Failed(Failed::get(from)?),
        _ => return None,
    })
}
