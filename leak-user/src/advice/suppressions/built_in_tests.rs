//! What is suppressed without being asked for, and what needs all of its sites to be.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{
    tests::{finding, report, suppressions},
    *,
};

/// The stack depot's memory, as a program built with gcc 12 and AddressSanitizer has it.
const DEPOT: [&str; 6] = [
    "__sanitizer::internal_mmap(void*, unsigned long, int, int, int, unsigned long long)",
    "__sanitizer::MmapOrDie(unsigned long, char const*, bool)",
    "__sanitizer::PersistentAllocator<unsigned long>::refillAndAlloc(unsigned long)",
    "__sanitizer::StackDepotBase<__sanitizer::StackDepotNode, 1, 20>::Put(__sanitizer::StackTrace, bool*)",
    "malloc",
    "main",
];

#[test]
fn each_suppression_that_is_built_in_is_of_frames_and_says_why() {
    let built_in = Suppressions::built_in();
    assert!(!built_in.built_in.is_empty());
    for one in built_in.built_in {
        assert_eq!(one.check().map_err(|error| error.to_string()), Ok(()));
        assert!(
            one.kind.is_some(),
            "of a kind that was looked at: {}",
            one.why
        );
        assert!(!one.frames.is_empty(), "{}", one.why);
        assert!(one.frames.literals() >= 16, "too wide: {}", one.why);
        assert!(one.why.ends_with('.'), "a sentence: {}", one.why);
    }
}

#[test]
fn what_is_built_in_takes_what_its_frames_say_and_no_leak_beside_it() {
    let taken: [&[&str]; 6] = [
        &DEPOT,
        &[
            "__sanitizer::StackStore::Map(unsigned long, char const*)",
            "__sanitizer::StackStore::BlockInfo::Create(__sanitizer::StackStore*)",
        ],
        &[
            "__sanitizer::TwoLevelMap<__sanitizer::StackDepotNode, 32768ull, 65536ull>::Create(unsigned long) const",
            "__sanitizer::StackDepotBase<__sanitizer::StackDepotNode, 1, 20>::Put(__sanitizer::StackTrace, bool*)",
        ],
        &[
            "__sanitizer::LowLevelAllocator::Allocate(unsigned long)",
            "__asan_register_globals",
        ],
        // gcc's libasan without its symbols.
        &["", "", "", "__asan_register_globals", "", "call_init"],
        &[
            "VirtualSpace::expand_by(unsigned long, bool)",
            "CodeHeap::expand_by(unsigned long)",
        ],
    ];
    let left: [&[&str]; 7] = [
        &["mmap", "load_tile", "main"],
        &[
            "__sanitizer::internal_mmap(void*)",
            "__sanitizer::SizeClassAllocator64<__asan::AP64<x> >::PopulateFreeArray(y)",
            "malloc",
        ],
        &[
            "__sanitizer::StackStore::Map(unsigned long, char const*)",
            "__sanitizer::StackStore::Pack(x)",
        ],
        &[
            "__sanitizer::TwoLevelMap<unsigned char, 4096ull, 4096ull>::Create(unsigned long) const",
            "malloc",
        ],
        &[
            "__sanitizer::LowLevelAllocator::Allocate(unsigned long)",
            "pthread_create",
        ],
        &["mmap64", "_dl_map_segments", "dlopen"],
        &[
            "os::commit_memory(x)",
            "metaspace::VirtualSpaceNode::commit_range(x)",
            "Metaspace::allocate(x)",
        ],
    ];
    let of = |stacks: &[&[&str]]| {
        let findings = stacks.iter().map(|stack| finding("mapping", "app", stack));
        let mut report = report(findings.collect());
        Suppressions::built_in().apply(&mut report);
        report
    };
    let report = of(&taken);
    assert_eq!(report.findings, []);
    let findings: u64 = report.suppressed.iter().map(|one| one.findings).sum();
    assert_eq!(findings, taken.len() as u64);
    assert!(report.suppressed.iter().all(|one| one.built_in));
    let report = of(&left);
    assert_eq!(
        (report.findings.len(), report.suppressed.len()),
        (left.len(), 0)
    );
    // By these frames nothing but memory is taken.
    let mut other = super::tests::report(vec![finding("file", "app", &DEPOT)]);
    Suppressions::built_in().apply(&mut other);
    assert_eq!(other.findings.len(), 1);
}

#[test]
fn ones_own_reason_comes_first_and_what_is_built_in_spares_the_steady() {
    let mut list = Suppressions::built_in();
    list.add("[[suppress]]\ncomm = \"mine\"\nwhy = \"w\"\n")
        .unwrap();
    let steady = |comm| Finding {
        verdict: Verdict::Steady,
        ..finding("mapping", comm, &DEPOT)
    };
    let mut report = report(vec![
        finding("mapping", "mine", &DEPOT),
        steady("mine"),
        finding("mapping", "other", &DEPOT),
        steady("other"),
    ]);
    list.apply(&mut report);
    assert_eq!(report.findings, [steady("other")]);
    let told: Vec<_> = report
        .suppressed
        .iter()
        .map(|s| (s.built_in, s.findings))
        .collect();
    assert_eq!(told, [(false, 2), (true, 1)]);
}

#[test]
fn a_verdict_on_several_sites_stays_until_all_of_them_are_suppressed() {
    let site = |verdict, symbol, site| Finding {
        verdict,
        site,
        ..finding("file", "app", &["open", symbol])
    };
    let judged = || Finding {
        ways: vec![2, 3],
        ..site(Verdict::Leak, "one", 1)
    };
    let findings = || {
        vec![
            judged(),
            site(Verdict::Steady, "two", 2),
            site(Verdict::Steady, "three", 3),
            site(Verdict::Steady, "apart", 4),
            // The same numbers elsewhere are other sites.
            Finding {
                pid: 9,
                ..site(Verdict::Steady, "one", 3)
            },
        ]
    };
    let about = |symbols: &str| {
        let list = suppressions(&format!(
            "[[suppress]]\nframes = [\"{symbols}\"]\nwhy = \"w\"\n"
        ));
        let mut report = report(findings());
        list.apply(&mut report);
        let left: Vec<String> = report
            .findings
            .iter()
            .map(|f| f.stack[1].symbol.clone())
            .collect();
        (left.join(" "), report)
    };
    let (left, report) = about("one");
    assert_eq!(left, "one two three apart");
    assert_eq!(report.findings[0].verdict, Verdict::Leak);
    assert!(
        report.findings[0].evidence[0].contains("not 2 others"),
        "{:?}",
        report.findings[0]
    );
    let (left, report) = about("one|two");
    assert_eq!(left, "one three apart");
    assert!(report.findings[0].evidence[0].contains("the other one"));
    assert_eq!(about("two|three").0, "one apart one");
    let (left, report) = about("one|two|three");
    assert_eq!((left.as_str(), report.suppressed[0].findings), ("apart", 4));
}
