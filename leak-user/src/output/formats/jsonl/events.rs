//! Events as JSON lines, one event a line.

use std::io;

use serde::Serialize;

use crate::{
    event::row::EventRow,
    model::{event_totals::EventTotals, report::Host, time::rfc3339},
    output::formats::{EventWriter, json},
};

/// Schema of an event's line.
const EVENT: &str = "leaktrace.event/1";

/// Schema of the line behind the last event.
const END: &str = "leaktrace.events/1";

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    host: &'a str,
    /// RFC 3339 with nanoseconds; `ts_ns` is the same.
    time: String,
    #[serde(flatten)]
    row: &'a EventRow,
}

#[derive(Serialize)]
struct End<'a> {
    schema: &'static str,
    host: &'a str,
    #[serde(flatten)]
    totals: &'a EventTotals,
}

/// Lines that are being written.
struct Lines<'a> {
    host: String,
    out: Box<dyn io::Write + Send + 'a>,
}

/// Begins with the events of a host.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other formats write a header, which may fail"
)]
pub(super) fn start<'a>(
    host: &Host,
    out: Box<dyn io::Write + Send + 'a>,
) -> io::Result<Box<dyn EventWriter + 'a>> {
    let host = host.hostname.clone();
    Ok(Box::new(Lines { host, out }))
}

impl EventWriter for Lines<'_> {
    fn push(&mut self, row: EventRow) -> io::Result<()> {
        write_line(&row, &self.host, &mut self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The last line: how many events there were, and what is missing.
    fn finish(mut self: Box<Self>, totals: &EventTotals) -> io::Result<()> {
        let end = End {
            schema: END,
            host: &self.host,
            totals,
        };
        json::write_line(&end, &mut self.out)
    }
}

fn write_line(row: &EventRow, host: &str, out: &mut dyn io::Write) -> io::Result<()> {
    let line = Line {
        schema: EVENT,
        host,
        time: rfc3339(row.ts_ns),
        row,
    };
    json::write_line(&line, out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{event::sample::CALENDAR, model::sample};

    fn written(row: &EventRow, host: &str) -> String {
        sample::text(|out| write_line(row, host, out))
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let rows: Vec<EventRow> = crate::analysis::sample::inputs()
            .iter()
            .filter_map(|input| input.row(CALENDAR))
            .collect();
        let line: Value = serde_json::from_str(&written(&rows[3], "web1")).unwrap();
        assert_eq!(
            line,
            json!({
                "schema": "leaktrace.event/1",
                "host": "web1",
                "time": "2026-01-02T03:04:05.003Z",
                "event": "acquired",
                "ts_ns": 1_767_323_045_003_000_000_i64,
                "pid": 77,
                "start_time": 5,
                "kind": "mapping",
                "handle": "0x7000+4096",
                "site": "0x0000000000001234",
                "size": 4096,
            })
        );
        for row in &rows {
            let text = written(row, "web1");
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let line: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(line["event"], row.event);
        }
    }

    proptest! {
        #[test]
        fn hostile_names_stay_within_their_line(name in any::<String>()) {
            let name = format!("\n\u{9b}{name}");
            let row = EventRow { comm: Some(name.clone()), ..EventRow::default() };
            let text = written(&row, &name);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let line: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(line["comm"].as_str(), Some(name.as_str()));
            prop_assert_eq!(line["host"].as_str(), Some(name.as_str()));
        }
    }
}
