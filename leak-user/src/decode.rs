//! Bytes of the ring buffer to events. Takes nothing on trust: a record that is
//! too short or names what does not exist is counted as undecodable, never guessed.

use leak_common::{
    Class, Handle, Kind, ProcessId,
    limits::{MAX_FRAMES, MAX_PYTHON_FRAMES, MAX_RECEIVED},
    unwind::{FileKey, PythonFrame},
    wire::{self, RecordType, StackEnd, acquired, forked, range},
};

use crate::event::{
    Acquired, Call, CodeMapped, Event, Executed, Failed, Forked, Interpreted, RangeReleased,
    Refusal, Registers, Released, Remapped, Site, SiteId, StackSnapshot, Uncovered, Unfinished,
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
/// `each` for every event and returns how many records could not be decoded.
pub fn decode_batch(mut batch: &[u8], mut each: impl FnMut(Event)) -> u64 {
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

/// Decodes one record. A message with descriptors is several acquisitions; every
/// other record is one event.
///
/// # Errors
/// The record is damaged. Nothing was passed to `each` then.
pub fn decode(record: &[u8], each: &mut impl FnMut(Event)) -> Result<(), DecodeError> {
    let mut fields = Fields(record);
    let record = fields.u32()?;
    let number = fields.u32()?;
    let time = fields.u64()?;
    let process = ProcessId(fields.u64()?);
    let record =
        RecordType::from_wire(record).ok_or(DecodeError::Unknown("record type", record))?;
    let kind = || Kind::from_wire(number).ok_or(DecodeError::Unknown("kind", number));
    let class = || Class::from_wire(number).ok_or(DecodeError::Unknown("class", number));
    let event = match record {
        RecordType::Site => site(&mut fields, time, process, kind()?)?,
        RecordType::Acquired => acquired_event(&mut fields, time, process, kind()?)?,
        RecordType::Released => {
            class()?;
            let handle = handle(fields.u64()?)?;
            let acquired = Some(fields.u64()?).filter(|time| *time != 0);
            Event::Released(Released {
                time,
                process,
                handle,
                acquired,
            })
        }
        RecordType::RangeReleased => range_released(&mut fields, time, process, class()?)?,
        RecordType::Remapped => {
            class()?;
            let [old, old_length, new, new_length] =
                [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
            let keeps_old = fields.u32()? != 0;
            let site = SiteId::UNKNOWN;
            Event::Remapped(Remapped {
                time,
                process,
                old,
                old_length,
                new,
                new_length,
                site,
                keeps_old,
            })
        }
        RecordType::Forked => {
            let child = ProcessId(fields.u64()?);
            let flags = fields.u32()?;
            fields.u32()?;
            Event::Forked(Forked {
                time,
                parent: process,
                child,
                shares_files: flags & forked::SHARES_FILES != 0,
                shares_memory: flags & forked::SHARES_MEMORY != 0,
                comm: fields.array()?,
            })
        }
        RecordType::Executed => Event::Executed(Executed {
            time,
            process,
            comm: fields.array()?,
        }),
        RecordType::Exited => Event::Exited { time, process },
        RecordType::Uncovered => {
            let cause = match number {
                wire::uncovered::COMPAT => Uncovered::Compat,
                wire::uncovered::URING_CLOSE => Uncovered::UringClose,
                _ => return Err(DecodeError::Unknown("cause", number)),
            };
            Event::Uncovered {
                time,
                process,
                cause,
            }
        }
        RecordType::Received => return received(&mut fields, time, process, kind()?, each),
        RecordType::CodeMapped => {
            let file = file_key(&mut fields)?;
            let [start, end, offset] = [fields.u64()?, fields.u64()?, fields.u64()?];
            let wanted = fields.u32()? != 0;
            Event::CodeMapped(CodeMapped {
                time,
                process,
                file,
                start,
                end,
                offset,
                wanted,
            })
        }
        RecordType::Interpreted => interpreted(&mut fields, time, process)?,
        RecordType::Snapshot => snapshot(&mut fields, time, process)?,
        RecordType::Unfinished => unfinished(&mut fields, time, process, kind()?)?,
        RecordType::Failed => failed(&mut fields, time, process, kind()?)?,
    };
    each(event);
    Ok(())
}

fn site(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
) -> Result<Event, DecodeError> {
    let id = SiteId(fields.u64()?);
    let tid = fields.u32()?;
    let number = usize::from(fields.u16()?);
    let end = fields.u16()?;
    let end = StackEnd::from_wire(end).ok_or(DecodeError::Unknown("stack end", u32::from(end)))?;
    if number > MAX_FRAMES {
        return Err(DecodeError::Unknown("number of frames", number as u32));
    }
    let frames = (0..number)
        .map(|_| fields.u64())
        .collect::<Result<_, _>>()?;
    Ok(Event::Site(Site {
        time,
        process,
        kind,
        id,
        tid,
        frames,
        end,
    }))
}

fn interpreted(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
) -> Result<Event, DecodeError> {
    let site = SiteId(fields.u64()?);
    let layout = fields.u32()?;
    let number = fields.u32()?;
    if number as usize > MAX_PYTHON_FRAMES {
        return Err(DecodeError::Unknown("number of frames", number));
    }
    let frame = |_| {
        let code = fields.u64()?;
        let place = fields.u64()?;
        Ok(PythonFrame { code, place })
    };
    Ok(Event::Interpreted(Interpreted {
        time,
        process,
        site,
        layout,
        frames: (0..number).map(frame).collect::<Result<_, _>>()?,
    }))
}

fn unfinished(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
) -> Result<Event, DecodeError> {
    let site = SiteId(fields.u64()?);
    let [instruction, stack, frame, link] =
        [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
    let (after_call, has_link) = (fields.u32()? != 0, fields.u32()? != 0);
    let file = file_key(fields)?;
    let [start, end, offset] = [fields.u64()?, fields.u64()?, fields.u64()?];
    let length = fields.u64()?;
    let memory = usize::try_from(length)
        .ok()
        .and_then(|length| fields.0.get(..length))
        .ok_or(DecodeError::Short)?;
    Ok(Event::Unfinished(Box::new(Unfinished {
        time,
        process,
        kind,
        site,
        last: Registers {
            instruction,
            stack,
            frame,
            link: has_link.then_some(link),
            after_call,
        },
        file,
        start,
        end,
        offset,
        memory: memory.into(),
    })))
}

fn failed(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
) -> Result<Event, DecodeError> {
    let (site, size) = (SiteId(fields.u64()?), fields.u64()?);
    let (call, error, tid) = (fields.u32()?, fields.u32()?, fields.u32()?);
    fields.u32()?;
    let call = match call & wire::FAILED_URING {
        0 => Call::System(call),
        flag => Call::Uring(call ^ flag),
    };
    Ok(Event::Failed(Failed {
        time,
        process,
        kind,
        site,
        size,
        call,
        error: Refusal::from_number(error).ok_or(DecodeError::Unknown("error", error))?,
        tid,
    }))
}

fn file_key(fields: &mut Fields<'_>) -> Result<FileKey, DecodeError> {
    Ok(FileKey {
        inode: fields.u64()?,
        changed_seconds: fields.u64()?.cast_signed(),
        changed_nanoseconds: fields.u32()?,
        device: fields.u32()?,
    })
}

fn snapshot(fields: &mut Fields<'_>, time: u64, process: ProcessId) -> Result<Event, DecodeError> {
    let instruction = fields.u64()?;
    let stack_pointer = fields.u64()?;
    let frame_pointer = fields.u64()?;
    let link = fields.u64()?;
    let tid = fields.u32()?;
    let count = usize::from(fields.u16()?);
    let end = fields.u16()?;
    let end = StackEnd::from_wire(end).ok_or(DecodeError::Unknown("stack end", u32::from(end)))?;
    let length = fields.u64()?;
    let frames: Vec<u64> = (0..=MAX_FRAMES)
        .map(|_| fields.u64())
        .collect::<Result<_, _>>()?;
    let memory = usize::try_from(length)
        .ok()
        .and_then(|length| fields.0.get(..length))
        .ok_or(DecodeError::Short)?;
    let frames = frames
        .get(..count)
        .ok_or(DecodeError::Unknown("number of frames", count as u32))?;
    Ok(Event::Snapshot(Box::new(StackSnapshot {
        time,
        process,
        tid,
        instruction,
        stack_pointer,
        frame_pointer,
        link,
        frames: frames.into(),
        end,
        memory: memory.into(),
    })))
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
    each: &mut impl FnMut(Event),
) -> Result<(), DecodeError> {
    let site = SiteId(fields.u64()?);
    let flags = fields.u32()?;
    let number = fields.u32()? as usize;
    if number > MAX_RECEIVED || fields.0.len() < number * 4 {
        return Err(DecodeError::Short);
    }
    for _ in 0..number {
        let descriptor = fields.u32()?;
        each(Event::Acquired(Acquired {
            time,
            process,
            kind,
            handle: Handle::new(Class::Descriptor, u64::from(descriptor)),
            site,
            size: 0,
            close_on_exec: flags & acquired::CLOSE_ON_EXEC != 0,
            kind_guessed: true,
            maybe_existed: false,
        }));
    }
    Ok(())
}

fn handle(number: u64) -> Result<Handle, DecodeError> {
    let handle = Handle(number);
    match handle.class() {
        Some(_) => Ok(handle),
        None => Err(DecodeError::Unknown("class", (number >> 56) as u32)),
    }
}

/// What is left of a record.
struct Fields<'r>(&'r [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn head(record: RecordType, kind: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((record as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(7u64.to_ne_bytes());
        bytes.extend(ProcessId::new(42, 9).0.to_ne_bytes());
        bytes
    }

    fn events(record: &[u8]) -> Result<Vec<Event>, DecodeError> {
        let mut events = Vec::new();
        decode(record, &mut |event| events.push(event))?;
        Ok(events)
    }

    #[test]
    fn a_site_has_its_frames() {
        let mut record = head(RecordType::Site, Kind::File as u32);
        record.extend(0xabcu64.to_ne_bytes());
        record.extend(43u32.to_ne_bytes());
        record.extend(2u16.to_ne_bytes());
        record.extend((StackEnd::Broken as u16).to_ne_bytes());
        record.extend(1u64.to_ne_bytes());
        record.extend(2u64.to_ne_bytes());
        let expected = Event::Site(Site {
            time: 7,
            process: ProcessId::new(42, 9),
            kind: Kind::File,
            id: SiteId(0xabc),
            tid: 43,
            frames: [1, 2].into(),
            end: StackEnd::Broken,
        });
        assert_eq!(events(&record).unwrap(), [expected]);
        for length in 0..record.len() {
            assert_eq!(events(&record[..length]), Err(DecodeError::Short));
        }
    }

    #[test]
    fn a_message_is_several_acquisitions() {
        let mut record = head(RecordType::Received, Kind::Socket as u32);
        record.extend(5u64.to_ne_bytes());
        record.extend(acquired::CLOSE_ON_EXEC.to_ne_bytes());
        record.extend(2u32.to_ne_bytes());
        record.extend(10u32.to_ne_bytes());
        record.extend(11u32.to_ne_bytes());
        let events = events(&record).unwrap();
        let descriptors: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Acquired(acquired) => {
                    assert!(acquired.close_on_exec && acquired.kind_guessed);
                    acquired.handle.descriptor().unwrap()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(descriptors, [10, 11]);
    }

    #[test]
    fn a_failure_says_what_was_called_and_what_for() {
        let record = |call: u32, error: u32| {
            let mut record = head(RecordType::Failed, Kind::Mapping as u32);
            record.extend(0xabcu64.to_ne_bytes());
            record.extend(8192u64.to_ne_bytes());
            record.extend([call, error, 43, 0].into_iter().flat_map(u32::to_ne_bytes));
            record
        };
        let expected = |call, error| {
            Event::Failed(Failed {
                time: 7,
                process: ProcessId::new(42, 9),
                kind: Kind::Mapping,
                site: SiteId(0xabc),
                size: 8192,
                call,
                error,
                tid: 43,
            })
        };
        assert_eq!(
            events(&record(9, 12)).unwrap(),
            [expected(Call::System(9), Refusal::Memory)]
        );
        assert_eq!(
            events(&record(wire::FAILED_URING | 18, 24)).unwrap(),
            [expected(Call::Uring(18), Refusal::Files)]
        );
        assert_eq!(
            events(&record(9, 13)),
            Err(DecodeError::Unknown("error", 13))
        );
        let whole = record(9, 12);
        assert_eq!(whole.len(), size_of::<wire::Failed>());
        for length in 0..whole.len() {
            assert_eq!(events(&whole[..length]), Err(DecodeError::Short));
        }
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        assert!(matches!(
            events(&head(RecordType::Exited, 0)).unwrap()[..],
            [Event::Exited { time: 7, .. }]
        ));
        let mut record = head(RecordType::Exited, 0);
        record[0] = 99;
        assert_eq!(
            events(&record),
            Err(DecodeError::Unknown("record type", 99))
        );
        let record = head(RecordType::Acquired, 77);
        assert_eq!(events(&record), Err(DecodeError::Unknown("kind", 77)));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decode(&bytes, &mut |_| {});
            decode_batch(&bytes, |_| {});
        }

        #[test]
        fn a_damaged_batch_loses_only_what_is_damaged(cut in 0usize..60) {
            let mut batch = Vec::new();
            push_record(&mut batch, &head(RecordType::Exited, 0));
            push_record(&mut batch, &head(RecordType::Exited, 0));
            let mut count = 0;
            let undecodable = decode_batch(&batch[..cut.min(batch.len())], |_| count += 1);
            let whole = cut.min(batch.len()) / 28;
            prop_assert_eq!(count, whole);
            prop_assert_eq!(undecodable, u64::from(cut.min(batch.len()) % 28 != 0));
        }
    }
}
