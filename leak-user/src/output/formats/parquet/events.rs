//! The table of events, written as they come.

use std::io;

use parquet::{
    data_type::{ByteArray, ByteArrayType},
    file::writer::SerializedFileWriter,
};

use super::{
    EVENTS,
    columns::{Columns, number},
    open, other,
};
use crate::{
    event::row::EventRow,
    model::{event_totals::EventTotals, report::Host},
    output::formats::EventWriter,
};

/// Rows that are held in memory before they are written.
const BATCH: usize = 1 << 16;

/// Names are those of the events as JSON lines.
const SCHEMA: &str = "message events {
    required int64 ts (TIMESTAMP(MICROS,true));
    required int64 ts_ns;
    required binary hostname (STRING);
    required binary boot_id (STRING);
    required binary event (STRING);
    required int64 pid;
    required int64 start_time;
    optional binary kind (STRING);
    optional binary handle (STRING);
    optional binary other_handle (STRING);
    optional binary site (STRING);
    optional int64 size;
    optional int64 acquired_ts_ns;
    optional int64 parent_pid;
    optional binary comm (STRING);
    optional binary cause (STRING);
    required group frames (LIST) {
        repeated group list { required binary element (STRING); }
    }
}";

/// A file of events that is being written.
pub(super) struct EventTable<W: io::Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Vec<EventRow>,
    batch: usize,
    hostname: String,
    boot_id: String,
}

/// Begins a file of the events of a host.
pub(super) fn start<'a>(
    host: &Host,
    out: Box<dyn io::Write + Send + 'a>,
) -> io::Result<Box<dyn EventWriter + 'a>> {
    Ok(Box::new(EventTable::new(out, host, BATCH)?))
}

impl<W: io::Write + Send> EventWriter for EventTable<W> {
    /// Takes an event; a batch of them is written together.
    fn push(&mut self, row: EventRow) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() < self.batch {
            return Ok(());
        }
        self.write_rows()
    }

    /// Nothing: a table can be read only when it is complete, and small batches would make it large.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes what is left and the file's end. A table has no place for what is missing.
    fn finish(self: Box<Self>, _totals: &EventTotals) -> io::Result<()> {
        self.close()?.flush()
    }
}

impl<W: io::Write + Send> EventTable<W> {
    pub(super) fn new(out: W, host: &Host, batch: usize) -> io::Result<EventTable<W>> {
        Ok(EventTable {
            file: open(out, SCHEMA, EVENTS)?,
            rows: Vec::new(),
            batch,
            hostname: host.hostname.clone(),
            boot_id: host.boot_id.clone(),
        })
    }

    /// Writes what is left and the file's end, and gives back the place that was written to.
    pub(super) fn close(mut self) -> io::Result<W> {
        self.write_rows()?;
        self.file.into_inner().map_err(other)
    }

    fn write_rows(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = || self.rows.iter();
        let mut columns = Columns::of(&mut self.file)?;
        columns.numbers(rows().map(|row| row.ts_ns.div_euclid(1000)))?;
        columns.numbers(rows().map(|row| row.ts_ns))?;
        columns.texts(rows().map(|_| self.hostname.as_str()))?;
        columns.texts(rows().map(|_| self.boot_id.as_str()))?;
        columns.texts(rows().map(|row| row.event))?;
        columns.numbers(rows().map(|row| i64::from(row.pid)))?;
        columns.numbers(rows().map(|row| i64::from(row.start_time)))?;
        columns.optional_texts(rows().map(|row| row.kind))?;
        columns.optional_texts(rows().map(|row| row.handle.as_deref()))?;
        columns.optional_texts(rows().map(|row| row.other_handle.as_deref()))?;
        columns.optional_texts(rows().map(|row| row.site.as_deref()))?;
        columns.optional_numbers(rows().map(|row| row.size.map(number)))?;
        columns.optional_numbers(rows().map(|row| row.acquired_ts_ns))?;
        columns.optional_numbers(rows().map(|row| row.parent_pid.map(i64::from)))?;
        columns.optional_texts(rows().map(|row| row.comm.as_deref()))?;
        columns.optional_texts(rows().map(|row| row.cause))?;
        columns.list::<ByteArrayType, _, _>(rows().map(|row| &row.frames), |address| {
            ByteArray::from(address.as_str())
        })?;
        columns.close()?;
        self.rows.clear();
        Ok(())
    }
}
