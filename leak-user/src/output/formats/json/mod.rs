//! Writes JSON: pretty-printed, one document, a newline at its end.
//!
//! serde_json escapes the ASCII control characters in strings. Others that a
//! terminal obeys (C1, bidirectional overrides) are written as `\u` escapes here:
//! the values are the same, and the document can be shown anywhere.

pub mod read;

use std::{fmt::Write as _, io};

use serde::Serialize;

use super::{Format, Writer};
use crate::model::escape::is_unsafe;

pub(super) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "One document, schema leaktrace.report/1",
        write: |report, _, out| write_document(report, out),
    }),
    diff: Some(Writer {
        help: "One document, schema leaktrace.diff/1",
        write: |diff, _, out| write_document(diff, out),
    }),
    doctor: Some(Writer {
        help: "One document, schema leaktrace.doctor/1",
        write: |checks, _, out| write_document(checks, out),
    }),
    ..Format::new("json")
};

/// Writes any document.
fn write_document<T: Serialize>(document: &T, out: &mut dyn io::Write) -> io::Result<()> {
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

/// The same document without characters that a terminal obeys. All of them are within strings, since the structure of
/// JSON is ASCII. Of the ASCII control characters serde_json leaves only DEL to us; line ends belong to the structure.
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
    use crate::model::{diff::Diff, doctor::DoctorReport, report::Report, sample};
    use proptest::prelude::*;

    fn written(document: &impl Serialize) -> String {
        sample::text(|out| write_document(document, out))
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
                "full",
                "health",
                "host",
                "problems",
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
            "young",
            "outstanding",
            "preexisting",
            "unaccounted",
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

    #[test]
    fn the_doctors_checks_have_their_schema_and_come_back() {
        let text = written(&sample::checks());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "leaktrace.doctor/1");
        assert_eq!(value["checks"][1]["status"], "warn");
        assert_eq!(value["checks"][0]["fix"], serde_json::Value::Null);
        assert_eq!(
            serde_json::from_str::<DoctorReport>(&text).unwrap(),
            sample::checks()
        );
    }

    #[test]
    fn a_comparison_comes_back_as_it_was() {
        let diff = Diff::between(&sample::empty(), &sample::leaking());
        let text = written(&diff);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "leaktrace.diff/1");
        assert_eq!(value["sites"][0]["change"], "new");
        assert_eq!(value["sites"][0]["base"], serde_json::Value::Null);
        assert_eq!(value["sites"][0]["new"]["verdict"], "leak");
        assert_eq!(serde_json::from_str::<Diff>(&text).unwrap(), diff);
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
