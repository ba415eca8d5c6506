//! Reads a report back from its JSON. What is read may come from anywhere: it is bounded, and what is wrong with it
//! is said in words that help.

use std::{
    fmt,
    io::{self, Read},
};

use serde::Deserialize;

use crate::model::{
    escape::{escape, shorten_end},
    report::{Report, SCHEMA},
};

/// Most bytes of a document: some ten thousand findings.
pub const MAX_BYTES: u64 = 256 << 20;

/// Why something cannot be read as a report, for a message.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    Empty,
    /// More than [`MAX_BYTES`].
    TooLarge,
    /// It ends in the middle of the document.
    Truncated,
    /// Not a JSON document; where and why.
    NotJson(String),
    /// Something that does not say that it is a report.
    NoReport,
    /// It says that it is something else.
    Schema(String),
    /// A report of a version that this program does not know.
    Newer(String),
    /// It says that it is a report, and is not; where and why.
    Malformed(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "cannot be read: {error}"),
            ReadError::Empty => write!(f, "is empty; was the trace that wrote it cut off?"),
            ReadError::TooLarge => write!(
                f,
                "is larger than the {} MiB that a report may have; trace fewer processes (-p, --comm) or kinds (-k)",
                MAX_BYTES >> 20
            ),
            ReadError::Truncated => write!(f, "ends in the middle of the document: it was cut off"),
            ReadError::NotJson(why) => write!(f, "is no JSON ({why}); write a report with -f json"),
            ReadError::NoReport => {
                write!(
                    f,
                    "is no report of schema {SCHEMA}, and no recording: give it what -f json or `record` wrote"
                )
            }
            ReadError::Schema(schema) => write!(
                f,
                "has the schema {schema}, not {SCHEMA}; write it with -f json"
            ),
            ReadError::Newer(schema) => write!(
                f,
                "has the schema {schema}, this program reads {SCHEMA}: use a newer leaktrace"
            ),
            ReadError::Malformed(why) => write!(f, "says that it is a report, but is not: {why}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a report of schema `leaktrace.report/1`.
///
/// # Errors
///
/// Those of `source`, and whatever else it is that can be read there.
pub fn read(source: impl Read) -> Result<Report, ReadError> {
    let mut text = Vec::new();
    source
        .take(MAX_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(ReadError::Io)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    from_json(&text)
}

fn from_json(text: &[u8]) -> Result<Report, ReadError> {
    if text.trim_ascii().is_empty() {
        return Err(ReadError::Empty);
    }
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(ReadError::NoReport);
    }
    check_schema(text)?;
    serde_json::from_slice(text).map_err(|error| ReadError::Malformed(shown(&error.to_string())))
}

/// Checks what the document says that it is. Its other keys mean something only if it is a report.
fn check_schema(text: &[u8]) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        schema: serde_json::Value,
    }
    let document: Document = match serde_json::from_slice(text) {
        Ok(document) => document,
        Err(error) if error.is_eof() || is_at_end(&error, text) => {
            return Err(ReadError::Truncated);
        }
        Err(error) if error.is_data() => return Err(ReadError::NoReport),
        Err(error) => return Err(ReadError::NotJson(shown(&error.to_string()))),
    };
    let Some(schema) = document.schema.as_str() else {
        return Err(ReadError::NoReport);
    };
    if schema == SCHEMA {
        return Ok(());
    }
    let version = schema
        .strip_prefix("leaktrace.report/")
        .and_then(|version| version.parse::<u32>().ok());
    Err(match version {
        Some(2..) => ReadError::Newer(shown(schema)),
        _ => ReadError::Schema(shown(schema)),
    })
}

/// Whether an error is about the very end of the text. serde_json does not report the end of the file where a number
/// was cut off.
fn is_at_end(error: &serde_json::Error, text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    let last = lines.next_back().unwrap_or_default();
    error.line() == lines.count() + 1 && error.column() >= last.len()
}

/// What was read, as a message quotes it.
fn shown(text: &str) -> String {
    shorten_end(&escape(text), 200)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{model::sample, output::formats::json::write_document};
    use proptest::prelude::*;

    fn written() -> Vec<u8> {
        let mut text = Vec::new();
        write_document(&sample::leaking(), &mut text).unwrap();
        text
    }

    fn message(text: impl AsRef<[u8]>) -> String {
        read(text.as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn a_report_that_was_written_is_read() {
        assert_eq!(read(written().as_slice()).unwrap(), sample::leaking());
    }

    #[test]
    fn what_is_no_report_is_named() {
        let deep = "{\"a\":".to_owned() + &"[".repeat(100_000);
        for (text, words) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("2 leaks found", "is no report"),
            ("{\"schema\": \"leaktrace.rep", "cut off"),
            ("[1, 2]", "is no report"),
            ("7", "is no report"),
            ("{}", "is no report"),
            ("{\"schema\": 1}", "is no report"),
            (
                "{\"schema\": \"leaktrace.finding/1\"}",
                "has the schema leaktrace.finding/1, not",
            ),
            (
                "{\"schema\": \"leaktrace.report/x\"}",
                "has the schema leaktrace.report/x, not",
            ),
            (
                "{\"schema\": \"leaktrace.report/2\"}",
                "use a newer leaktrace",
            ),
            (
                "{\"schema\": \"leaktrace.report/1\"}",
                "missing field `host`",
            ),
            ("{\"schema\": \"\\u001b[31m\"}", r"has the schema \x1b[31m"),
            ("\u{9b}", "is no report"),
            ("{\"schema\" \u{9b}", "is no JSON"),
            (&deep, "cut off"),
        ] {
            let message = message(text);
            assert!(message.contains(words), "{text:.80}: {message}");
        }
    }

    #[test]
    fn endless_input_is_not_read_to_its_end() {
        let error = read(io::repeat(b' ')).unwrap_err();
        assert!(
            error.to_string().contains("larger than the 256 MiB"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn a_report_cut_off_anywhere_says_so(at in 1_usize..10_000) {
            let text = written();
            let at = at.min(text.len() - 3);
            let error = read(&text[..at]).unwrap_err();
            prop_assert!(matches!(error, ReadError::Truncated), "{error}");
        }

        #[test]
        fn a_report_with_a_wrong_byte_is_read_or_refused(at in 0_usize..10_000, byte in any::<u8>()) {
            let mut text = written();
            let at = at % text.len();
            text[at] = byte;
            if let Err(error) = read(text.as_slice()) {
                let message = error.to_string();
                prop_assert!(!message.chars().any(crate::model::escape::is_unsafe), "{message}");
            }
        }
    }
}
