//! A stack, one or two lines a frame.

use std::io;

use super::page::Page;
use crate::model::{
    escape::{escape, shorten_end, shorten_middle, shorten_path, width},
    report::Frame,
};

/// Frames that are shown at most.
const FRAMES: usize = 24;

/// Columns before a frame's number.
const INDENT: usize = 6;

pub(super) fn write(stack: &[Frame], page: &mut Page) -> io::Result<()> {
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
    let position = SourcePosition::of(frame);
    if position.is_empty() {
        return page.line(&format!("{start}{name}"));
    }
    if let Some(position) = position.within(beside) {
        return page.line(&format!("{start}{name}  {position}"));
    }
    page.line(&format!("{start}{name}"))?;
    let indent = INDENT + 8;
    let room = page.width() - indent;
    let position = position.within(room).unwrap_or_else(|| position.cut(room));
    page.line(&format!("{:indent$}{position}", ""))
}

/// `file:line (module)`, escaped.
struct SourcePosition {
    file: String,
    end: String,
}

impl SourcePosition {
    fn of(frame: &Frame) -> SourcePosition {
        // A nameless frame has its module in place of the name.
        let named = !frame.symbol.is_empty() || frame.module_offset.is_none();
        let module = match frame.module_name() {
            "" => String::new(),
            _ if !named => String::new(),
            module => format!("({})", shorten_end(&escape(module), 40)),
        };
        let Some(file) = &frame.file else {
            return SourcePosition {
                file: String::new(),
                end: module,
            };
        };
        let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
        let space = if module.is_empty() { "" } else { " " };
        SourcePosition {
            file: escape(file),
            end: format!("{line}{space}{module}"),
        }
    }

    fn is_empty(&self) -> bool {
        self.file.is_empty() && self.end.is_empty()
    }

    /// In at most `max` columns, if they hold the file's name and line: its first
    /// directories give way.
    fn within(&self, max: usize) -> Option<String> {
        let room = max.checked_sub(width(&self.end))?;
        Some(shorten_path(&self.file, room)? + &self.end)
    }

    /// In at most `max` columns, even if the line is cut away.
    fn cut(&self, max: usize) -> String {
        match max.checked_sub(width(&self.end)) {
            Some(room @ 8..) => shorten_middle(&self.file, room) + &self.end,
            _ => shorten_end(&format!("{}{}", self.file, self.end), max),
        }
    }
}
