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
        last_user: None,
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

/// Frames by function and file.
fn frames(names: &[(&str, &str)]) -> Vec<Frame> {
    let frame = |&(symbol, module): &(&str, &str)| Frame {
        symbol: symbol.to_owned(),
        module: module.to_owned(),
        ..Frame::default()
    };
    names.iter().map(frame).collect()
}

#[test]
fn only_who_calls_for_memory_makes_it_an_allocators() {
    let libc = "/usr/lib/libc.so.6";
    let jvm = "/usr/lib/jvm/lib/server/libjvm.so";
    let of = |names: &[(&str, &str)]| {
        let stack = frames(names);
        let named = Named {
            stack: &stack,
            ..Named::default()
        };
        weighed(Kind::Mapping, 20.0, &named).verdict
    };
    let heap = [
        ("__mmap64", libc),
        ("os::pd_commit_memory", jvm),
        ("JavaMain", jvm),
    ];
    assert_eq!(of(&heap), Verdict::Suspect);
    let file = [
        ("__mmap64", libc),
        (
            "Java_sun_nio_ch_UnixFileDispatcherImpl_map0",
            "/jvm/lib/libnio.so",
        ),
        ("readChunk", ""),
        ("JavaCalls::call_helper", jvm),
    ];
    assert_eq!(of(&file), Verdict::Leak);
    let block = [
        ("mmap64", libc),
        ("sysmalloc", libc),
        ("malloc", libc),
        ("grow", "/bin/a"),
    ];
    assert_eq!(of(&block), Verdict::Suspect);
    let own = [
        ("mmap64", libc),
        ("load", "/bin/a"),
        ("malloc_stats_print", "/lib/b.so"),
    ];
    assert_eq!(of(&own), Verdict::Leak);
}

#[test]
fn memory_that_many_places_get_by_one_call_is_as_an_allocators() {
    let stack = frames(&[("mmap", "libc.so.6"), ("chunk_new", "a"), ("grow", "a")]);
    let loader = frames(&[
        ("mmap", "ld-linux.so.2"),
        ("_dl_map_segments", "ld-linux.so.2"),
    ]);
    let of = |stack, of_files, ways: usize| {
        let mut judged = judged(Kind::Mapping, 20.0);
        judged.ways = vec![judged.key; ways];
        let named = Named {
            stack,
            described: 5,
            of_files,
            ..Named::default()
        };
        weigh(&mut judged, &named);
        judged.verdict
    };
    assert_eq!(of(&stack, 0, 0), Verdict::Leak);
    assert_eq!(of(&stack, 0, 3), Verdict::Suspect);
    assert_eq!(of(&stack, 5, 3), Verdict::Leak);
    assert_eq!(of(&loader, 5, 3), Verdict::Suspect);
    assert_eq!(of(&loader, 5, 0), Verdict::Leak);
}

#[test]
fn a_mapping_of_a_file_is_no_heap() {
    let stack = frames(&[("mmap", "libc.so.6"), ("os::map_memory", "libjvm.so")]);
    let of_files = |of_files| Named {
        stack: &stack,
        described: 5,
        of_files,
        ..Named::default()
    };
    let verdict = |named| weighed(Kind::Mapping, 20.0, &named).verdict;
    assert_eq!(verdict(of_files(4)), Verdict::Leak);
    assert_eq!(verdict(of_files(1)), Verdict::Suspect);
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
