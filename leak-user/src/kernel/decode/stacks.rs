//! Records of stacks: whole ones, and what user space finishes.

use leak_common::{
    Kind, ProcessId,
    limits::{MAX_FRAMES, MAX_PYTHON_FRAMES},
    unwind::PythonFrame,
    wire::StackEnd,
};

use super::{
    DecodeError,
    fields::{Fields, file_key},
};
use crate::{
    event::{Event, Interpreted, Notice, Registers, Site, StackSample, Unfinished},
    model::site::SiteId,
};

pub(super) fn site(
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

pub(super) fn interpreted(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
) -> Result<Notice, DecodeError> {
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
    Ok(Notice::Interpreted(Interpreted {
        time,
        process,
        site,
        layout,
        frames: (0..number).map(frame).collect::<Result<_, _>>()?,
    }))
}

pub(super) fn unfinished(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
    kind: Kind,
) -> Result<Notice, DecodeError> {
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
    Ok(Notice::Unfinished(Box::new(Unfinished {
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

pub(super) fn stack_sample(
    fields: &mut Fields<'_>,
    time: u64,
    process: ProcessId,
) -> Result<Notice, DecodeError> {
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
    Ok(Notice::StackSample(Box::new(StackSample {
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
