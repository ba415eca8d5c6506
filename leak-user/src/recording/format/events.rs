//! Events other than acquisitions and releases, failed calls and notices: a record each, fields one behind the
//! other.

use super::{
    fields::{Field, field_by_field},
    kinds,
    wire::Cursor,
};
use crate::{
    analysis::Input,
    event::{
        CodeMapped, Event, Executed, Failed, Forked, Interpreted, Notice, RangeReleased, Remapped,
        Site, StackSample, Uncovered, Unfinished,
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
    StackSample {
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
        Event::Acquired(_) | Event::Released(_) => {
            unreachable!("the encoder has its own way for these")
        }
    }
}

/// Appends a failed call's fields; returns its kind of record and its time.
pub(super) fn put_failed(out: &mut Vec<u8>, failed: &Failed) -> (u8, Nanos) {
    (fields(out, kinds::FAILED, failed), failed.time)
}

/// Appends a notice's fields; returns its kind of record and its time.
pub(super) fn put_notice(out: &mut Vec<u8>, notice: &Notice) -> (u8, Nanos) {
    let kind = match notice {
        Notice::CodeMapped(mapped) => fields(out, kinds::CODE_MAPPED, mapped),
        Notice::Interpreted(walked) => fields(out, kinds::INTERPRETED, walked),
        Notice::StackSample(snapshot) => fields(out, kinds::STACK_SAMPLE, &**snapshot),
        Notice::Unfinished(stack) => fields(out, kinds::UNFINISHED, &**stack),
    };
    (kind, notice.time())
}

fn fields(out: &mut Vec<u8>, kind: u8, fields: &impl Field) -> u8 {
    fields.put(out);
    kind
}

/// The event, failed call or notice in a record of `kind`. `None` where the kind is of none of them, or the fields
/// are not what this version knows.
pub(super) fn get(kind: u8, payload: &[u8]) -> Option<Input> {
    let from = &mut Cursor::new(payload);
    Some(match kind {
        kinds::SITE => Input::Event(Event::Site(Site::get(from)?)),
        kinds::RANGE_RELEASED => Input::Event(Event::RangeReleased(RangeReleased::get(from)?)),
        kinds::REMAPPED => Input::Event(Event::Remapped(Remapped::get(from)?)),
        kinds::FORKED => Input::Event(Event::Forked(Forked::get(from)?)),
        kinds::EXECUTED => Input::Event(Event::Executed(Executed::get(from)?)),
        kinds::EXITED => Input::Event(Event::Exited {
            time: Field::get(from)?,
            process: Field::get(from)?,
        }),
        kinds::UNCOVERED => Input::Event(Event::Uncovered {
            time: Field::get(from)?,
            process: Field::get(from)?,
            cause: Uncovered::get(from)?,
        }),
        kinds::FAILED => Input::Failed(Failed::get(from)?),
        kinds::CODE_MAPPED => Input::Notice(Notice::CodeMapped(CodeMapped::get(from)?)),
        kinds::INTERPRETED => Input::Notice(Notice::Interpreted(Interpreted::get(from)?)),
        kinds::STACK_SAMPLE => {
            Input::Notice(Notice::StackSample(Box::new(StackSample::get(from)?)))
        }
        kinds::UNFINISHED => Input::Notice(Notice::Unfinished(Box::new(Unfinished::get(from)?))),
        _ => return None,
    })
}
