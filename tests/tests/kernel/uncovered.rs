//! What the tracer cannot follow, it says, and does not take for something else.

use harness::victim::LACKS;
use harness::{Tracer, Victim, beside_others, grow_old, proc};

#[test]
fn calls_with_32_bit_numbers_are_not_misread() {
    let _turn = beside_others();
    let mut victim = Victim::start("compat", &[]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    match victim.wait_for("held") {
        Ok(_) => {}
        Err(LACKS) => {
            eprintln!("skipped: this kernel has no 32-bit system calls");
            return;
        }
        Err(code) => panic!("the victim ended with {code}"),
    }
    grow_old();
    let report = tracer.stop();
    let excerpt = report.excerpt(pid);
    let process = report.process(pid).expect("the process is in the report");
    assert_eq!(
        process.holds("socket"),
        0,
        "dup was read as socket{excerpt}"
    );
    assert!(
        report.health.uncovered.iter().any(|s| s.contains("32-bit")),
        "nothing says that something was not seen{excerpt}"
    );
    assert!(
        process.descriptors() <= proc::descriptor_count(pid),
        "{excerpt}"
    );
    assert!(report.leaks_of(pid).is_empty(), "{excerpt}");
}
