//! Every row of the table of system calls: a leak is seen with its kind, its
//! number and the function that did it; a twin that gives back is not.
//!
//! One tracer watches all victims, which run at once.

use harness::report::{DESCRIPTOR_KINDS, Finding};
use harness::rows::{ROWS, Row};
use harness::victim::{LACKS, Victim};
use harness::{BRIEF_NURSERY, Report, Tracer, alone, grow_old, proc};

/// A victim that said what it holds, and what `/proc` showed then.
struct Done {
    row: &'static Row,
    leaks: bool,
    victim: Victim,
    descriptors: u64,
}

impl Done {
    fn site(&self) -> String {
        let mode = if self.leaks { "leak" } else { "twin" };
        format!("{mode}_{}", self.row.name)
    }
}

fn run_all(failures: &mut Vec<String>) -> Vec<Done> {
    let mut running = Vec::new();
    for row in ROWS {
        for (mode, leaks) in [("leak", true), ("twin", false)] {
            let count = row.count.to_string();
            let mut victim = Victim::start("rows", &[row.name, mode, &count]);
            victim.tell();
            running.push((row, leaks, victim));
        }
    }
    let mut done = Vec::new();
    for (row, leaks, mut victim) in running {
        match victim.wait_for("held") {
            Ok(_) => done.push(Done {
                row,
                leaks,
                descriptors: proc::descriptor_count(victim.pid()),
                victim,
            }),
            Err(LACKS) if row.may_be_lacking(proc::kernel(), cfg!(target_arch = "x86_64")) => {
                eprintln!("skipped: this kernel has no {}", row.name);
            }
            Err(code) => failures.push(format!("the victim {} ended with {code}", row.name)),
        }
    }
    done
}

/// What is wrong with a report's account of a victim.
fn complaints(report: &Report, done: &Done) -> Vec<String> {
    let mut complaints = Vec::new();
    let pid = done.victim.pid();
    let site = done.site();
    let findings = report.at(pid, &site);
    let sum = |kind: &str, what: fn(&Finding) -> u64| -> u64 {
        findings
            .iter()
            .filter(|finding| finding.kind == kind)
            .map(|finding| what(finding))
            .sum()
    };
    let kinds = ["mapping", "shm", "thread", "process"];
    for kind in DESCRIPTOR_KINDS.into_iter().chain(kinds) {
        let wanted = if done.leaks {
            done.row.expected(kind)
        } else {
            0
        };
        let seen = sum(kind, |finding| finding.outstanding);
        if seen != wanted {
            complaints.push(format!("{seen} of {kind} outstanding, not {wanted}"));
        }
    }
    let bytes = if done.leaks {
        done.row.bytes * done.row.count
    } else {
        0
    };
    let seen = sum("mapping", |f| f.bytes) + sum("shm", |f| f.bytes);
    if seen != bytes {
        complaints.push(format!("{seen} bytes outstanding, not {bytes}"));
    }
    for finding in findings.iter().filter(|finding| finding.verdict == "leak") {
        if !done.leaks {
            complaints.push(format!("{} is called a leak", finding.kind));
        }
    }
    // Whatever the site: the number of descriptors is that of /proc.
    let counted = report.process(pid).map_or(0, |p| p.descriptors());
    if counted != done.descriptors && (counted != 0 || done.leaks) {
        complaints.push(format!(
            "{counted} descriptors outstanding or preexisting, /proc has {}",
            done.descriptors
        ));
    }
    complaints
}

#[test]
fn every_leak_is_seen_where_it_happened_and_no_twin_is() {
    check_every_row(&BRIEF_NURSERY);
}

#[test]
fn the_same_is_seen_with_every_event_in_the_ring() {
    check_every_row(&[&["--all-events"], &BRIEF_NURSERY[..]].concat());
}

/// What the table says of close-on-exec has to be right by itself: a comparison with `/proc` after
/// the exec would hide it if it were not.
#[test]
fn what_closes_on_exec_is_known_without_proc() {
    let _alone = alone();
    let closing = ROWS.iter().filter(|row| row.name.starts_with("exec"));
    let mut victims: Vec<Victim> = closing
        .map(|row| Victim::start("rows", &[row.name, "twin", "3"]))
        .collect();
    let pids: Vec<String> = victims
        .iter()
        .map(|victim| victim.pid().to_string())
        .collect();
    let chosen = pids.iter().flat_map(|pid| ["-p", pid]);
    let options: Vec<&str> = chosen.chain(BRIEF_NURSERY).collect();
    let tracer = Tracer::start(&options);
    for victim in &mut victims {
        victim.tell();
    }
    for victim in &mut victims {
        match victim.wait_for("held") {
            Ok(held) => assert_eq!(held, "0"),
            Err(code) => assert_eq!(code, LACKS),
        }
    }
    grow_old();
    let report = tracer.stop();
    assert_eq!(report.health.reconciled, 0, "{:?}", report.health);
}

fn check_every_row(options: &[&str]) {
    let _alone = alone();
    let mut failures = Vec::new();
    let tracer = Tracer::of_descendants(options);
    let done = run_all(&mut failures);
    grow_old();
    let report = tracer.stop();
    for done in &done {
        let complaints = complaints(&report, done);
        if !complaints.is_empty() {
            failures.push(format!(
                "{}: {}{}",
                done.site(),
                complaints.join("; "),
                report.excerpt(done.victim.pid())
            ));
        }
    }
    let names: Vec<&str> = failures
        .iter()
        .filter_map(|failure| failure.lines().next())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} are wrong:\n{}\n\n{}",
        failures.len(),
        2 * ROWS.len(),
        names.join("\n"),
        failures.join("\n\n")
    );
}
