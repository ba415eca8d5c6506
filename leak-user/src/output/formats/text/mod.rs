//! Writes for people: a report, a comparison of two, and the doctor's checks. No line is wider than asked for, and every
//! name from outside passes [`escape`](crate::model::escape) first.

pub(super) mod amounts;
mod diff;
mod doctor;
mod frames;
mod names;
mod page;
mod report;

use super::{ChecksWriter, Format, TextOptions, Writer};

pub(super) static FORMAT: Format = Format {
    is_selective: true,
    report: Some(Writer {
        help: "For people",
        write: report::write,
    }),
    diff: Some(Writer {
        help: "For people",
        write: diff::write,
    }),
    doctor: Some(Writer {
        help: "For people",
        write: doctor::write,
    }),
    checks: Some(ChecksWriter {
        check: doctor::check,
        result: doctor::result,
    }),
    ..Format::new("text")
};
