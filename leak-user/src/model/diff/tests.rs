#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{
    sample::{any_report, finding, report},
    *,
};
use crate::model::hex::Hex;
use crate::model::report::Failure;

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
fn what_stopped_because_the_kernel_refused_more_is_not_better() {
    let leak = finding("server", &["open", "main"]);
    let base = report(std::slice::from_ref(&leak), "v1");
    let mut steady = leak.clone();
    steady.verdict = Verdict::Steady;
    steady.growth_per_second = 0.0;
    let mut full = report(std::slice::from_ref(&steady), "v1");
    assert_eq!(Diff::between(&base, &full).counts.shrank, 1);
    let failure = Failure {
        pid: full.processes[0].pid,
        comm: "server".to_owned(),
        error: "EMFILE".to_owned(),
        ..Failure::default()
    };
    full.failures.push(failure.clone());
    let diff = Diff::between(&base, &full);
    assert_eq!((diff.counts.same, diff.counts.shrank), (1, 0));
    assert_eq!(diff.sites[0].refused.as_deref(), Some("EMFILE"));
    // Attached after it was full, the tracer knows no site at all.
    full.findings.clear();
    assert_eq!(Diff::between(&base, &full).counts.gone, 0);
    // Another program's failure, or one that has nothing to do with files, says nothing.
    for (comm, error) in [("client", "EMFILE"), ("server", "ENOMEM")] {
        full.processes.clear();
        full.failures = vec![Failure {
            comm: comm.to_owned(),
            error: error.to_owned(),
            ..failure.clone()
        }];
        assert_eq!(Diff::between(&base, &full).counts.gone, 1, "{comm} {error}");
    }
    // What was steady before may well be gone.
    let base = report(&[steady], "v1");
    full.failures = vec![failure];
    assert_eq!(Diff::between(&base, &full).counts.gone, 1);
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
}
