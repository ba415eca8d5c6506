#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::model::{
    hex::Hex,
    report::{Example, Holder, Process, Socket},
    sample,
};

/// A stack below `app.py`: the line, then what it calls, innermost last.
fn stack(line: u32, calls: &[&str]) -> Vec<Frame> {
    let frame = |symbol: &str, file: &str, line| Frame {
        address: Hex(u64::from(line)),
        ..sample::frame(symbol, "python3.11", Some((file, line)), false)
    };
    let mut stack: Vec<Frame> = calls
        .iter()
        .rev()
        .zip(500..)
        .map(|(call, line)| frame(call, "/usr/lib/python3.11/library.py", line))
        .collect();
    stack.push(frame("ask", "/srv/app.py", line));
    stack.push(frame("<module>", "/srv/app.py", 99));
    stack
}

fn finding(kind: &str, pid: u32, outstanding: u64, stack: Vec<Frame>) -> Finding {
    Finding {
        verdict: Verdict::Leak,
        kind: kind.to_owned(),
        pid,
        start_time: u64::from(pid),
        comm: "app".to_owned(),
        acquired: outstanding,
        outstanding,
        growth_per_second: outstanding as f64 / 10.0,
        rule: "growth".to_owned(),
        stack,
        ..Finding::default()
    }
}

fn told(findings: Vec<Finding>, processes: Vec<Process>) -> Vec<Problem> {
    let mut report = Report {
        findings,
        processes,
        ..sample::empty()
    };
    tell(&mut report);
    report.problems
}

/// The findings of each problem.
fn sets(findings: Vec<Finding>) -> Vec<Vec<usize>> {
    let problems = told(findings, Vec::new());
    let sets = problems.into_iter().map(|problem| problem.findings);
    sets.collect()
}

#[test]
fn what_one_line_acquires_at_one_pace_is_one_problem() {
    let popen = vec![
        finding("pipe", 1, 100, stack(10, &["Popen", "stdin"])),
        finding("pipe", 1, 101, stack(10, &["Popen", "stdout"])),
        finding("process", 1, 50, stack(10, &["Popen", "fork_exec"])),
    ];
    let problems = told(popen, Vec::new());
    assert_eq!(problems.len(), 1);
    let problem = &problems[0];
    assert_eq!(problem.findings, [1, 0, 2]);
    // The pipes are descriptors, the processes are not.
    assert_eq!((problem.kind.as_str(), problem.outstanding), ("pipe", 201));
    assert_eq!(problem.parts.len(), 3);
    assert_eq!(
        (problem.place.as_str(), problem.via.as_str()),
        ("app.py:10 ask", "Popen")
    );
}

#[test]
fn other_lines_paces_and_callers_are_other_problems() {
    let other_caller = |mut stack: Vec<Frame>| {
        stack.last_mut().unwrap().line = Some(98);
        stack
    };
    let one = || finding("file", 1, 100, stack(10, &["open"]));
    for other in [
        finding("socket", 1, 140, stack(10, &["connect"])),
        finding("socket", 1, 100, other_caller(stack(10, &["connect"]))),
        finding("socket", 2, 100, stack(10, &["connect"])),
        finding("socket", 1, 100, Vec::new()),
    ] {
        assert_eq!(sets(vec![one(), other.clone()]).len(), 2, "{other:?}");
    }
    // Of a function that a program starts with, each line is another problem.
    let main = |line| {
        let mut stack = stack(line, &["open"]);
        stack.remove(1);
        stack[1].line = Some(line);
        stack
    };
    assert_eq!(
        sets(vec![
            finding("file", 1, 9, main(3)),
            finding("socket", 1, 9, main(4))
        ])
        .len(),
        2
    );
    assert_eq!(
        sets(vec![
            finding("file", 1, 9, main(3)),
            finding("socket", 1, 9, main(3))
        ])
        .len(),
        1
    );
}

#[test]
fn the_stacks_of_threads_are_a_part_and_are_not_counted_twice() {
    let memory = Finding {
        verdict: Verdict::Steady,
        part_of: Some("thread".to_owned()),
        bytes: 90 << 20,
        ..finding("mapping", 1, 90, stack(10, &["start", "mmap"]))
    };
    let problems = told(
        vec![
            finding("thread", 1, 90, stack(10, &["start", "clone"])),
            memory,
        ],
        Vec::new(),
    );
    assert_eq!(problems.len(), 1);
    assert_eq!(
        (problems[0].kind.as_str(), problems[0].outstanding),
        ("thread", 90)
    );
    assert_eq!(problems[0].findings, [0, 1]);
}

#[test]
fn both_ends_of_connections_are_one_problem() {
    let end = |pid, local: &str, peer: &str, line| Finding {
        examples: vec![Example {
            handle: "fd 7".to_owned(),
            socket: Some(Socket {
                local: local.to_owned(),
                peer: peer.to_owned(),
                ..Socket::default()
            }),
            ..Example::default()
        }],
        ..finding("socket", pid, 60, stack(line, &["connect"]))
    };
    let client = end(1, "127.0.0.1:40000", "127.0.0.1:80", 10);
    let server = end(2, "127.0.0.1:80", "127.0.0.1:40000", 20);
    let stranger = end(3, "127.0.0.1:80", "127.0.0.1:40001", 30);
    assert_eq!(sets(vec![client, server, stranger]), [vec![0, 1], vec![2]]);
}

