//! A stack, one or two lines a frame.

use std::io;

use super::page::Page;
use crate::report::{
    escape::{escape, shorten_end, shorten_middle, width},
    model::Frame,
};

/// Frames that are shown at most.
const FRAMES: usize = 24;

/// Columns before a frame's number.
const INDENT: usize = 6;

/// Columns from which on a place says something beside its function.
const MIN_PLACE: usize = 30;

pub(in crate::report) fn write(stack: &[Frame], page: &mut Page) -> io::Result<()> {
    for (number, frame) in stack.iter().take(FRAMES).enumerate() {
        write_frame(number, frame, page)?;
    }
    match stack.len().saturating_sub(FRAMES) {
        0 => Ok(()),
        left => page.line(&format!(
            "{:INDENT$}... and {left} more frames (-f json has all)",
            ""
        )),
    }
}

fn write_frame(number: usize, frame: &Frame, page: &mut Page) -> io::Result<()> {
    let start = format!("{:INDENT$}{:<4}", "", format!("#{number}"));
    let inlined = if frame.inlined { " [inlined]" } else { "" };
    let room = page.width() - width(&start);
    let name = shorten_end(&escape(&frame.name()), room - width(inlined)) + inlined;
    let beside = room.saturating_sub(width(&name) + 2);
    let whole = place(frame, usize::MAX);
    if whole.is_empty() {
        return page.line(&format!("{start}{name}"));
    }
    if width(&whole) <= beside || beside >= MIN_PLACE {
        return page.line(&format!("{start}{name}  {}", place(frame, beside)));
    }
    page.line(&format!("{start}{name}"))?;
    let indent = INDENT + 8;
    page.line(&format!(
        "{:indent$}{}",
        "",
        place(frame, page.width() - indent)
    ))
}

/// `file:line (module)` in at most `max` columns; the path of the file gives way.
fn place(frame: &Frame, max: usize) -> String {
    // A nameless frame has its module in place of the name.
    let named = !frame.symbol.is_empty() || frame.module_offset.is_none();
    let module = match frame.module_name() {
        "" => String::new(),
        _ if !named => String::new(),
        module => format!("({})", shorten_end(&escape(module), 40)),
    };
    let Some(file) = &frame.file else {
        return shorten_end(&module, max);
    };
    let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
    let end = match module.as_str() {
        "" => line,
        module => format!("{line} {module}"),
    };
    match max.checked_sub(width(&end)) {
        Some(room @ 8..) => shorten_middle(&escape(file), room) + &end,
        _ => shorten_end(&(escape(file) + &end), max),
    }
}
