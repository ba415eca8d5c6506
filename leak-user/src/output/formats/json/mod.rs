//! Writes JSON: pretty-printed, one document, a newline at its end.
//!
//! serde_json escapes the ASCII control characters in strings. Others that a
//! terminal obeys (C1, bidirectional overrides) are written as `\u` escapes here:
//! the values are the same, and the document can be shown anywhere.

pub mod read;

use std::{fmt::Write as _, io};

use serde::Serialize;

use crate::model::{escape::is_unsafe, report::Report};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
pub fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    write_document(report, out)
}

/// Writes any document.
pub(super) fn write_document<T: Serialize>(
    document: &T,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    out.write_all(terminal_safe(&text).as_bytes())?;
    out.write_all(b"\n")
}

/// Writes a document on one line.
pub(super) fn write_line<T: Serialize>(document: &T, out: &mut dyn io::Write) -> io::Result<()> {
    let text = serde_json::to_string(document)?;
    out.write_all(terminal_safe(&text).as_bytes())?;
    out.write_all(b"\n")
}

/// The same document without characters that a terminal obeys. Its structure is
/// ASCII, so all others are within strings; ASCII control characters are line
/// ends of the structure, except DEL.
fn terminal_safe(json: &str) -> String {
    with_escapes(json, |character| {
        character >= '\x7f' && is_unsafe(character)
    })
}

/// The same document with some characters, none of them of its structure, as `\u`
/// escapes.
pub(super) fn with_escapes(json: &str, escapes: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if escapes(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a string takes all");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::model::sample;
    use proptest::prelude::*;

    fn written(report: &Report) -> String {
        sample::text(|out| write(report, out))
    }

    #[test]
    fn a_report_comes_back_as_it_was() {
        let report = sample::leaking();
        let text = written(&report);
        assert!(text.starts_with("{\n  \"schema\": \"leaktrace.report/1\",\n"));
        assert!(text.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let value: serde_json::Value = serde_json::from_str(&written(&sample::leaking())).unwrap();
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let mut top = keys(&value);
        top.sort();
        assert_eq!(
            top,
            [
                "failures",
                "findings",
                "health",
                "host",
                "processes",
                "schema",
                "shared_limits",
                "suppressed",
                "window"
            ]
        );
        for key in [
            "verdict",
            "confidence",
            "kind",
            "pid",
            "comm",
            "acquired",
            "released",
            "outstanding",
            "bytes",
            "growth_per_second",
            "oldest_age_seconds",
            "exhaustion_seconds",
            "evidence",
            "hint",
            "stack",
            "examples",
        ] {
            assert!(
                keys(&value["findings"][0]).contains(&key.to_owned()),
                "{key}"
            );
        }
        assert_eq!(value["findings"][0]["verdict"], "leak");
    }

    proptest! {
        #[test]
        fn no_value_reaches_a_terminal_raw_and_none_changes(name in any::<String>()) {
            let mut report = sample::empty();
            report.host.hostname = format!("\x1b\u{9b}\u{7f}\u{202e}\u{e0041}{name}");
            let text = written(&report);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)));
            prop_assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        }
    }
}