#[test]
fn another_descriptor_of_the_same_file_is_the_same_problem() {
    let mut one = finding("file", 1, 60, stack(10, &["open"]));
    one.examples = vec![Example {
        handle: "fd 7".to_owned(),
        held_by: vec![Holder {
            pid: 1,
            handle: "fd 8".to_owned(),
            count: 1,
            ..Holder::default()
        }],
        ..Example::default()
    }];
    let mut dup = finding("file", 1, 60, stack(20, &["dup"]));
    dup.examples = vec![Example {
        handle: "fd 8".to_owned(),
        ..Example::default()
    }];
    assert_eq!(sets(vec![one, dup]).len(), 1);
}

#[test]
fn workers_of_one_program_have_one_problem() {
    let process = |pid, exe: &str, cgroup: &str, parent_pid| Process {
        pid,
        start_time: u64::from(pid),
        exe: exe.to_owned(),
        cgroup: cgroup.to_owned(),
        parent_pid,
        ..Process::default()
    };
    let at = |pid, held| {
        let mut finding = finding("socket", pid, held, stack(10, &["accept"]));
        // Each has its code elsewhere.
        for frame in &mut finding.stack {
            frame.address.0 += u64::from(pid) << 20;
        }
        finding
    };
    let processes = vec![
        process(10, "/usr/bin/python3", "", 9),
        process(11, "/usr/bin/python3", "", 9),
        process(12, "/usr/bin/python3", "/system.slice/web.service", 1),
        process(13, "/usr/bin/python3", "/system.slice/web.service", 1),
        process(14, "/usr/bin/ruby", "/system.slice/web.service", 9),
        process(15, "/usr/bin/python3", "/", 1),
    ];
    let findings = processes
        .iter()
        .zip(1..)
        .map(|(process, held)| at(process.pid, 100 * held))
        .collect();
    let mut sets: Vec<Vec<u32>> = told(findings, processes)
        .into_iter()
        .map(|problem| problem.pids)
        .collect();
    sets.sort();
    assert_eq!(sets, [vec![10, 11], vec![12, 13], vec![14], vec![15]]);
}

#[test]
fn before_and_during_the_trace_are_one_problem() {
    let before = Finding {
        acquired: 0,
        preexisting: 400,
        rule: "close-wait".to_owned(),
        ..finding("socket", 1, 400, Vec::new())
    };
    let during = Finding {
        rule: "close-wait".to_owned(),
        ..finding("socket", 1, 20, stack(10, &["accept"]))
    };
    let problems = told(vec![before, during], Vec::new());
    assert_eq!(problems.len(), 1);
    // The one that has a stack tells more.
    assert_eq!(problems[0].findings, [1, 0]);
    assert_eq!((problems[0].outstanding, problems[0].parts.len()), (420, 1));
    assert_eq!(problems[0].parts[0].preexisting, 400);
}

fn any_finding() -> impl Strategy<Value = Finding> {
    let kinds = prop::sample::select(vec!["file", "socket", "pipe", "thread", "mapping"]);
    let verdicts = prop::sample::select(vec![Verdict::Leak, Verdict::Suspect, Verdict::Steady]);
    (
        kinds,
        verdicts,
        1_u32..4,
        1_u64..40,
        0_u32..4,
        0_usize..3,
        any::<bool>(),
    )
        .prop_map(|(kind, verdict, pid, held, line, calls, is_part)| Finding {
            verdict,
            part_of: (is_part && kind == "mapping").then(|| "thread".to_owned()),
            ..finding(
                kind,
                pid,
                held,
                match line {
                    0 => Vec::new(),
                    line => stack(line, &["Popen", "open"][..calls]),
                },
            )
        })
}

/// Each problem as what it is told by, whatever the numbers of its findings.
fn content(findings: &[Finding], problems: &[Problem]) -> Vec<String> {
    let mut all: Vec<String> = problems
        .iter()
        .map(|problem| {
            let mut members: Vec<String> = problem
                .findings
                .iter()
                .map(|&at| format!("{:?}", findings[at]))
                .collect();
            members.sort();
            format!("{} {} {members:?}", problem.outstanding, problem.kind)
        })
        .collect();
    all.sort();
    all
}

proptest! {
    #[test]
    fn each_finding_that_matters_is_in_exactly_one_problem(findings in prop::collection::vec(any_finding(), 0..24)) {
        let problems = told(findings.clone(), Vec::new());
        let mut seen = vec![0; findings.len()];
        for problem in &problems {
            let of_parts: Vec<usize> = problem.parts.iter().flat_map(|part| part.findings.clone()).collect();
            prop_assert_eq!(&of_parts, &problem.findings);
            let worst = problem.findings.iter().map(|&at| findings[at].verdict).min();
            prop_assert_eq!(Some(problem.verdict), worst);
            let of_class = problem.findings.iter().filter(|&&at| class(&findings[at].kind) == class(&problem.kind));
            prop_assert_eq!(problem.outstanding, of_class.map(|&at| findings[at].outstanding).sum::<u64>());
            for &at in &problem.findings {
                seen[at] += 1;
            }
        }
        for (finding, seen) in findings.iter().zip(seen) {
            prop_assert!(seen == 1 || seen == 0 && finding.verdict == Verdict::Steady, "{:?}", finding);
        }
    }

    #[test]
    fn the_order_of_findings_changes_no_problem(
        (findings, shuffled) in prop::collection::vec(any_finding(), 0..16)
            .prop_flat_map(|findings| (Just(findings.clone()), Just(findings).prop_shuffle()))
    ) {
        let (one, other) = (told(findings.clone(), Vec::new()), told(shuffled.clone(), Vec::new()));
        prop_assert_eq!(content(&findings, &one), content(&shuffled, &other));
    }
}
