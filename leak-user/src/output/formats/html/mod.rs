//! Writes one self-contained page: charts, findings, an icicle of the stacks, tables, a filter.
//!
//! The page is a template without logic (`page.html`), one style and a few scripts that are files beside this
//! one, and the report as JSON in an element that browsers never execute. Scripts show text only as text
//! (`textContent`), and the policy in the page's head allows exactly this style and these scripts by their hashes: no
//! network, no handler in an attribute, nothing that a name from a traced process could bring along.
//!
//! Charts are drawn by scripts of ours (SVG lines, an icicle of buttons), some 300 lines: a charting library is larger
//! than the rest of the page, paints a canvas that cannot be searched, read out or printed well, and would be one
//! more thing to keep up to date.

mod content;
mod embed;

use std::io;

use super::{Format, Medium, Writer};
use crate::model::report::Report;

/// The page with `{{style}}`, `{{script}}`, `{{report}}` and `{{later}}` in the places of these.
const PAGE: &str = include_str!("page.html");

/// The style; the page's policy has its hash.
const STYLE: &str = include_str!("page.css");

/// The script in its parts, in an order in which each uses only what is before it when it starts; the page's policy
/// has the hash of all together.
const SCRIPTS: [&str; 11] = [
    "(() => {\n\"use strict\";\n",
    include_str!("dom.js"),
    include_str!("amounts.js"),
    include_str!("data.js"),
    include_str!("filter.js"),
    include_str!("chart.js"),
    include_str!("icicle.js"),
    include_str!("findings.js"),
    include_str!("processes.js"),
    include_str!("main.js"),
    "})();\n",
];

pub(super) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "One self-contained page with charts, for a browser",
        write: |report, _, out| write(report, out),
    }),
    medium: Medium::Page,
    ..Format::new("html")
};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let content = content::of(report);
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("the page is ours");
        out.write_all(before.as_bytes())?;
        match name {
            "style" => out.write_all(STYLE.as_bytes())?,
            "script" => out.write_all(SCRIPTS.concat().as_bytes())?,
            "report" => out.write_all(embed::in_script(&content.at_once).as_bytes())?,
            "later" => out.write_all(embed::packed(&content.later)?.as_bytes())?,
            other => unreachable!("the page has no place {other}"),
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

#[cfg(test)]
mod tests;
