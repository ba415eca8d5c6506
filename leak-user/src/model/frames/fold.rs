//! Which frames of a stack a person sees: those that stand out, and their neighbours. Runs of others are folded into one
//! line that says what they are.

use std::borrow::Cow;

use super::{
    super::report::Frame,
    owner::{Owner, owner_of, stands_out, starts_up},
};

/// Fewer frames than this in a run are shown: a line that says what is left out is no shorter.
const SHORTEST_RUN: usize = 2;

/// Names of what is folded that are told at most.
const NAMES: usize = 3;

/// A line of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A frame, its number from the innermost, and whether it is one that a person can change.
    Frame {
        number: usize,
        frame: &'a Frame,
        stands_out: bool,
    },
    /// Frames that are left out: how many, and whose they are.
    Folded { count: usize, whose: String },
}

/// The lines of a stack, innermost first. The innermost frame that has a name is always shown, since it says what was
/// called; so is the one that a frame which stands out calls, and of packages all are.
#[must_use]
pub fn folded(stack: &[Frame]) -> Vec<Line<'_>> {
    let mine = stands_out(stack);
    let first = stack.iter().position(|frame| !frame.symbol.is_empty());
    let calls_out = |at: usize| {
        let next = mine.get(at + 1).copied().unwrap_or(false);
        next && !stack[at].symbol.is_empty() && owner_of(&stack[at]) != Owner::System
    };
    let keep: Vec<bool> = (0..stack.len())
        .map(|at| {
            mine[at] || first == Some(at) || calls_out(at) || owner_of(&stack[at]) == Owner::Package
        })
        .collect();
    lines(stack, &mine, &keep)
}

/// The shortest form: only what stands out, and the innermost frame that has a name.
#[must_use]
pub fn short(stack: &[Frame]) -> Vec<Line<'_>> {
    let mine = stands_out(stack);
    let first = stack.iter().position(|frame| !frame.symbol.is_empty());
    let keep: Vec<bool> = (0..stack.len())
        .map(|at| mine[at] || first == Some(at))
        .collect();
    let mut lines = lines(stack, &mine, &keep);
    lines.retain(|line| matches!(line, Line::Frame { .. }));
    lines
}

/// Every frame.
#[must_use]
pub fn full(stack: &[Frame]) -> Vec<Line<'_>> {
    let mine = stands_out(stack);
    lines(stack, &mine, &vec![true; stack.len()])
}

fn lines<'a>(stack: &'a [Frame], mine: &[bool], keep: &[bool]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < stack.len() {
        let run = keep[at..].iter().take_while(|keep| !**keep).count();
        if run >= SHORTEST_RUN {
            let whose = whose(&stack[at..at + run]);
            lines.push(Line::Folded { count: run, whose });
            at += run;
            continue;
        }
        for number in at..=(at + run).min(stack.len() - 1) {
            lines.push(Line::Frame {
                number,
                frame: &stack[number],
                stands_out: mine[number],
            });
        }
        at += run + 1;
    }
    lines
}

/// Whose the frames are, in a few words.
fn whose(frames: &[Frame]) -> String {
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    for frame in frames {
        let name = name_of_owner(frame);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // What has no name says nothing beside what has one.
    if names.len() > 1 {
        names.retain(|name| name != NAMELESS);
    }
    let others = names.len() > NAMES;
    names.truncate(NAMES);
    match names.as_slice() {
        _ if others => format!("{} and others", names.join(", ")),
        [] => String::new(),
        [one] => one.to_string(),
        [firsts @ .., last] => format!("{} and {last}", firsts.join(", ")),
    }
}

/// What frames without a name and a path are called together.
const NAMELESS: &str = "code without a name";

/// What a frame belongs to, as `CPython`, `libc` or `libcurl`.
fn name_of_owner(frame: &Frame) -> Cow<'_, str> {
    if starts_up(frame) {
        return "libc".into();
    }
    match owner_of(frame) {
        Owner::Runtime(name) => name.into(),
        Owner::Unknown => NAMELESS.into(),
        Owner::User | Owner::Program | Owner::Package | Owner::System => {
            let module = frame.module_name();
            let name = module.split(".so").next().unwrap_or(module);
            match name {
                "" => NAMELESS.into(),
                _ if name.starts_with("ld-linux") => "the loader".into(),
                _ => name.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::frame;

    fn python() -> Vec<Frame> {
        let native = |name: &str| frame(name, "/opt/lib/libpython3.11.so.1.0", None, false);
        let script =
            |name: &str, file: &str, line| frame(name, "python3.11", Some((file, line)), false);
        vec![
            frame("__socket", "/usr/lib/libc.so.6", None, false),
            native("sock_initobj"),
            native("type_call"),
            script("create_connection", "/opt/lib/python3.11/socket.py", 827),
            script("ask_ledger", "/srv/app.py", 10),
            script("serve", "/srv/app.py", 44),
            native("PyEval_EvalCode"),
            native("Py_RunMain"),
            frame("__libc_start_main_impl", "/usr/lib/libc.so.6", None, false),
            frame("_start", "/usr/bin/python3.11", None, false),
        ]
    }

    fn written(lines: &[Line<'_>]) -> Vec<String> {
        let text = |line: &Line<'_>| match line {
            Line::Frame {
                number,
                frame,
                stands_out,
            } => {
                format!(
                    "{number} {}{}",
                    frame.symbol,
                    if *stands_out { " *" } else { "" }
                )
            }
            Line::Folded { count, whose } => format!("... {count} of {whose}"),
        };
        lines.iter().map(text).collect()
    }

    #[test]
    fn frames_of_the_interpreter_are_folded_and_the_users_are_not() {
        let stack = python();
        assert_eq!(
            written(&folded(&stack)),
            [
                "0 __socket",
                "... 2 of CPython",
                "3 create_connection",
                "4 ask_ledger *",
                "5 serve *",
                "... 4 of CPython and libc",
            ]
        );
        assert_eq!(
            written(&short(&stack)),
            ["0 __socket", "4 ask_ledger *", "5 serve *"]
        );
        assert_eq!(full(&stack).len(), stack.len());
    }

    #[test]
    fn every_frame_is_shown_or_counted() {
        let stack = python();
        for end in 0..stack.len() {
            let counts = folded(&stack[..end])
                .iter()
                .map(|line| match line {
                    Line::Frame { .. } => 1,
                    Line::Folded { count, .. } => *count,
                })
                .sum::<usize>();
            assert_eq!(counts, end);
        }
    }
}
