//! Filters: what they select is traced, and nothing else is.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::victim::program;
use harness::{BRIEF_NURSERY, Report, Tracer, Victim, be_taken_over, beside_others, grow_old};
use tempfile::TempDir;

/// Traces with these options while all of the victims do what they do.
fn traced(options: &[&str], victims: &mut [&mut Victim], word: &str) -> Report {
    let tracer = Tracer::start(&[options, &BRIEF_NURSERY[..]].concat());
    for victim in victims.iter_mut() {
        victim.tell();
    }
    for victim in victims {
        victim.expect(word);
    }
    grow_old();
    tracer.stop()
}

fn assert_absent(report: &Report, victim: &Victim) {
    let pid = victim.pid();
    let seen = report.process(pid).is_some() || report.findings.iter().any(|f| f.pid == pid);
    assert!(!seen, "{pid} was not chosen{}", report.excerpt(pid));
}

fn assert_mixed(report: &Report, victim: &Victim, kinds: &[(&str, u64)]) {
    let pid = victim.pid();
    for (kind, count) in kinds {
        assert_eq!(
            report.outstanding_at(pid, kind, "leak_mixed"),
            *count,
            "{kind}{}",
            report.excerpt(pid)
        );
    }
}

const ALL_OF_MIXED: [(&str, u64); 3] = [("file", 3), ("socket", 3), ("pipe", 6)];

#[test]
fn a_process_is_chosen_by_its_id() {
    let _turn = beside_others();
    let mut chosen = Victim::start("mixed", &[]);
    let mut also = Victim::start("mixed", &[]);
    let mut other = Victim::start("mixed", &[]);
    let (first, second) = (chosen.pid().to_string(), also.pid().to_string());
    let report = traced(
        &["-p", &first, "-p", &second],
        &mut [&mut chosen, &mut also, &mut other],
        "held",
    );
    assert_mixed(&report, &chosen, &ALL_OF_MIXED);
    assert_mixed(&report, &also, &ALL_OF_MIXED);
    assert_absent(&report, &other);
}

#[test]
fn descendants_of_a_chosen_process_are_traced() {
    let _turn = beside_others();
    let mut family = Victim::start("family", &[]);
    let mut other = Victim::start("mixed", &[]);
    let tracer = Tracer::of(family.pid(), &[]);
    family.tell();
    other.tell();
    let child: u32 = family.expect("child").parse().unwrap();
    let grandchild: u32 = family.expect("grandchild").parse().unwrap();
    other.expect("held");
    grow_old();
    let report = tracer.stop();
    for pid in [child, grandchild] {
        assert_eq!(
            report.outstanding_at(pid, "file", "leak_child"),
            2,
            "{}",
            report.excerpt(pid)
        );
    }
    assert_absent(&report, &other);
}

#[test]
fn a_process_is_chosen_by_its_name() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let named = directory.path().join("chosen-name");
    fs::copy(program("mixed"), &named).unwrap();
    let mut chosen = Victim::spawn(&mut Command::new(&named));
    chosen.expect("ready");
    let mut other = Victim::start("mixed", &[]);
    // One that is there before the tracer, one that comes later.
    let tracer = Tracer::start(&[&["--comm", "chosen-name"], &BRIEF_NURSERY[..]].concat());
    let mut later = Victim::spawn(&mut Command::new(&named));
    later.expect("ready");
    for victim in [&mut chosen, &mut later, &mut other] {
        victim.tell();
        victim.expect("held");
    }
    grow_old();
    let report = tracer.stop();
    assert_mixed(&report, &chosen, &ALL_OF_MIXED);
    assert_mixed(&report, &later, &ALL_OF_MIXED);
    assert_absent(&report, &other);
}

/// A cgroup of our own in the unified hierarchy; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Option<Cgroup> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let mount = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&"cgroup2"))?;
        let path = PathBuf::from(mount[1]).join(format!("leaktrace-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Cgroup(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Busy until the kernel has let go of its last process.
        let _ = harness::eventually(|| fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_process_is_chosen_by_its_cgroup() {
    let _turn = beside_others();
    let Some(cgroup) = Cgroup::new() else {
        eprintln!("skipped: no cgroup can be made in a cgroup2 hierarchy here");
        return;
    };
    let mut chosen = Victim::start("mixed", &[]);
    let mut other = Victim::start("mixed", &[]);
    fs::write(cgroup.0.join("cgroup.procs"), chosen.pid().to_string()).unwrap();
    let path = cgroup.0.to_str().unwrap();
    let report = traced(&["--cgroup", path], &mut [&mut chosen, &mut other], "held");
    assert_mixed(&report, &chosen, &ALL_OF_MIXED);
    assert_absent(&report, &other);
    drop(chosen);
}

#[test]
fn kinds_that_were_not_asked_for_are_absent() {
    let _turn = beside_others();
    let mut victim = Victim::start("mixed", &[]);
    let report = traced(&["-k", "socket"], &mut [&mut victim], "held");
    assert_mixed(&report, &victim, &[("file", 0), ("socket", 3), ("pipe", 0)]);
    let others: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.kind != "socket")
        .collect();
    assert!(others.is_empty(), "{others:?}");
    for process in &report.processes {
        let counts = process.outstanding.iter().chain(&process.preexisting);
        let others: Vec<_> = counts
            .filter(|(kind, count)| *kind != "socket" && **count > 0)
            .collect();
        assert!(others.is_empty(), "{process:?}");
    }
}

/// A process that goes at a word and leaves a child, which goes at the next one.
const LEAVES_A_CHILD: &str = "exec 3<&0; echo ready; read word; (read word; :) <&3 & echo left";

#[test]
fn a_trace_ends_when_all_that_was_chosen_has_ended() {
    let _turn = beside_others();
    let mut parent = Victim::spawn(Command::new("sh").args(["-c", LEAVES_A_CHILD]));
    parent.expect("ready");
    let pid = parent.pid().to_string();
    let mut tracer = Tracer::of(parent.pid(), &["-i", "100ms"]);
    parent.tell();
    parent.expect("left");
    // In this time it looks several times whether all have ended.
    be_taken_over();
    assert!(tracer.runs(), "the child of process {pid} still runs");
    parent.tell();
    let report = tracer.ends_by_itself();
    assert!(
        report.stderr.contains(&format!("process {pid} ended")),
        "{}",
        report.stderr
    );
}

#[test]
fn children_from_before_are_said_to_be_left_out() {
    let _turn = beside_others();
    let script = "sleep 60 & echo ready $!; read word; kill $!";
    let mut parent = Victim::spawn(Command::new("sh").args(["-c", script]));
    let child = parent.expect("ready");
    let pid = parent.pid().to_string();
    let alone = Tracer::start(&["-p", &pid]).stop().stderr;
    assert!(
        alone.contains(&format!("child {child} was there before and is not traced")),
        "{alone}"
    );
    let both = Tracer::start(&["-p", &pid, "-p", &child]).stop().stderr;
    assert!(!both.contains("was there before"), "{both}");
    parent.tell();
}

#[test]
fn what_others_do_is_not_counted_as_seen() {
    let _turn = beside_others();
    let idle = Victim::spawn(Command::new("sh").args(["-c", "echo ready; read word"]));
    let tracer = Tracer::of(idle.pid(), &[]);
    let script = "for i in $(seq 200); do /bin/true; done; echo done; read word";
    let mut busy = Victim::spawn(Command::new("bash").args(["-c", script]));
    busy.expect("done");
    grow_old();
    let report = tracer.stop();
    let seen = report.health.events;
    assert!(seen < 100, "{seen} events of an idle process");
}
