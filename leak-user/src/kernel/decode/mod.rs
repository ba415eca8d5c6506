//! Bytes of the ring buffer to [`Message`]s. Takes nothing on trust: a record that is
//! too short or names what does not exist is counted as undecodable, never guessed.

mod fields;
mod stacks;
#[cfg(test)]
mod tests;

use leak_common::{
    Class, Handle, Kind, ProcessId,
    limits::MAX_RECEIVED,
    wire::{self, RecordType, acquired, forked, range},
};

use self::{
    fields::{Fields, file_key, handle},
    stacks::{interpreted, site, stack_sample, unfinished},
};
use crate::{
    event::{
        Acquired, Call, CodeMapped, Event, Executed, Failed, Forked, Message, Notice,
        RangeReleased, Released, Remapped, Uncovered,
    },
    model::{refusal::Refusal, site::SiteId},
};

/// Why a record could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It ends before its last field.
    Short,
    /// It names a type, kind, class or cause that does not exist.
    Unknown(&'static str, u32),
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Short => f.write_str("record ends early"),
            DecodeError::Unknown(what, number) => write!(f, "no {what} has the number {number}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Length of the prefix that a batch gives each record.
pub const PREFIX_BYTES: usize = 4;

/// Appends a record to a batch.
pub fn push_record(batch: &mut impl bytes::BufMut, record: &[u8]) {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    batch.put_u32_ne(length);
    batch.put_slice(record);
}

/// Decodes a batch: records, each behind its length (4 bytes, native). Calls
/// `each` for every message and returns how many records could not be decoded.
pub fn decode_batch(mut batch: &[u8], mut each: impl FnMut(Message)) -> u64 {
    let mut undecodable = 0;
    while !batch.is_empty() {
        let Some((prefix, rest)) = batch.split_first_chunk::<PREFIX_BYTES>() else {
            return undecodable + 1;
        };
        let length = u32::from_ne_bytes(*prefix) as usize;
        let Some((record, rest)) = rest.split_at_checked(length) else {
            return undecodable + 1;
        };
        if decode(record, &mut each).is_err() {
            undecodable += 1;
        }
        batch = rest;
    }
    undecodable
}

/// Decodes one record. Descriptors received over a socket are several acquisitions; every
/// other record is one message.
///
/// # Errors
/// The record is damaged. Nothing was passed to `each` then.
pub fn decode(record: &[u8], each: &mut impl FnMut(Message)) -> Result<(), DecodeError> {
    let mut fields = Fields(record);
    let record = fields.u32()?;
    let number = fields.u32()?;
    let time = fields.u64()?;
    let process = ProcessId(fields.u64()?);
    let record =
        RecordType::from_wire(record).ok_or(DecodeError::Unknown("record type", record))?;
    let kind = || Kind::from_wire(number).ok_or(DecodeError::Unknown("kind", number));
    let class = || Class::from_wire(number).ok_or(DecodeError::Unknown("class", number));
    let fields = &mut fields;
    let message: Message = match record {
        RecordType::Site => site(fields, time, process, kind()?)?.into(),
        RecordType::Acquired => acquired_event(fields, time, process, kind()?)?.into(),
        RecordType::Released => {
            class()?;
            released(fields, time, process)?.into()
        }
        RecordType::RangeReleased => range_released(fields, time, process, class()?)?.into(),
        RecordType::Remapped => {
            class()?;
            remapped(fields, time, process)?.into()
        }
        RecordType::Forked => forked_event(fields, time, process)?.into(),
        RecordType::Executed => executed(fields, time, process)?.into(),
        RecordType::Exited => Event::Exited { time, process }.into(),
        RecordType::Uncovered => uncovered(number, time, process)?.into(),
        RecordType::Received => return received(fields, time, process, kind()?, each),
        RecordType::CodeMapped => code_mapped(fields, time, process)?.into(),
        RecordType::Interpreted => interpreted(fields, time, process)?.into(),
        RecordType::StackSample => stack_sample(fields, time, process)?.into(),
        RecordType::Unfinished => unfinished(fields, time, process, kind()?)?.into(),
        RecordType::Failed => failed(fields, time, process, kind()?)?.into(),
    };
    each(message);
    Ok(())
}

fn released(fields: &mut Fields<'_>, time: u64, process: ProcessId) -> Result<Event, DecodeError> {
    let handle = handle(fields.u64()?)?;
    let acquired = Some(fields.u64()?).filter(|time| *time != 0);
    Ok(Event::Released(Released {
        time,
        process,
        handle,
        acquired,
    }))
}

fn remapped(fields: &mut Fields<'_>, time: u64, process: ProcessId) -> Result<Event, DecodeError> {
    let [old, old_length, new, new_length] =
        [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
    Ok(Event::Remapped(Remapped {
        time,
        process,
        old,
        old_length,
        new,
        new_length,
        site: SiteId::UNKNOWN,
        keeps_old: fields.u32()? != 0,
    }))
}

fn forked_event(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
) -> Result<Event, DecodeError> {
    let child = ProcessId(fields.u64()?);
    let flags = fields.u32()?;
    fields.u32()?;
    Ok(Event::Forked(Forked {
        time,
        parent: process,
        child,
        shares_files: flags & forked::SHARES_FILES != 0,
        shares_memory: flags & forked::SHARES_MEMORY != 0,
        comm: fields.array()?,
    }))
}

fn executed(fields: &mut Fields<'_>, time: u64, process: ProcessId) -> Result<Event, DecodeError> {
    Ok(Event::Executed(Executed {
        time,
        process,
        comm: fields.array()?,
    }))
}

fn uncovered(cause: u32, time: u64, process: ProcessId) -> Result<Event, DecodeError> {
    let cause = match cause {
        wire::uncovered::COMPAT => Uncovered::Compat,
        wire::uncovered::URING_CLOSE => Uncovered::UringClose,
        wire::uncovered::URING_UNSEEN => Uncovered::UringUnseen,
        _ => return Err(DecodeError::Unknown("cause", cause)),
    };
    Ok(Event::Uncovered {
        time,
        process,
        cause,
    })
}

fn code_mapped(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
) -> Result<Notice, DecodeError> {
    let file = file_key(fields)?;
    let [start, end, offset] = [fields.u64()?, fields.u64()?, fields.u64()?];
    Ok(Notice::CodeMapped(CodeMapped {
        time,
        process,
        file,
        start,
        end,
        offset,
        wanted: fields.u32()? != 0,
    }))
}

fn failed(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
) -> Result<Failed, DecodeError> {
    let (site, size) = (SiteId(fields.u64()?), fields.u64()?);
    let (call, error, tid) = (fields.u32()?, fields.u32()?, fields.u32()?);
    fields.u32()?;
    let call = match call & wire::FAILED_URING {
        0 => Call::System(call),
        flag => Call::Uring(call ^ flag),
    };
    Ok(Failed {
        time,
        process,
        kind,
        site,
        size,
        call,
        error: Refusal::from_number(error).ok_or(DecodeError::Unknown("error", error))?,
        tid,
    })
}

fn acquired_event(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
) -> Result<Event, DecodeError> {
    let handle = handle(fields.u64()?)?;
    let site = SiteId(fields.u64()?);
    let size = fields.u64()?;
    let flags = fields.u32()?;
    Ok(Event::Acquired(Acquired {
        time,
        process,
        kind,
        handle,
        site,
        size,
        close_on_exec: flags & acquired::CLOSE_ON_EXEC != 0,
        kind_guessed: flags & acquired::KIND_GUESSED != 0,
        maybe_existed: flags & acquired::MAYBE_EXISTED != 0,
    }))
}

fn range_released(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    class: Class,
) -> Result<Event, DecodeError> {
    let first = fields.u64()?;
    let last = fields.u64()?;
    let flags = fields.u32()?;
    Ok(Event::RangeReleased(RangeReleased {
        time,
        process,
        class,
        first,
        last,
        unshare: flags & range::UNSHARE != 0,
        close_on_exec: flags & range::CLOSE_ON_EXEC != 0,
        attachment: flags & range::ATTACHMENT != 0,
    }))
}

fn received(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
    each: &mut impl FnMut(Message),
) -> Result<(), DecodeError> {
    let site = SiteId(fields.u64()?);
    let flags = fields.u32()?;
    let number = fields.u32()? as usize;
    if number > MAX_RECEIVED || fields.0.len() < number * 4 {
        return Err(DecodeError::Short);
    }
    for _ in 0..number {
        let descriptor = fields.u32()?;
        each(Message::Event(Event::Acquired(Acquired {
            time,
            process,
            kind,
            handle: Handle::new(Class::Descriptor, u64::from(descriptor)),
            site,
            size: 0,
            close_on_exec: flags & acquired::CLOSE_ON_EXEC != 0,
            kind_guessed: true,
            maybe_existed: false,
        })));
    }
    Ok(())
}
