//! Notes at lines of code, as GitHub's runner reads them from the log of a step ("workflow commands",
//! docs.github.com/actions/reference/workflow-commands): `::error file=app.py,line=10,title=...::...`.
//!
//! The runner makes absolute paths below the checkout relative to it. It shows at most ten notes of each level a step,
//! so the worst come first.

use std::io;

use super::{Notice, notices};
use crate::{
    model::{escape::escape, report::Report},
    output::formats::{Format, TextOptions, Writer},
};

pub(in crate::output::formats) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "Notes at lines of code for GitHub Actions, one for each leak and suspect",
        write,
    }),
    ..Format::new("github")
};

fn write(report: &Report, options: &TextOptions, out: &mut dyn io::Write) -> io::Result<()> {
    for notice in notices(report, options) {
        writeln!(out, "{}", command(&notice))?;
    }
    Ok(())
}

fn command(notice: &Notice) -> String {
    let level = if notice.fails { "error" } else { "warning" };
    let place = notice.line().map_or(String::new(), |line| {
        format!(
            "file={},line={},",
            property(&escape(line.file)),
            line.number
        )
    });
    let title = property(&notice.title());
    let text = data(&notice.lines().join("\n"));
    format!("::{level} {place}title={title}::{text}")
}

/// What follows `::`. The runner takes a line as one command, and knows these three codes.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The value of a property: commas and colons would end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
