//! Claims on what names add to a verdict.

use super::*;
use crate::model::report::Frame;

fn judged(kind: Kind, observed: f64) -> Judged {
    Judged {
        key: SiteKey::Unknown(ProcessId::new(7, 70), kind),
        process: ProcessId::new(7, 70),
        kind,
        verdict: Verdict::Leak,
        confidence: 0.9,
        acquired: 90,
        released: 0,
        young: 0,
        outstanding: 90,
        preexisting: 0,
        unaccounted: 0,
        bytes: 0,
        growth_per_second: 5.0,
        oldest_age: observed,
        observed,
        rule: "growth",
        evidence: Vec::new(),
        waits_for: None,
        history: Vec::new(),
        samples: Vec::new(),
        exited: None,
        ways: Vec::new(),
        part_of: None,
    }
}

fn stack(symbols: &[&str]) -> Vec<Frame> {
    let frame = |symbol: &&str| Frame {
        symbol: (*symbol).to_owned(),
        ..Frame::default()
    };
    symbols.iter().map(frame).collect()
}

fn weighed(kind: Kind, observed: f64, named: &Named<'_>) -> Judged {
    let mut judged = judged(kind, observed);
    weigh(&mut judged, named);
    judged
}

#[test]
fn an_allocators_memory_is_a_leak_only_after_a_while() {
    let stack = stack(&["mmap", "sysmalloc", "malloc", "grow", "main"]);
    let named = Named {
        stack: &stack,
        ..Named::default()
    };
    let young = weighed(Kind::Mapping, 20.0, &named);
    assert_eq!(young.verdict, Verdict::Suspect);
    assert!(young.waits_for.is_some());
    assert_eq!(weighed(Kind::Mapping, 150.0, &named).verdict, Verdict::Leak);
    assert_eq!(weighed(Kind::File, 20.0, &named).verdict, Verdict::Leak);
}

#[test]
fn memory_that_a_program_maps_itself_is_as_any_resource() {
    let stack = stack(&["mmap", "load_tile", "main"]);
    let named = Named {
        stack: &stack,
        ..Named::default()
    };
    assert_eq!(weighed(Kind::Mapping, 20.0, &named).verdict, Verdict::Leak);
}

#[test]
fn stacks_without_threads_are_those_of_threads_not_joined() {
    let stack = stack(&["mmap", "pthread_create@@GLIBC_2.34", "main"]);
    let named = Named {
        stack: &stack,
        threads: 3,
        ..Named::default()
    };
    assert_eq!(
        weighed(Kind::Mapping, 20.0, &named).rule,
        "unjoined-threads"
    );
    let named = Named {
        threads: 91,
        ..named
    };
    assert_eq!(weighed(Kind::Mapping, 20.0, &named).rule, "growth");
}

#[test]
fn ends_without_another_end_are_told() {
    let named = Named {
        described: 5,
        half_closed: 5,
        ..Named::default()
    };
    let judged = weighed(Kind::Pipe, 20.0, &named);
    assert_eq!(judged.rule, "half-closed");
    assert_eq!(weighed(Kind::Epoll, 20.0, &named).rule, "growth");
}

#[test]
fn deleted_files_are_told() {
    let named = Named {
        described: 5,
        deleted: 4,
        ..Named::default()
    };
    let judged = weighed(Kind::File, 20.0, &named);
    assert_eq!(judged.rule, "deleted-files");
    assert!(judged.evidence[0].starts_with("4 of 5"));
}

#[test]
fn what_deleted_files_take_is_told_by_where_they_are() {
    let says = |in_memory, words: &str| {
        let named = Named {
            described: 5,
            deleted: 4,
            in_memory,
            ..Named::default()
        };
        let evidence = weighed(Kind::File, 20.0, &named).evidence;
        assert!(evidence[0].contains(words), "{evidence:?}");
    };
    says(0, "their space on disk comes back");
    says(4, "their memory comes back");
    says(1, "their memory or space on disk comes back");
}
