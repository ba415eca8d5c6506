//! Lines of a given width, wrapped and coloured. All text for people is written here.

use std::io;

use crate::model::escape::{shorten_end, split_at_width, width};

/// A terminal is seldom narrower than the first, and longer lines than the second are hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=120;

/// Meanings that have a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Leak,
    Suspect,
    Fine,
    Bold,
}

impl Ink {
    /// The terminal's select-graphic-rendition parameters.
    fn code(self) -> &'static str {
        match self {
            Ink::Leak => "1;31",
            Ink::Suspect => "1;33",
            Ink::Fine => "32",
            Ink::Bold => "1",
        }
    }
}

/// Where lines go. The text given to it is escaped already.
pub(super) struct Page<'a> {
    out: &'a mut dyn io::Write,
    width: usize,
    color: bool,
    lines: usize,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut dyn io::Write, width: usize, color: bool) -> Page<'a> {
        Page {
            out,
            width: width.clamp(*WIDTHS.start(), *WIDTHS.end()),
            color,
            lines: 0,
        }
    }

    /// Columns of a line.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// How many lines were written.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    pub(super) fn blank(&mut self) -> io::Result<()> {
        self.line("")
    }

    /// The text in bold, where there are colours.
    pub(super) fn bold(&self, text: &str) -> String {
        self.painted(Ink::Bold, text)
    }

    /// One line that is known to fit.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        self.lines += 1;
        writeln!(self.out, "{}", text.trim_end())
    }

    /// One line without colours, cut where it is too long.
    pub(super) fn fitted(&mut self, text: &str) -> io::Result<()> {
        self.line(&shorten_end(text, self.width))
    }

    /// A paragraph; its later lines are indented two columns more.
    pub(super) fn paragraph(&mut self, indent: usize, text: &str) -> io::Result<()> {
        self.hanging(indent, indent + 2, text)
    }

    /// A paragraph whose first line and later lines are indented differently.
    pub(super) fn hanging(&mut self, first: usize, rest: usize, text: &str) -> io::Result<()> {
        for (number, line) in wrap(text, self.width - first, self.width - rest)
            .iter()
            .enumerate()
        {
            let indent = if number == 0 { first } else { rest };
            self.line(&format!("{:indent$}{line}", ""))?;
        }
        Ok(())
    }

    /// A paragraph that begins with a coloured label, which is short.
    pub(super) fn headline(&mut self, ink: Ink, label: &str, text: &str) -> io::Result<()> {
        let lines = wrap(&format!("{label}{text}"), self.width, self.width - 4);
        for (number, line) in lines.iter().enumerate() {
            match line.strip_prefix(label) {
                Some(rest) if number == 0 => {
                    let label = self.painted(ink, label);
                    self.line(&format!("{label}{rest}"))?;
                }
                _ if number == 0 => self.line(line)?,
                _ => self.line(&format!("    {line}"))?,
            }
        }
        Ok(())
    }

    /// The text in a colour, where there are colours.
    pub(super) fn painted(&self, ink: Ink, text: &str) -> String {
        if self.color {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }
}

/// Lines of at most `first` columns for the first and `rest` for all others, at
/// least two. A word that is wider than a line is cut.
pub(super) fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for mut word in text.split(' ') {
        let room = if lines.is_empty() { first } else { rest };
        if !line.is_empty() {
            if width(&line) + 1 + width(word) <= room {
                line.push(' ');
                line.push_str(word);
                continue;
            }
            lines.push(std::mem::take(&mut line));
        }
        loop {
            let room = if lines.is_empty() { first } else { rest };
            let (head, tail) = split_at_width(word, room.max(2));
            if tail.is_empty() {
                break;
            }
            lines.push(head.to_owned());
            word = tail;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::escape::escape;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(wrap("a bb ccc", 4, 3), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefgh i", 3, 4), ["abc", "defg", "h i"]);
        assert_eq!(wrap("", 3, 3), [""]);
    }

    proptest! {
        #[test]
        fn lines_fit_and_no_word_is_lost(text in any::<String>(), first in 2_usize..20, rest in 2_usize..20) {
            let text = escape(&text);
            let lines = wrap(&text, first, rest);
            for (number, line) in lines.iter().enumerate() {
                let room = if number == 0 { first } else { rest };
                prop_assert!(width(line) <= room);
            }
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
