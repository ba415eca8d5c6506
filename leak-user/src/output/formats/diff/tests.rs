#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::model::{
    escape::{is_unsafe, width},
    hex::Hex,
    report::{Finding, Process},
    sample,
};

/// A report of findings of one program each: verdict, program, kind, functions, outstanding, pace.
fn report(findings: &[Finding], builds: &str) -> Report {
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

fn finding(comm: &str, functions: &[&str]) -> Finding {
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

fn changes(diff: &Diff) -> Vec<(Change, String)> {
    let name = |site: &Site| {
        site.stack
            .first()
            .map(|f| f.symbol.clone())
            .unwrap_or_default()
    };
    diff.sites
        .iter()
        .map(|site| (site.change, name(site)))
        .collect()
}

#[test]
fn sites_are_told_apart_by_function_and_matched_across_builds() {
    let base = report(
        &[
            finding("server", &["open_a.constprop.0", "main::h0123456789abcdef"]),
            finding("server", &["open_b", "main"]),
        ],
        "v1",
    );
    let mut other = finding("server", &["open_a", "main::hfedcba9876543210"]);
    for frame in &mut other.stack {
        frame.build_id = Some("b2".to_owned());
        frame.line = Some(99);
        frame.module_offset = Some(Hex(0x9999));
    }
    let new = report(&[other, finding("server", &["open_c", "main"])], "v2");
    let diff = Diff::between(&base, &new);
    assert_eq!(
        changes(&diff),
        [
            (Change::New, "open_c".to_owned()),
            (Change::Gone, "open_b".to_owned()),
            (Change::Same, "open_a".to_owned()),
        ]
    );
    assert_eq!(
        diff.counts,
        Counts {
            new: 1,
            gone: 1,
            same: 1,
            ..Counts::default()
        }
    );
    assert_eq!(diff.worst_news(), Some(Verdict::Leak));
}

#[test]
fn frames_without_names_are_compared_by_offset_in_one_build_and_roughly_in_two() {
    let nameless = |build: &str, offset: u64| {
        let mut finding = finding("server", &["", "main"]);
        finding.stack[0].build_id = Some(build.to_owned());
        finding.stack[0].module_offset = Some(Hex(offset));
        finding
    };
    let base = report(&[nameless("b1", 0x10), nameless("b1", 0x20)], "v1");
    let same_build = report(&[nameless("b1", 0x10), nameless("b1", 0x20)], "v1");
    assert_eq!(Diff::between(&base, &same_build).counts.same, 2);
    let one_less = report(&[nameless("b1", 0x20)], "v1");
    let counts = Diff::between(&base, &one_less).counts;
    assert_eq!((counts.same, counts.gone), (1, 1));
    let other_build = report(&[nameless("b2", 0x18), nameless("b2", 0x28)], "v2");
    assert_eq!(
        Diff::between(&base, &other_build).counts,
        Counts {
            same: 1,
            ..Counts::default()
        },
        "told apart no more"
    );
}

#[test]
fn processes_of_a_program_are_summed() {
    let one = finding("server", &["open", "main"]);
    let mut steady = one.clone();
    steady.verdict = Verdict::Steady;
    let diff = Diff::between(
        &report(&[one.clone(), steady], "v1"),
        &report(&[one.clone(), one.clone(), one], "v1"),
    );
    let [site] = &diff.sites[..] else {
        panic!("{:?}", diff.sites)
    };
    assert_eq!(site.base.unwrap().outstanding, 100);
    assert_eq!(site.base.unwrap().verdict, Verdict::Leak);
    let new = site.new.unwrap();
    assert_eq!((new.findings, new.outstanding, new.acquired), (3, 150, 180));
    assert!((new.growth_per_second - 15.0).abs() < 1e-9);
    assert!((new.acquired_per_second - 18.0).abs() < 1e-9, "180 in 10 s");
    assert_eq!(site.change, Change::Grew);
}

#[test]
fn other_programs_and_kinds_are_other_sites() {
    let mut socket = finding("server", &["open", "main"]);
    socket.kind = "socket".to_owned();
    let base = report(&[finding("server", &["open", "main"])], "v1");
    for other in [socket, finding("client", &["open", "main"])] {
        let counts = Diff::between(&base, &report(&[other], "v1")).counts;
        assert_eq!(
            counts,
            Counts {
                new: 1,
                gone: 1,
                ..Counts::default()
            }
        );
    }
}

#[test]
fn a_process_whose_path_is_not_known_is_matched_by_its_name() {
    let long = finding("a-server-with-a-long-name", &["open", "main"]);
    let base = report(std::slice::from_ref(&long), "v1");
    let mut new = base.clone();
    new.processes[0].exe.clear();
    new.findings[0].comm.truncate(15);
    assert_eq!(Diff::between(&base, &new).counts.same, 1);
    new.processes[0].exe = "/opt/v2/a-server-with-a-long-name (deleted)".to_owned();
    assert_eq!(Diff::between(&base, &new).counts.same, 1);
}

fn text(diff: &Diff, all: bool) -> String {
    let options = TextOptions {
        width: 80,
        color: false,
        top: 10,
        all,
    };
    sample::text(|out| write_text(diff, &options, out))
}

#[test]
fn the_text_says_what_is_new_with_its_stack() {
    let base = report(&[finding("server", &["open_b", "main"])], "v1");
    let mut worse = finding("server", &["open_b", "main"]);
    worse.growth_per_second = 50.0;
    worse.outstanding = 500;
    let mut fresh = finding("server", &["open_c", "main"]);
    fresh.verdict = Verdict::Suspect;
    let mut quiet = finding("server", &["load_settings", "main"]);
    quiet.verdict = Verdict::Steady;
    let diff = Diff::between(&base, &report(&[worse, fresh, quiet], "v2"));
    assert_eq!(
        text(&diff, false),
        "\
More leaks: of the sites 2 new, 1 grew, 0 shrank, 0 gone, 0 the same.
base: web1, 10s until 2026-01-02T03:04:15Z; 1 finding
new:  web1, 10s until 2026-01-02T03:04:15Z; 3 findings

NEW file in server: suspect
    new   50 of 60 held, +5.0/s, 6.0/s acquired
    acquired at
      #0  open_c  (server)
      #1  main  (server)

GREW file in server: leak
    base  50 of 60 held, +5.0/s, 6.0/s acquired
    new   500 of 60 held, +50/s, 6.0/s acquired
    acquired at
      #0  open_b  (server)
      #1  main  (server)

1 steady site changed and is not shown (--all shows them).
"
    );
    assert!(text(&diff, true).contains("NEW file in server: steady"));
}

#[test]
fn what_makes_the_comparison_less_sure_is_said() {
    let mut base = sample::leaking();
    base.health.lost = 3;
    let new = sample::empty();
    let text = text(&Diff::between(&base, &new), false);
    assert!(
        text.contains("base: 3 records were lost: a site may be missing there."),
        "{text}"
    );
    assert!(text.contains("The windows differ much:"), "{text}");
}

#[test]
fn the_json_comes_back_as_it_was() {
    let diff = Diff::between(&sample::empty(), &sample::leaking());
    let mut out = Vec::new();
    write_json(&diff, &mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["schema"], "leaktrace.diff/1");
    assert_eq!(value["sites"][0]["change"], "new");
    assert_eq!(value["sites"][0]["base"], serde_json::Value::Null);
    assert_eq!(value["sites"][0]["new"]["verdict"], "leak");
    assert_eq!(serde_json::from_value::<Diff>(value).unwrap(), diff);
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

fn any_report() -> impl Strategy<Value = Report> {
    let seconds = prop_oneof![Just(0.0), Just(10.0), Just(600.0), Just(f64::NAN)];
    (prop::collection::vec(any_finding(), 0..12), seconds).prop_map(|(findings, seconds)| {
        let mut report = report(&findings, "v1");
        report.window.seconds = seconds;
        report
    })
}

/// Sites without what only one side can say.
fn told(sites: &[Site], mirrored: bool) -> Vec<String> {
    let mut told: Vec<String> = sites
        .iter()
        .map(|site| {
            let (change, base, new) = match (mirrored, site.change) {
                (false, change) => (change, site.base, site.new),
                (true, Change::New) => (Change::Gone, site.new, site.base),
                (true, Change::Gone) => (Change::New, site.new, site.base),
                (true, Change::Grew) => (Change::Shrank, site.new, site.base),
                (true, Change::Shrank) => (Change::Grew, site.new, site.base),
                (true, Change::Same) => (Change::Same, site.new, site.base),
            };
            format!("{change:?} {} {} {base:?} {new:?}", site.kind, site.program)
        })
        .collect();
    told.sort();
    told
}

proptest! {
    #[test]
    fn a_report_does_not_differ_from_itself(report in any_report()) {
        let diff = Diff::between(&report, &report);
        prop_assert!(diff.sites.iter().all(|site| site.change == Change::Same));
        prop_assert_eq!(diff.worst_news(), None);
    }

    #[test]
    fn the_other_way_round_everything_is_mirrored(a in any_report(), b in any_report()) {
        let (there, back) = (Diff::between(&a, &b), Diff::between(&b, &a));
        prop_assert_eq!(told(&there.sites, false), told(&back.sites, true));
    }

    #[test]
    fn every_finding_is_in_one_site(a in any_report(), b in any_report()) {
        let diff = Diff::between(&a, &b);
        let sum = |amounts: fn(&Site) -> Option<Amounts>| -> u64 {
            diff.sites.iter().filter_map(amounts).map(|amounts| amounts.findings).sum()
        };
        prop_assert_eq!(sum(|site| site.base), a.findings.len() as u64);
        prop_assert_eq!(sum(|site| site.new), b.findings.len() as u64);
    }

    #[test]
    fn the_text_fits_and_holds_nothing_a_terminal_obeys(a in any_report(), b in any_report()) {
        let text = text(&Diff::between(&a, &b), true);
        for line in text.lines() {
            prop_assert!(width(line) <= 80, "{line}");
            prop_assert!(!line.chars().any(is_unsafe), "{line:?}");
        }
    }
}
