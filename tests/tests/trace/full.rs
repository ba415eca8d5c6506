//! Processes that are at a limit when the trace begins, and stay there.

use harness::tracer::leaktrace;
use harness::{Tracer, Victim, beside_others, grow_old};

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
    assert!(ran.stdout.starts_with("FULL limits ("), "{}", ran.stdout);
    assert!(!ran.stdout.contains("No leak found"), "{}", ran.stdout);
}
