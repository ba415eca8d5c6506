//! What is said on standard error when a report, a recording or events have been written.

use super::complain;
use crate::{
    cli::Failing,
    model::{escape::escape, event_totals::EventTotals, report::Report},
    output::{Output, Style},
    recording::{format, writer::Summary},
};

/// Tells the build server that was named of what a report found.
pub(super) fn notify(failing: Failing, report: &Report, style: Style) {
    let Some(server) = failing.ci else { return };
    // The traced command may have left a line without its end, and the server reads whole lines.
    eprintln!();
    let written = Output::stderr().write_document(server.format(), report, style);
    if let Err(error) = written {
        complain(&format!("{error:#}"));
    }
}

/// Says what was recorded, and whether all of it was. `waited`: nothing was to be written before a trigger fired.
pub(super) fn recorded(summary: &Summary, waited: bool) -> bool {
    if let Some(error) = &summary.error {
        complain(error);
        return false;
    }
    let names: Vec<String> = summary
        .files
        .iter()
        .map(|path| escape(&path.to_string_lossy()))
        .collect();
    match (names.as_slice(), waited) {
        ([], true) => eprintln!("no trigger fired, so nothing was written"),
        ([], false) => eprintln!("recorded {} records", summary.records),
        (names, _) => eprintln!(
            "recorded {} records, {} bytes, in {}",
            summary.records,
            summary.bytes,
            names.join(", ")
        ),
    }
    if summary.lost > 0 {
        eprintln!(
            "{} records are missing from the recording; its report counts them as lost",
            summary.lost
        );
    }
    if summary.is_full {
        eprintln!("the recording reached --max-size and ended; it is complete");
    }
    if let Some(chain) = &summary.chain {
        eprintln!("chain {}", format::hexadecimal(chain));
    }
    true
}

/// Says what is missing among events that were written.
pub(super) fn missing(totals: &EventTotals) {
    if totals.lost > 0 {
        let first = totals.uncovered.first().map_or("", String::as_str);
        eprintln!(
            "leaktrace: {} records are missing: {}",
            totals.lost,
            escape(first)
        );
    }
}

/// Says what is missing among events, and whether they could be written.
pub(super) fn written(events: anyhow::Result<EventTotals>) -> bool {
    match events {
        Ok(found) => {
            missing(&found);
            true
        }
        Err(error) => {
            complain(&format!("{error:#}"));
            false
        }
    }
}
