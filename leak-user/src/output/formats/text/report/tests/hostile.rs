//! Reports of which every text and number is chosen by someone who means harm.

use proptest::prelude::*;

use super::{PLAIN, written};
use crate::{
    model::{
        escape::{is_unsafe, width},
        hex::Hex,
        report::{
            Example, Failure, Frame, Full, FullGroup, Holder, Limit, Process, Report, SharedLimit,
            Socket, Suppressed,
        },
        sample,
    },
    output::formats::TextOptions,
};

/// A report that has one text, with all that is hostile in it, everywhere.
fn hostile(text: &str, number: u64, real: f64) -> Report {
    let text = || text.to_owned();
    let mut report = sample::leaking();
    report.host.hostname = text();
    report.window.end = text();
    report.window.seconds = real;
    report.health.lost = number;
    report.health.lost_by_cause = [(text(), number)].into();
    report.health.uncovered = vec![text()];
    report.processes = vec![Process {
        pid: 1234,
        comm: text(),
        outstanding: [(text(), number), ("file".to_owned(), number)].into(),
        limits: vec![Limit {
            resource: text(),
            used: number,
            soft: number,
            exhaustion_seconds: Some(real),
            ..Limit::default()
        }],
        ..Process::default()
    }];
    let finding = &mut report.findings[0];
    finding.comm = text();
    finding.kind = text();
    finding.outstanding = number;
    finding.bytes = number;
    finding.confidence = real;
    finding.growth_per_second = real;
    finding.oldest_age_seconds = real;
    finding.exhaustion_seconds = Some(real);
    finding.evidence = vec![text()];
    finding.hint = Some(text());
    finding.stack = vec![
        Frame {
            address: Hex(number),
            symbol: text(),
            module: text(),
            file: Some(text()),
            line: Some(u32::MAX),
            inlined: true,
            build_id: Some(text()),
            module_offset: Some(Hex(number)),
        },
        Frame {
            symbol: String::new(),
            file: None,
            ..Frame {
                address: Hex(number),
                module: text(),
                module_offset: Some(Hex(number)),
                ..Frame::default()
            }
        },
    ];
    finding.examples = vec![Example {
        handle: text(),
        age_seconds: real,
        description: text(),
        socket: Some(Socket {
            family: text(),
            local: text(),
            peer: text(),
            state: text(),
        }),
        held_by: holders(&text, number),
    }];
    finding.waits_for = Some(text());
    report.failures = vec![Failure {
        pid: u32::MAX,
        start_time: number,
        comm: text(),
        error: text(),
        call: text(),
        after_seconds: real,
        count: number,
        meaning: text(),
        holders: holders(&text, number),
        stack: report.findings[0].stack.clone(),
    }];
    report.full = vec![
        Full {
            scope: text(),
            pid: u32::MAX,
            start_time: number,
            comm: text(),
            resource: text(),
            used: number,
            limit: number,
            refused: number,
            others: number,
            groups: vec![
                FullGroup {
                    kind: text(),
                    what: text(),
                    state: text(),
                    count: number,
                    oldest: text(),
                };
                3
            ],
        };
        2
    ];
    let limit = |resource: &str| SharedLimit {
        scope: text(),
        resource: resource.to_owned(),
        used: number,
        limit: number,
        growth_per_second: real,
        exhaustion_seconds: Some(real),
    };
    report.shared_limits = vec![limit(&text()), limit("memory")];
    report.suppressed = vec![
        Suppressed {
            why: text(),
            built_in: true,
            findings: number,
            outstanding: number,
        };
        12
    ];
    report
}

/// One holder of each way to name what it holds.
fn holders(text: &dyn Fn() -> String, number: u64) -> Vec<Holder> {
    let of = |handle, what| Holder {
        pid: u32::MAX,
        comm: text(),
        handle,
        what,
        count: number,
    };
    vec![
        of(text(), String::new()),
        of(String::new(), text()),
        of(String::new(), "bytes".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal_or_unsafe(
        text in "(\\PC|\\pC|[a-z /]){0,200}",
        number in prop_oneof![any::<u64>(), 0_u64..5],
        real in prop_oneof![any::<f64>(), 0.0..1e6],
        columns in 0_usize..200,
    ) {
        let report = hostile(&text, number, real);
        let options = TextOptions { width: columns, all: true, ..PLAIN };
        for line in written(&report, &options).lines() {
            prop_assert!(!line.chars().any(is_unsafe), "{:?}", line);
            prop_assert!(width(line) <= columns.clamp(40, 120), "{:?}", line);
        }
    }
}
