//! The table of findings.

use std::io;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};

use super::columns::{Columns, number};
use crate::model::{
    hex::Hex,
    report::{Example, Finding, Frame, Report, Verdict},
    time::unix_nanos,
};

/// Names are those of the report's JSON form where they mean the same.
pub(super) const SCHEMA: &str = "message outstanding {
    required int64 ts (TIMESTAMP(MICROS,true));
    required int64 ts_ns;
    required int64 window_start (TIMESTAMP(MICROS,true));
    required double window_seconds;
    required binary hostname (STRING);
    required binary boot_id (STRING);
    required binary verdict (STRING);
    required double confidence;
    required binary kind (STRING);
    required int64 pid;
    required int64 start_time;
    required binary comm (STRING);
    required binary exe (STRING);
    optional binary container_id (STRING);
    required int64 acquired;
    required int64 released;
    required int64 young;
    required int64 outstanding;
    required int64 unaccounted;
    required int64 bytes;
    required double growth_per_second;
    required double oldest_age_seconds;
    optional double exhaustion_seconds;
    required binary rule (STRING);
    required group evidence (LIST) {
        repeated group list { required binary element (STRING); }
    }
    optional binary hint (STRING);
    required group stack (LIST) {
        repeated group list {
            required group element {
                required binary address (STRING);
                required binary symbol (STRING);
                required binary module (STRING);
                optional binary file (STRING);
                optional int64 line;
                required boolean inlined;
                optional binary build_id (STRING);
                optional binary module_offset (STRING);
            }
        }
    }
    required group examples (LIST) {
        repeated group list {
            required group element {
                required binary handle (STRING);
                required double age_seconds;
                required binary description (STRING);
            }
        }
    }
}";

pub(super) fn write<W: io::Write + Send>(
    report: &Report,
    columns: &mut Columns<'_, W>,
) -> io::Result<()> {
    window(report, columns)?;
    process(report, columns)?;
    let rows = || report.findings.iter();
    columns.numbers(rows().map(|row| number(row.acquired)))?;
    columns.numbers(rows().map(|row| number(row.released)))?;
    columns.numbers(rows().map(|row| number(row.young)))?;
    columns.numbers(rows().map(|row| number(row.outstanding)))?;
    columns.numbers(rows().map(|row| number(row.unaccounted)))?;
    columns.numbers(rows().map(|row| number(row.bytes)))?;
    columns.reals(rows().map(|row| row.growth_per_second))?;
    columns.reals(rows().map(|row| row.oldest_age_seconds))?;
    columns.optional_reals(rows().map(|row| row.exhaustion_seconds))?;
    columns.texts(rows().map(|row| row.rule.as_str()))?;
    columns.list::<ByteArrayType, _, _>(rows().map(|row| &row.evidence), |sentence| {
        ByteArray::from(sentence.as_str())
    })?;
    columns.optional_texts(rows().map(|row| row.hint.as_deref()))?;
    stack(report, columns)?;
    examples(report, columns)
}

/// The report's own columns, and the verdict.
fn window<W: io::Write + Send>(report: &Report, columns: &mut Columns<'_, W>) -> io::Result<()> {
    let (host, window) = (&report.host, &report.window);
    let end = unix_nanos(&window.end).unwrap_or(0);
    let start = unix_nanos(&window.start).unwrap_or(0);
    let rows = || report.findings.iter();
    columns.numbers(rows().map(|_| end.div_euclid(1000)))?;
    columns.numbers(rows().map(|_| end))?;
    columns.numbers(rows().map(|_| start.div_euclid(1000)))?;
    columns.reals(rows().map(|_| window.seconds))?;
    columns.texts(rows().map(|_| host.hostname.as_str()))?;
    columns.texts(rows().map(|_| host.boot_id.as_str()))?;
    columns.texts(rows().map(|row| match row.verdict {
        Verdict::Leak => "leak",
        Verdict::Suspect => "suspect",
        Verdict::Steady => "steady",
    }))?;
    columns.reals(rows().map(|row| row.confidence))?;
    columns.texts(rows().map(|row| row.kind.as_str()))
}

fn process<W: io::Write + Send>(report: &Report, columns: &mut Columns<'_, W>) -> io::Result<()> {
    let rows = || report.findings.iter();
    let process = |row: &Finding| report.process_of(row);
    columns.numbers(rows().map(|row| i64::from(row.pid)))?;
    columns.numbers(
        rows().map(|row| number(process(row).map_or(row.start_time, |process| process.start_time))),
    )?;
    columns.texts(rows().map(|row| row.comm.as_str()))?;
    columns.texts(rows().map(|row| process(row).map_or("", |process| &process.exe)))?;
    columns.optional_texts(rows().map(|row| process(row)?.container_id.as_deref()))
}

fn stack<W: io::Write + Send>(report: &Report, columns: &mut Columns<'_, W>) -> io::Result<()> {
    let rows = || report.findings.iter().map(|row| &row.stack);
    let bytes = |text: &Option<String>| text.as_deref().map(ByteArray::from);
    let hex = |number: Hex| ByteArray::from(number.to_string().into_bytes());
    columns.list::<ByteArrayType, _, _>(rows(), |at: &Frame| hex(at.address))?;
    columns.list::<ByteArrayType, _, _>(rows(), |at: &Frame| at.symbol.as_str().into())?;
    columns.list::<ByteArrayType, _, _>(rows(), |at: &Frame| at.module.as_str().into())?;
    columns.optional_list::<ByteArrayType, _, _>(rows(), |at: &Frame| bytes(&at.file))?;
    columns.optional_list::<Int64Type, _, _>(rows(), |at: &Frame| at.line.map(i64::from))?;
    columns.list::<BoolType, _, _>(rows(), |at: &Frame| at.inlined)?;
    columns.optional_list::<ByteArrayType, _, _>(rows(), |at: &Frame| bytes(&at.build_id))?;
    columns.optional_list::<ByteArrayType, _, _>(rows(), |at: &Frame| at.module_offset.map(hex))
}

fn examples<W: io::Write + Send>(report: &Report, columns: &mut Columns<'_, W>) -> io::Result<()> {
    let rows = || report.findings.iter().map(|row| &row.examples);
    columns.list::<ByteArrayType, _, _>(rows(), |one: &Example| one.handle.as_str().into())?;
    columns.list::<DoubleType, _, _>(rows(), |one: &Example| one.age_seconds)?;
    columns.list::<ByteArrayType, _, _>(rows(), |one: &Example| one.description.as_str().into())
}
