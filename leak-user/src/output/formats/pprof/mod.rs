//! Writes a profile for `go tool pprof` and what else reads its form: a sample for each
//! finding, with its stack, what is outstanding there and what was acquired.
//!
//! How many bytes were acquired is not known, so there is no such value.

mod proto;
mod tables;

use std::io;

use flate2::{Compression, write::GzEncoder};
use leak_common::Kind;
use prost::Message;

use self::{
    proto::{Label, Profile, Sample, ValueType},
    tables::Tables,
};
use super::{Format, Medium, Writer};
use crate::model::{
    report::{Finding, Report, Verdict},
    time::unix_nanos,
};

/// Types of values and their units; the first is shown unless another is asked for.
const VALUES: [(&str, &str); 3] = [
    ("outstanding", "count"),
    ("outstanding_bytes", "bytes"),
    ("acquired", "count"),
];

/// Stands in the place of a stack where the acquisition was not seen.
const NO_STACK: &str = "[no stack]";

pub(super) static FORMAT: Format = Format {
    medium: Medium::Binary,
    report: Some(Writer {
        help: "A profile for `go tool pprof`, compressed",
        write: |report, _, out| write(report, None, out),
    }),
    ..Format::new("pprof")
};

/// Writes the findings of one kind, or of all, compressed by gzip as pprof has it.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, kind: Option<Kind>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(out, Compression::default());
    io::Write::write_all(&mut gzip, &profile(report, kind).encode_to_vec())?;
    gzip.finish()?;
    Ok(())
}

fn profile(report: &Report, kind: Option<Kind>) -> Profile {
    let mut tables = Tables::new();
    let types = VALUES.map(|(name, unit)| ValueType {
        r#type: tables.string(name),
        unit: tables.string(unit),
    });
    let samples: Vec<Sample> = report
        .findings
        .iter()
        .filter(|finding| kind.is_none_or(|kind| finding.kind == kind.name()))
        .map(|finding| sample(finding, &mut tables))
        .collect();
    let comments = comments(report).map(|comment| tables.string(&comment));
    Profile {
        default_sample_type: types[0].r#type,
        sample_type: types.to_vec(),
        sample: samples,
        time_nanos: unix_nanos(&report.window.start).unwrap_or(0),
        // Saturates; not a number is 0.
        duration_nanos: (report.window.seconds * 1e9) as i64,
        comment: comments.to_vec(),
        ..tables.profile
    }
}

fn sample(finding: &Finding, tables: &mut Tables) -> Sample {
    let mut locations = tables.stack(&finding.stack);
    if locations.is_empty() {
        locations.push(tables.named(NO_STACK));
    }
    let verdict = match finding.verdict {
        Verdict::Leak => "leak",
        Verdict::Suspect => "suspect",
        Verdict::Steady => "steady",
    };
    let mut label = vec![Label {
        key: tables.string("pid"),
        num: i64::from(finding.pid),
        str: 0,
    }];
    label.extend(
        [
            ("comm", finding.comm.as_str()),
            ("kind", &finding.kind),
            ("verdict", verdict),
        ]
        .map(|(key, text)| Label {
            key: tables.string(key),
            str: tables.string(text),
            num: 0,
        }),
    );
    let value = [finding.outstanding, finding.bytes, finding.acquired];
    Sample {
        location_id: locations,
        value: value.map(|n| i64::try_from(n).unwrap_or(i64::MAX)).into(),
        label,
    }
}

/// Where it was taken, and how far it can be trusted: `go tool pprof -comments`.
fn comments(report: &Report) -> [String; 2] {
    let host = &report.host;
    let lost = match report.health.lost {
        0 => "nothing was lost".to_owned(),
        lost => format!("{lost} records were lost"),
    };
    [
        format!(
            "leaktrace on {}, Linux {} {}",
            host.hostname, host.kernel, host.arch
        ),
        format!("{} events seen; {lost}", report.health.events),
    ]
}

#[cfg(test)]
mod tests;
