//! Processes that are at a limit when the trace begins, and stay there.

use harness::tracer::leaktrace;
use harness::{Report, Tracer, Victim, beside_others, grow_old, victim};
use serde_json::Value;

/// Descriptors beside the standard ones.
const HELD: &str = "56";

#[test]
fn a_process_that_is_full_and_does_not_grow_is_told_with_what_it_holds() {
    let _turn = beside_others();
    let full = Victim::start("limits", &["descriptors", "60", HELD]);
    let roomy = Victim::start("limits", &["descriptors", "600", HELD]);
    let other = roomy.pid().to_string();
    let tracer = Tracer::of(full.pid(), &["-p", &other]);
    grow_old();
    let report = tracer.stop();
    assert!(report.findings.is_empty(), "{}", report.excerpt(full.pid()));
    let told = report.document["full"]
        .as_array()
        .expect("the key is there");
    assert_eq!(told.len(), 1, "{told:?}");
    let told = &told[0];
    assert_eq!(told["pid"], full.pid(), "{told}");
    assert_eq!(
        (&told["resource"], &told["limit"]),
        (&"nofile".into(), &60.into()),
        "{told}"
    );
    let most = &told["groups"][0];
    // It may have inherited more of them.
    assert_eq!(most["what"], "/dev/null", "{told}");
    assert!(most["count"].as_u64() >= Some(56), "{told}");

    let pid = full.pid().to_string();
    let ran = leaktrace(&["trace", "-p", &pid, "-d", "1s"]);
    // The first screen tells it, and what follows tells of what.
    let screen = ran.stdout.split("\n\n").next().unwrap_or_default();
    assert!(screen.contains("/60, most: "), "{}", ran.stdout);
    let heading = format!("\nFULL limits descriptors 60 56 (pid {pid}");
    assert!(ran.stdout.contains(&heading), "{}", ran.stdout);
    assert!(!ran.stdout.contains("No leak found"), "{}", ran.stdout);
}

/// The process that is told to be full, of these limits.
fn told<'r>(report: &'r Report, resource: &str) -> &'r Value {
    let full = report.document["full"].as_array().unwrap();
    let of_it = |told: &&Value| told["resource"] == resource;
    full.iter()
        .find(of_it)
        .unwrap_or_else(|| panic!("no {resource}: {full:?}"))
}

#[test]
fn what_is_full_of_mappings_and_of_its_users_inotify_is_told_too() {
    let _turn = beside_others();
    if !victim::has_user_namespaces() {
        return;
    }
    let most: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    if most > 100_000 {
        eprintln!("skipped: a process may have {most} mappings here");
        return;
    }
    let mapped = (most * 19 / 20).to_string();
    let mappings = Victim::start("limits", &["apart", "600", &mapped]);
    let instances = Victim::start("limits", &["instances", "20", "19"]);
    let roomy = Victim::start("limits", &["instances", "20", "10"]);
    let others = [instances.pid(), roomy.pid()].map(|pid| pid.to_string());
    let tracer = Tracer::of(mappings.pid(), &["-p", &others[0], "-p", &others[1]]);
    grow_old();
    let report = tracer.stop();
    let told_of = |resource| told(&report, resource);
    let full = told_of("max_map_count");
    assert_eq!(full["pid"], mappings.pid(), "{full}");
    assert_eq!(full["groups"][0]["what"], "anonymous", "{full}");
    let full = told_of("inotify.max_user_instances");
    assert_eq!(full["pid"], instances.pid(), "{full}");
    assert_eq!(
        (&full["used"], &full["limit"]),
        (&19.into(), &20.into()),
        "{full}"
    );
    assert_eq!(report.document["full"].as_array().unwrap().len(), 2);
}
