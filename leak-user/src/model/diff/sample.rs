//! Reports to compare, for tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use crate::model::{
    hex::Hex,
    report::{Finding, Frame, Process, Report, Verdict},
    sample,
};

/// A report of findings of one program each: verdict, program, kind, functions, outstanding, pace.
pub(crate) fn report(findings: &[Finding], builds: &str) -> Report {
    let mut report = sample::empty();
    for (number, finding) in findings.iter().enumerate() {
        let pid = 100 + u32::try_from(number).unwrap();
        report.processes.push(Process {
            pid,
            comm: finding.comm.clone(),
            exe: format!("/opt/{builds}/{}", finding.comm),
            ..Process::default()
        });
        let mut finding = finding.clone();
        finding.pid = pid;
        report.findings.push(finding);
    }
    report
}

pub(crate) fn finding(comm: &str, functions: &[&str]) -> Finding {
    Finding {
        verdict: Verdict::Leak,
        kind: "file".to_owned(),
        comm: comm.to_owned(),
        acquired: 60,
        released: 10,
        outstanding: 50,
        growth_per_second: 5.0,
        stack: functions.iter().map(|name| frame(name, 0x1000)).collect(),
        ..Finding::default()
    }
}

fn frame(symbol: &str, offset: u64) -> Frame {
    Frame {
        address: Hex(0x556),
        symbol: symbol.to_owned(),
        module: "/opt/server".to_owned(),
        module_offset: Some(Hex(offset)),
        build_id: Some("b1".to_owned()),
        line: Some(7),
        ..Frame::default()
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let name = prop::sample::select(vec![
        "",
        "main",
        "open",
        "open.cold",
        "f::h0123456789abcdef",
        "\u{1b}[2J\u{202e}",
    ]);
    let module = prop::sample::select(vec!["", "/opt/server", "libc.so.6", "/x/a\nb"]);
    (name, module, 0_u8..3, 0_u8..2).prop_map(|(symbol, module, offset, build)| Frame {
        symbol: symbol.to_owned(),
        module: module.to_owned(),
        module_offset: (offset > 0).then_some(Hex(offset.into())),
        build_id: (build > 0).then(|| "b".to_owned()),
        ..Frame::default()
    })
}

prop_compose! {
    fn any_finding()(
        verdict in prop::sample::select(vec![Verdict::Leak, Verdict::Suspect, Verdict::Steady]),
        comm in prop::sample::select(vec!["server", "client", "", "文\u{7}", "a-very-long-name-of-a-process"]),
        kind in prop::sample::select(vec!["file", "socket", "\u{9b}"]),
        outstanding in prop_oneof![0_u64..200, Just(u64::MAX)],
        growth_per_second in prop_oneof![0.0_f64..20.0, Just(-1.0), Just(f64::NAN), Just(f64::INFINITY)],
        stack in prop::collection::vec(any_frame(), 0..4),
    ) -> Finding {
        Finding {
            verdict,
            comm: comm.to_owned(),
            kind: kind.to_owned(),
            acquired: outstanding,
            outstanding,
            growth_per_second,
            hint: Some("\u{1b}]0;x\u{7}".to_owned()),
            stack,
            ..Finding::default()
        }
    }
}

pub(crate) fn any_report() -> impl Strategy<Value = Report> {
    let seconds = prop_oneof![Just(0.0), Just(10.0), Just(600.0), Just(f64::NAN)];
    (prop::collection::vec(any_finding(), 0..12), seconds).prop_map(|(findings, seconds)| {
        let mut report = report(&findings, "v1");
        report.window.seconds = seconds;
        report
    })
}
