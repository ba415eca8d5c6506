//! Writes tables for DuckDB, Spark and the like, as Parquet files: what is outstanding
//! (a row for each finding) and single events. Times are there twice, as timestamps of
//! microseconds, since some readers reject finer ones, and as nanoseconds in `ts_ns`.
//!
//! Columns are written without arrow: a table is a list of columns in the order of its
//! schema, each made from the rows by a function.

mod columns;
mod events;
mod outstanding;

use std::{io, sync::Arc};

use parquet::{
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};

use super::{Format, Medium, Writer};
use crate::model::report::Report;
use columns::Columns;

/// Schema of the table of findings, among the file's metadata.
const OUTSTANDING: &str = "leaktrace.outstanding/1";

/// Schema of the table of events.
const EVENTS: &str = "leaktrace.events/1";

pub(super) static FORMAT: Format = Format {
    medium: Medium::Directory,
    report: Some(Writer {
        help: "Tables for DuckDB and Spark, in a directory that -o names, by date and host",
        write: |report, _, out| write(report, out),
    }),
    events: Some(events::start),
    ..Format::new("parquet")
};

/// Writes the findings of a report, with their examples, as one file.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let mut file = open(Vec::new(), outstanding::SCHEMA, OUTSTANDING)?;
    let mut columns = Columns::of(&mut file)?;
    outstanding::write(report, &mut columns)?;
    columns.close()?;
    out.write_all(&file.into_inner().map_err(other)?)
}

fn open<W: io::Write + Send>(
    out: W,
    schema: &str,
    name: &str,
) -> io::Result<SerializedFileWriter<W>> {
    let schema = parse_message_type(schema).map_err(other)?;
    SerializedFileWriter::new(out, Arc::new(schema), properties(name)).map_err(other)
}

fn properties(schema: &str) -> WriterPropertiesPtr {
    let version = env!("CARGO_PKG_VERSION");
    let schema = KeyValue::new("schema".to_owned(), schema.to_owned());
    Arc::new(
        WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(format!("leaktrace {version}"))
            .set_key_value_metadata(Some(vec![schema]))
            .build(),
    )
}

fn other(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests;
