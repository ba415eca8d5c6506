//! How a text looks: what the command line asks for, and what the place that it goes to can do.

use std::{
    env,
    ffi::OsStr,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use super::{
    Output,
    formats::{Stacks, TextOptions},
};

/// Columns where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;

/// Lines where there is no terminal to ask.
const DEFAULT_HEIGHT: usize = 24;

/// What the command line says about how a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub color: Color,
    /// Findings, processes or sites to show at most.
    pub top: u32,
    /// Whether to show what is steady too, and of a comparison what is the same.
    pub all: bool,
    /// For build servers: whether a suspect fails the build as a leak does.
    pub suspects_fail: bool,
    /// Whether to show each finding of a problem.
    pub each: bool,
    /// How much of a stack to show.
    pub stacks: Stacks,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    Always,
    Never,
}

impl Style {
    /// What that means for a report that goes to `output`.
    #[must_use]
    pub fn resolve(self, output: &Output) -> TextOptions {
        TextOptions {
            width: width(output),
            height: height(output),
            color: color(output, self.color),
            top: usize::try_from(self.top).unwrap_or(usize::MAX),
            all: self.all,
            suspects_fail: self.suspects_fail,
            each: self.each,
            stacks: self.stacks,
        }
    }
}

/// Whether to colour what goes there.
fn color(output: &Output, choice: Color) -> bool {
    colored(
        choice,
        output.is_terminal(),
        env::var_os("NO_COLOR").as_deref(),
        env::var_os("TERM").as_deref(),
    )
}

/// Columns of a line there: `COLUMNS`, or what the terminal says, or 80.
fn width(output: &Output) -> usize {
    chosen(env::var_os("COLUMNS").as_deref())
        .or_else(|| terminal(output).map(|(columns, _)| columns))
        .unwrap_or(DEFAULT_WIDTH)
}

/// Lines of a screen there: `LINES`, or what the terminal says, or 24.
fn height(output: &Output) -> usize {
    chosen(env::var_os("LINES").as_deref())
        .or_else(|| terminal(output).map(|(_, lines)| lines))
        .unwrap_or(DEFAULT_HEIGHT)
}

/// Columns and lines of the terminal that it is.
fn terminal(output: &Output) -> Option<(usize, usize)> {
    let descriptor = output.direct()?;
    terminal_size(descriptor.as_fd())
}

fn colored(choice: Color, terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    match choice {
        Color::Always => true,
        Color::Never => false,
        // no-color.org: set, and not empty.
        Color::Auto => {
            terminal && no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
        }
    }
}

fn chosen(number: Option<&OsStr>) -> Option<usize> {
    let number = number?.to_str()?.trim().parse().ok()?;
    (number > 0).then_some(number)
}

fn terminal_size(descriptor: BorrowedFd) -> Option<(usize, usize)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open, and TIOCGWINSZ writes one winsize.
    let result = unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    let is_known = result == 0 && size.ws_col > 0 && size.ws_row > 0;
    is_known.then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{fs::File, io, path::PathBuf, ptr};

    use super::*;
    use crate::output::Target;

    #[test]
    fn colour_is_for_terminals_unless_told_otherwise() {
        let os = |text| Some(OsStr::new(text));
        for (choice, terminal, no_color, term, expected) in [
            (Color::Auto, true, None, os("xterm"), true),
            (Color::Auto, true, None, None, true),
            (Color::Auto, true, os(""), None, true),
            (Color::Auto, true, os("1"), None, false),
            (Color::Auto, true, None, os("dumb"), false),
            (Color::Auto, false, None, os("xterm"), false),
            (Color::Always, false, os("1"), os("dumb"), true),
            (Color::Never, true, None, os("xterm"), false),
        ] {
            assert_eq!(colored(choice, terminal, no_color, term), expected);
        }
        let file = Output(Target::Direct(
            File::open("/dev/null").unwrap(),
            PathBuf::new(),
        ));
        assert!(!color(&file, Color::Auto));
    }

    #[test]
    fn the_size_is_chosen_or_the_terminals() {
        assert_eq!(chosen(Some(OsStr::new("132"))), Some(132));
        for absent in [
            None,
            Some(OsStr::new("")),
            Some(OsStr::new("0")),
            Some(OsStr::new("x")),
        ] {
            assert_eq!(chosen(absent), None);
        }
        assert_eq!(
            terminal_size(File::open("/dev/null").unwrap().as_fd()),
            None
        );
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize {
            ws_row: 24,
            ws_col: 97,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the pointers are to live values, or null where that is allowed.
        let opened = unsafe {
            libc::openpty(
                &mut master,
                &mut slave,
                ptr::null_mut(),
                ptr::null_mut(),
                &size,
            )
        };
        assert_eq!(opened, 0, "{}", io::Error::last_os_error());
        // SAFETY: openpty has just made both, and nothing else owns them.
        let (_master, slave) = unsafe {
            use std::os::fd::{FromRawFd, OwnedFd};
            (OwnedFd::from_raw_fd(master), File::from_raw_fd(slave))
        };
        assert_eq!(terminal_size(slave.as_fd()), Some((97, 24)));
        let output = Output(Target::Direct(slave, PathBuf::from("terminal")));
        assert!(output.is_terminal());
    }
}
