//! A stack, one or two lines a frame.

use std::io;

use super::{super::Stacks, amounts::counted, page::Page};
use crate::model::{
    escape::{escape, shorten_end, shorten_middle, shorten_path, width},
    frames::{
        fold::{self, Line},
        place,
    },
    report::Frame,
};

/// Frames that no person can change and that are shown at most, unless all are asked for.
const FRAMES: usize = 24;

/// Columns before a frame's number. The mark of a frame that stands out is in the last but one.
const INDENT: usize = 6;

/// Writes a stack, innermost first. Frames that a person can change have a mark, and none of them is left out.
pub(super) fn write(stack: &[Frame], stacks: Stacks, page: &mut Page) -> io::Result<()> {
    let lines = match stacks {
        Stacks::Short => fold::short(stack),
        Stacks::Folded => fold::folded(stack),
        Stacks::Full => fold::full(stack),
    };
    let most = match stacks {
        Stacks::Short | Stacks::Folded => FRAMES,
        Stacks::Full => usize::MAX,
    };
    let mut others = 0;
    let mut left = 0;
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        match line {
            Line::Folded { count, whose } => {
                page.fitted(&format!("{:INDENT$}    ... {}", "", folded(*count, whose)))?;
            }
            Line::Frame {
                stands_out: false, ..
            } if others >= most => left += 1,
            Line::Frame {
                number,
                frame,
                stands_out,
            } => {
                others += usize::from(!stands_out);
                write_frame(*number, frame, *stands_out, page)?;
                let again = |line: &&Line<'_>| matches!(line, Line::Frame { frame: other, .. } if is_again(frame, other));
                let mut times = 0_u64;
                while lines.next_if(|line| again(line)).is_some() {
                    times += 1;
                }
                if times > 0 {
                    let times = counted(times, "time", "times");
                    page.fitted(&format!("{:INDENT$}    ... the same {times} more", ""))?;
                }
            }
        }
    }
    match left {
        0 => Ok(()),
        left => page.fitted(&format!(
            "{:INDENT$}... {left} more frames (-f json has all)",
            ""
        )),
    }
}

/// Whether a frame is one of the same line, as where a function calls itself.
fn is_again(frame: &Frame, other: &Frame) -> bool {
    let names = |frame: &Frame| !frame.symbol.is_empty() && !frame.inlined;
    names(frame)
        && names(other)
        && (&frame.symbol, &frame.file, frame.line, &frame.module)
            == (&other.symbol, &other.file, other.line, &other.module)
}

fn folded(count: usize, whose: &str) -> String {
    let frames = counted(count as u64, "frame", "frames");
    match whose {
        "" => frames,
        whose => format!("{frames} of {}", shorten_end(&escape(whose), 36)),
    }
}

fn write_frame(number: usize, frame: &Frame, stands_out: bool, page: &mut Page) -> io::Result<()> {
    let mark = if stands_out { "> " } else { "" };
    let start = format!("{mark:>INDENT$}{:<3} ", format!("#{number}"));
    let inlined = if frame.inlined { " [inlined]" } else { "" };
    let room = page.width() - width(&start);
    let bold = |name: &str, page: &Page| {
        if stands_out {
            page.bold(name)
        } else {
            name.to_owned()
        }
    };
    let name = shorten_function(&escape(&name(frame)), room - width(inlined)) + inlined;
    let beside = room.saturating_sub(width(&name) + 2);
    let position = SourcePosition::of(frame);
    if position.is_empty() {
        return page.line(&format!("{start}{}", bold(&name, page)));
    }
    if let Some(position) = position.within(beside) {
        return page.line(&format!("{start}{}  {position}", bold(&name, page)));
    }
    page.line(&format!("{start}{}", bold(&name, page)))?;
    let indent = INDENT + 8;
    let room = page.width() - indent;
    let position = position.within(room).unwrap_or_else(|| position.cut(room));
    page.line(&format!("{:indent$}{position}", ""))
}

/// The function, or how to find it where it has no name.
fn name(frame: &Frame) -> std::borrow::Cow<'_, str> {
    match place::function(frame) {
        "" => frame.name(),
        function => function.into(),
    }
}

/// A function's name in at most `max` columns. Where it has types in it, as in C++ and Rust, its end says as much as its
/// beginning.
pub(super) fn shorten_function(name: &str, max: usize) -> String {
    match name.contains(['<', '(']) || name.contains("::") {
        true => shorten_middle(name, max),
        false => shorten_end(name, max),
    }
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
            module => format!("({})", shorten_end(&escape(module), 24)),
        };
        let Some((file, line)) = place::source(frame) else {
            return SourcePosition {
                file: String::new(),
                end: module,
            };
        };
        let line = line.map_or(String::new(), |line| format!(":{line}"));
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
