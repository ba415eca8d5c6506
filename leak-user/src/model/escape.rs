//! Makes text from traced processes safe for a terminal, and fits it in columns.
//!
//! Control characters, invisible ones and those that reorder the line are shown
//! as escapes. A backslash stays as it is: a second one would make names such as
//! `dev-disk-by\x2dlabel.swap` wrong, and nothing reads the text back.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Combining marks in a row that are shown: Thai and Vietnamese need two or three,
/// and hundreds of them would paint over the lines above.
const MAX_MARKS: usize = 4;

const ELLIPSIS: char = '…';

/// The text with everything escaped that a terminal could obey.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut marks = 0;
    for character in text.chars() {
        marks = if columns(character) == 0 {
            marks + 1
        } else {
            0
        };
        if is_unsafe(character) || marks > MAX_MARKS {
            push_escaped(&mut safe, character);
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The same for bytes that may not be UTF-8: those that are not are shown as `\xff`.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        safe.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            push_hex(&mut safe, u32::from(*byte));
        }
    }
    safe
}

/// Whether a terminal could obey the character, or a reader be fooled by it.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control() || is_format(character)
}

/// Format characters (Unicode's Cf, Zl and Zp), fillers that look like nothing,
/// and variation selectors, which change the width of what they follow.
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}'
        | '\u{8e2}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1345f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn push_escaped(safe: &mut String, character: char) {
    match character {
        '\n' => safe.push_str("\\n"),
        '\r' => safe.push_str("\\r"),
        '\t' => safe.push_str("\\t"),
        '\0'..='\x7f' => push_hex(safe, u32::from(character)),
        _ => {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("a string takes all");
        }
    }
}

fn push_hex(safe: &mut String, byte: u32) {
    write!(safe, "\\x{byte:02x}").expect("a string takes all");
}

/// Columns that a terminal gives the character.
fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Columns that a terminal gives the escaped text.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text, cut at its end to at most `max` columns: for names.
#[must_use]
pub fn shorten_end(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    if max == 0 {
        return String::new();
    }
    let (head, _) = split_at_width(text, max - 1);
    format!("{head}{ELLIPSIS}")
}

/// The text, cut in its middle to at most `max` columns: for paths, of which the
/// end says most.
#[must_use]
pub fn shorten_middle(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    if max == 0 {
        return String::new();
    }
    let left = (max - 1) / 3;
    let (head, rest) = split_at_width(text, left);
    let room = max - 1 - left;
    let mut tail_start = rest.len();
    let mut used = 0;
    for (at, character) in rest.char_indices().rev() {
        used += columns(character);
        if used > room {
            break;
        }
        tail_start = at;
    }
    format!("{head}{ELLIPSIS}{}", &rest[tail_start..])
}

/// The path in at most `max` columns: its first directories are left out where it is longer. `None` if even its file
/// name is wider.
#[must_use]
pub fn shorten_path(path: &str, max: usize) -> Option<String> {
    if width(path) <= max {
        return Some(path.to_owned());
    }
    let mut tails = path.match_indices('/').map(|(at, _)| &path[at..]);
    tails
        .find(|tail| width(tail) < max)
        .map(|tail| format!("{ELLIPSIS}{tail}"))
}

/// The longest head of at most `max` columns, and what is left of the text.
#[must_use]
pub fn split_at_width(text: &str, max: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += columns(character);
        if used > max {
            return text.split_at(at);
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn harmless_text_stays() {
        for text in [
            "",
            "nginx: worker",
            "/tmp/a\\x2db",
            "größe",
            "文件.txt",
            "Việt e\u{301}",
            "😀",
        ] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (text, shown) in [
            ("\x1b[31mred", r"\x1b[31mred"),
            ("a\nb\tc\rd", r"a\nb\tc\rd"),
            ("\0\x07\x7f", r"\x00\x07\x7f"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("\u{202e}gpj.exe", r"\u{202e}gpj.exe"),
            ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
            ("\u{200b}\u{feff}\u{ad}", r"\u{200b}\u{feff}\u{ad}"),
            ("\u{2028}\u{e0041}\u{fe0f}", r"\u{2028}\u{e0041}\u{fe0f}"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown() {
        assert_eq!(escape_bytes(b"a\xffb\xc3\xa9\x1b\xc3"), r"a\xffbé\x1b\xc3");
    }

    #[test]
    fn a_pile_of_marks_is_cut() {
        let shown = escape(&("a".to_owned() + &"\u{301}".repeat(6)));
        assert_eq!(
            shown,
            "a\u{301}\u{301}\u{301}\u{301}".to_owned() + r"\u{301}\u{301}"
        );
    }

    #[test]
    fn names_are_cut_at_the_end_and_paths_in_the_middle() {
        assert_eq!(shorten_end("connection_pool", 8), "connect…");
        assert_eq!(shorten_end("short", 5), "short");
        assert_eq!(
            shorten_middle("/var/log/service/access.log", 16),
            "/var/…access.log"
        );
        assert_eq!(shorten_middle("文文文文文文", 7), "文…文文");
        assert_eq!(shorten_end("文文", 3), "文…");
        assert_eq!(shorten_end("ab", 0), "");
    }

    #[test]
    fn a_path_loses_its_first_directories_and_never_its_file_name() {
        let path = "/usr/lib/go-1.19/src/os/file.go";
        assert_eq!(shorten_path(path, 31).as_deref(), Some(path));
        assert_eq!(
            shorten_path(path, 30).as_deref(),
            Some("…/lib/go-1.19/src/os/file.go")
        );
        assert_eq!(shorten_path(path, 12).as_deref(), Some("…/os/file.go"));
        assert_eq!(shorten_path(path, 11).as_deref(), Some("…/file.go"));
        assert_eq!(shorten_path(path, 9).as_deref(), Some("…/file.go"));
        assert_eq!(shorten_path(path, 8), None);
        assert_eq!(shorten_path("long_name.c", 8), None);
        assert_eq!(shorten_path("a/", 0), None);
    }

    proptest! {
        #[test]
        fn escaped_text_holds_nothing_unsafe(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_unsafe));
        }

        #[test]
        fn escaped_bytes_hold_nothing_unsafe(bytes in any::<Vec<u8>>()) {
            prop_assert!(!escape_bytes(&bytes).chars().any(is_unsafe));
        }

        #[test]
        fn shortened_text_fits(text in any::<String>(), max in 0_usize..40) {
            let text = escape(&text);
            prop_assert!(width(&shorten_end(&text, max)) <= max);
            prop_assert!(width(&shorten_middle(&text, max)) <= max);
            prop_assert!(shorten_path(&text, max).is_none_or(|path| width(&path) <= max));
            if width(&text) <= max {
                prop_assert_eq!(shorten_middle(&text, max), text);
            }
        }
    }
}
