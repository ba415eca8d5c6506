#![allow(clippy::unwrap_used, reason = "tests")]

use parquet::{
    data_type::AsBytes as _,
    file::{reader::FileReader as _, serialized_reader::SerializedFileReader},
    record::{Field, Row},
};
use proptest::prelude::*;

use super::{super::EventWriter as _, events::EventTable, *};
use crate::{
    event::{row::EventRow, sample::CALENDAR},
    model::sample,
};

fn read(file: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn findings(report: &Report) -> Vec<Row> {
    let mut out = Vec::new();
    write(report, &mut out).unwrap();
    read(out)
}

fn field(row: &Row, name: &str) -> Field {
    let mut columns = row.get_column_iter();
    let found = columns.find(|(column, _)| *column == name);
    found.unwrap_or_else(|| panic!("no {name}")).1.clone()
}

fn text(value: &str) -> Field {
    Field::Str(value.to_owned())
}

/// A field of the first element of a list of groups.
fn first(list: &Field, name: &str) -> Field {
    let Field::ListInternal(list) = list else {
        panic!("{list:?}");
    };
    let Field::Group(group) = &list.elements()[0] else {
        panic!("{list:?}");
    };
    field(group, name)
}

fn length(list: &Field) -> usize {
    match list {
        Field::ListInternal(list) => list.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_finding_is_a_row_with_its_stack_and_examples() {
    let mut report = sample::leaking();
    report.processes[0].container_id = Some("c0ffee".to_owned());
    let rows = findings(&report);
    assert_eq!(rows.len(), 3);
    let end = 1_767_323_055_000_000;
    for (name, value) in [
        ("ts", Field::TimestampMicros(end)),
        ("ts_ns", Field::Long(end * 1000)),
        ("window_seconds", Field::Double(240.0)),
        ("hostname", text("web1")),
        ("verdict", text("leak")),
        ("kind", text("socket")),
        ("pid", Field::Long(1234)),
        ("start_time", Field::Long(5000)),
        ("exe", text("/usr/sbin/nginx")),
        ("container_id", text("c0ffee")),
        ("outstanding", Field::Long(412)),
        ("exhaustion_seconds", Field::Double(150.0)),
    ] {
        assert_eq!(field(&rows[0], name), value, "{name}");
    }
    let stack = field(&rows[0], "stack");
    assert_eq!(length(&stack), 6);
    assert_eq!(first(&stack, "symbol"), text("__accept4"));
    assert_eq!(first(&stack, "file"), Field::Null);
    let examples = field(&rows[0], "examples");
    assert_eq!(length(&examples), 4);
    assert_eq!(first(&examples, "handle"), text("fd 12"));
    assert_eq!(length(&field(&rows[1], "stack")), 0);
    assert_eq!(field(&rows[1], "container_id"), Field::Null);
    assert_eq!(field(&rows[2], "exhaustion_seconds"), Field::Null);
}

#[test]
fn a_quiet_report_is_a_table_without_rows() {
    assert!(findings(&sample::empty()).is_empty());
}

#[test]
fn the_file_says_its_schema_and_is_compressed() {
    let mut out = Vec::new();
    write(&sample::leaking(), &mut out).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
    let metadata = reader.metadata();
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    assert!(pairs.contains(&KeyValue::new("schema".to_owned(), OUTSTANDING.to_owned())));
    let columns = metadata.row_group(0).columns();
    assert!(
        columns
            .iter()
            .all(|c| matches!(c.compression(), Compression::ZSTD(_)))
    );
}

fn events(rows: &[EventRow], batch: usize) -> Vec<Row> {
    let host = sample::empty().host;
    let mut writer = EventTable::new(Vec::new(), &host, batch).unwrap();
    for row in rows {
        writer.push(row.clone()).unwrap();
    }
    read(writer.close().unwrap())
}

#[test]
fn every_event_is_a_row_whatever_the_size_of_batches() {
    let rows: Vec<EventRow> = crate::analysis::sample::inputs()
        .iter()
        .filter_map(|input| input.row(CALENDAR))
        .collect();
    for batch in [1, 2, 4, 100] {
        let read = events(&rows, batch);
        assert_eq!(read.len(), rows.len(), "{batch}");
        for (read, row) in read.iter().zip(&rows) {
            assert_eq!(field(read, "event"), text(row.event));
            assert_eq!(field(read, "ts_ns"), Field::Long(row.ts_ns));
            assert_eq!(length(&field(read, "frames")), row.frames.len());
        }
        let acquired = &read[3];
        assert_eq!(field(acquired, "handle"), text("0x7000+4096"));
        assert_eq!(field(acquired, "size"), Field::Long(4096));
        assert_eq!(field(acquired, "comm"), Field::Null);
        assert_eq!(field(acquired, "hostname"), text("web1"));
    }
    assert!(events(&[], 4).is_empty());
}

proptest! {
    #[test]
    fn hostile_reports_come_back_as_they_were(
        name in any::<String>(),
        number in any::<u64>(),
        real in any::<f64>(),
        lengths in prop::collection::vec(0_usize..4, 3),
    ) {
        let mut report = sample::named(&name);
        for (finding, length) in report.findings.iter_mut().zip(lengths) {
            finding.outstanding = number;
            finding.growth_per_second = real;
            finding.evidence = vec![name.clone(); length];
            finding.examples.truncate(length);
        }
        let rows = findings(&report);
        prop_assert_eq!(rows.len(), 3);
        for (row, finding) in rows.iter().zip(&report.findings) {
            prop_assert_eq!(field(row, "comm"), text(&name));
            let count = i64::try_from(number).unwrap_or(i64::MAX);
            prop_assert_eq!(field(row, "outstanding"), Field::Long(count));
            let Field::Double(growth) = field(row, "growth_per_second") else { panic!() };
            prop_assert_eq!(growth.as_bytes(), real.as_bytes());
            prop_assert_eq!(length(&field(row, "evidence")), finding.evidence.len());
            prop_assert_eq!(length(&field(row, "examples")), finding.examples.len());
            prop_assert_eq!(length(&field(row, "stack")), finding.stack.len());
        }
    }
}
