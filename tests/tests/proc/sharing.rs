//! Who else holds a file that is leaked: by dup, by fork, or because it was sent.

use std::collections::BTreeSet;

use harness::report::Example;
use harness::{Report, Tracer, Victim, beside_others, grow_old};

/// What came of `victims/shared.c`. A busy machine may not be looked through in time,
/// but the process's family is, which has all of the holders here.
struct Ran {
    report: Report,
    pid: u32,
}

impl Ran {
    /// The examples of what was leaked.
    fn examples(&self) -> Vec<&Example> {
        let findings = self.report.at(self.pid, "leak_shared");
        let examples: Vec<&Example> = findings.iter().flat_map(|one| &one.examples).collect();
        assert!(!examples.is_empty(), "{}", self.report.excerpt(self.pid));
        assert!(
            findings.iter().all(|finding| finding.verdict != "steady"),
            "{}",
            self.report.excerpt(self.pid)
        );
        examples
    }
}

fn share(way: &str) -> Ran {
    let _turn = beside_others();
    let mut victim = Victim::start("shared", &[way]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &["-i", "200ms"]);
    victim.tell();
    victim.expect("held");
    grow_old();
    let report = tracer.stop();
    Ran { report, pid }
}

fn number(handle: &str) -> u32 {
    handle.strip_prefix("fd ").unwrap().parse().unwrap()
}

#[test]
fn a_duplicate_in_the_same_process_is_named() {
    let ran = share("dup");
    let mut duplicates = BTreeSet::new();
    for example in ran.examples() {
        let [holder] = example.held_by.as_slice() else {
            panic!("{example:?}");
        };
        assert_eq!((holder.pid, holder.count), (ran.pid, 1), "{example:?}");
        // Made right after it, of the lowest numbers that are free.
        assert!(
            number(&holder.handle) > number(&example.handle),
            "{example:?}"
        );
        assert!(duplicates.insert(&holder.handle), "{example:?}");
    }
}

/// The descriptors by which children hold what was leaked, with their processes; each
/// file is held by one.
fn held_by_children(ran: &Ran) -> Vec<(String, u32)> {
    let holders = ran.examples().into_iter().map(|example| {
        let [holder] = example.held_by.as_slice() else {
            panic!("{example:?}");
        };
        assert_eq!(
            (holder.comm.as_str(), holder.count),
            ("shared", 1),
            "{example:?}"
        );
        assert_ne!(holder.pid, ran.pid, "{example:?}");
        (holder.handle.clone(), holder.pid)
    });
    holders.collect()
}

#[test]
fn a_child_holds_what_it_inherited() {
    let ran = share("fork");
    let held = held_by_children(&ran);
    for (example, (handle, _)) in ran.examples().iter().zip(&held) {
        assert_eq!(&example.handle, handle);
    }
    let children: BTreeSet<u32> = held.iter().map(|(_, pid)| *pid).collect();
    assert_eq!(children.len(), held.len(), "{held:?}");
}

#[test]
fn who_got_it_in_a_message_holds_it() {
    let held = held_by_children(&share("message"));
    let handles: BTreeSet<&String> = held.iter().map(|(handle, _)| handle).collect();
    assert_eq!(handles.len(), held.len(), "{held:?}");
    assert!(held.iter().all(|(_, pid)| *pid == held[0].1), "{held:?}");
}

#[test]
fn a_file_that_was_opened_twice_is_not_shared() {
    for example in share("twice").examples() {
        assert!(example.held_by.is_empty(), "{example:?}");
    }
}
