#![allow(clippy::unwrap_used, reason = "tests")]

mod limits;

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

use super::*;
use crate::{
    event::{Acquired, Event, Executed, Forked, Released, Site},
    ledger::BaselineProcess,
    model::report::{Failure, Host, Limit, Verdict},
};

const SECOND: Nanos = 1_000_000_000;
const PARENT: ProcessId = ProcessId::new(7, 70);
const CHILD: ProcessId = ProcessId::new(8, 80);

fn beginning() -> Beginning {
    Beginning {
        version: "test".to_owned(),
        host: Host {
            hostname: "made-up".to_owned(),
            ..Host::default()
        },
        started: SECOND,
        started_at: 1_700_000_000 * SECOND,
        from: SECOND,
        part: 0,
        nursery: SECOND,
        kinds: u32::MAX,
        keep_exited: true,
        all_events: false,
    }
}

fn descriptor(number: u64) -> Handle {
    Handle::new(Class::Descriptor, number)
}

fn acquired(process: ProcessId, number: u64, site: u64, time: Nanos) -> Input {
    Input::Event(Event::Acquired(Acquired {
        time,
        process,
        kind: Kind::File,
        handle: descriptor(number),
        site: SiteId(site),
        size: 0,
        close_on_exec: false,
        kind_guessed: false,
        maybe_existed: false,
    }))
}

fn described(number: u64, time: Nanos, text: &str) -> Input {
    Input::Described {
        time,
        process: CHILD,
        handle: descriptor(number),
        kind: Kind::File,
        description: Box::new(Description {
            text: text.to_owned(),
            ..Description::default()
        }),
    }
}

fn site(process: ProcessId, id: u64) -> Input {
    Input::Event(Event::Site(Site {
        time: 2 * SECOND,
        process,
        kind: Kind::File,
        id: SiteId(id),
        tid: process.pid(),
        frames: [0x1000, 0x2000].into(),
        end: StackEnd::Complete,
    }))
}

fn frame(symbol: &str) -> Frame {
    Frame {
        symbol: symbol.to_owned(),
        ..Frame::default()
    }
}

/// A parent that is there before, and a child that opens a file every 100 ms, keeps
/// all of them and exits with them.
fn a_life() -> Vec<Input> {
    let mut inputs = vec![
        Input::Baseline(Box::new(BaselineProcess {
            id: PARENT,
            parent: None,
            comm: *b"parent\0\0\0\0\0\0\0\0\0\0",
            time: SECOND,
            descriptors: vec![(0, Kind::File), (1, Kind::Pipe)],
            mappings: Vec::new(),
            threads: Vec::new(),
            children: Vec::new(),
            zombies: Vec::new(),
        })),
        Input::Event(Event::Forked(Forked {
            time: 2 * SECOND,
            parent: PARENT,
            child: CHILD,
            shares_files: false,
            shares_memory: false,
            comm: *b"child\0\0\0\0\0\0\0\0\0\0\0",
        })),
        site(CHILD, 5),
        Input::Stack {
            site: SiteId(5),
            frames: vec![frame("open"), frame("main")],
        },
        Input::Facts(
            CHILD,
            Box::new(Facts {
                comm: "child".to_owned(),
                exe: "/bin/child".to_owned(),
                ..Facts::default()
            }),
        ),
        Input::Limits(
            PARENT,
            vec![Limit {
                resource: "nofile".to_owned(),
                used: 2,
                soft: 1024,
                exhaustion_seconds: None,
                ..Limit::default()
            }],
        ),
    ];
    for n in 0..400 {
        let time = 2 * SECOND + n * SECOND / 10;
        inputs.push(acquired(CHILD, 10 + n, 5, time));
        if n % 10 == 0 {
            inputs.push(Input::Horizon(time));
            inputs.push(Input::Sample(time));
        }
    }
    inputs.push(described(10, 3 * SECOND, "/tmp/oldest"));
    // What had this number before the last file was opened.
    inputs.push(described(409, 3 * SECOND, "/tmp/another"));
    inputs
}

fn exit() -> Input {
    Input::Event(Event::Exited {
        time: 43 * SECOND,
        process: CHILD,
    })
}

fn ended() -> [Input; 2] {
    [
        Input::Sample(43 * SECOND),
        Input::Ended {
            time: 43 * SECOND,
            wall: 1_700_000_050 * SECOND,
        },
    ]
}

fn analysed(inputs: impl IntoIterator<Item = Input>) -> Analysis {
    let mut analysis = Analysis::new(beginning());
    for input in inputs {
        analysis.take(&input);
    }
    analysis
}

#[test]
fn a_report_is_made_of_what_was_told() {
    let analysis = analysed(a_life().into_iter().chain(ended()));
    let report = analysis.report(analysis.whole());
    assert_eq!(report.host.hostname, "made-up");
    assert_eq!(report.window.start, "2023-11-14T22:13:20Z");
    // The wall clock's own word, not what the other clock makes of it.
    assert_eq!(report.window.end, "2023-11-14T22:14:10Z");
    assert_eq!(report.window.seconds, 42.0);
    let leak = &report.findings[0];
    assert_eq!(leak.verdict, Verdict::Leak);
    assert_eq!((leak.comm.as_str(), leak.outstanding), ("child", 400));
    assert_eq!(leak.stack, [frame("open"), frame("main")]);
    assert!(!leak.history.is_empty());
    let texts: Vec<&str> = leak
        .examples
        .iter()
        .map(|example| example.description.as_str())
        .collect();
    assert_eq!(texts, ["/tmp/oldest", "", "", "", ""]);
    let child = report.processes.iter().find(|p| p.pid == 8).unwrap();
    assert_eq!(child.exe, "/bin/child");
    assert_eq!(child.history.last().unwrap().outstanding, 402);
    let parent = report.processes.iter().find(|p| p.pid == 7).unwrap();
    assert_eq!((parent.comm.as_str(), parent.limits.len()), ("parent", 1));
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn the_same_inputs_make_the_same_report() {
    let inputs = || a_life().into_iter().chain([exit()]).chain(ended());
    let first = analysed(inputs());
    let report = first.report(first.whole());
    assert_eq!(report.findings[0].outstanding, 400);
    assert_eq!(report.findings[0].rule, "held-at-exit");
    // Tables are seeded anew each time: their order must not show.
    for _ in 0..8 {
        let again = analysed(inputs());
        assert_eq!(again.report(again.whole()), report);
    }
}

#[test]
fn a_part_of_the_time_has_its_own_window() {
    let analysis = analysed(a_life());
    let span = Span {
        start: 11 * SECOND,
        end: 42 * SECOND,
    };
    let report = analysis.report(span);
    assert_eq!(report.window.seconds, 31.0);
    assert_eq!(report.window.start, "2023-11-14T22:13:30Z");
    assert_eq!(report.findings[0].verdict, Verdict::Leak);
    assert!(report.findings[0].history.iter().all(|p| p.seconds >= 0.0));
}

#[test]
fn what_is_known_goes_with_its_process() {
    let mut analysis = analysed([
        site(CHILD, 5),
        Input::Stack {
            site: SiteId(5),
            frames: vec![frame("open")],
        },
        acquired(CHILD, 3, 5, 2 * SECOND),
        Input::Facts(CHILD, Box::default()),
        described(3, 3 * SECOND, "x"),
        Input::Horizon(3 * SECOND),
        Input::Sample(4 * SECOND),
        Input::Event(Event::Released(Released {
            time: 5 * SECOND,
            process: CHILD,
            handle: descriptor(3),
            acquired: None,
        })),
        Input::Event(Event::Exited {
            time: 6 * SECOND,
            process: CHILD,
        }),
    ]);
    assert!(analysis.facts(CHILD).is_some());
    analysis.take(&Input::Horizon(30 * SECOND));
    analysis.take(&Input::Sample(31 * SECOND));
    assert!(!analysis.ledger().knows(CHILD));
    assert_eq!(analysis.facts(CHILD), None);
    assert_eq!(analysis.description(CHILD, descriptor(3), 0), None);
    assert!(!analysis.knows_stack(SiteId(5), &[frame("open")]));
}

#[test]
fn what_is_told_ahead_of_a_process_waits_for_it() {
    let analysis = analysed([
        Input::Facts(CHILD, Box::default()),
        Input::Sample(2 * SECOND),
        Input::Sample(3 * SECOND),
    ]);
    assert!(analysis.facts(CHILD).is_some());
}

fn named(read: Nanos, comm: &str) -> Input {
    let facts = Facts {
        read,
        comm: comm.to_owned(),
        exe: format!("/bin/{comm}"),
        container_id: Some("c0ffee".to_owned()),
        ..Facts::default()
    };
    Input::Facts(CHILD, Box::new(facts))
}

fn executed(time: Nanos, comm: [u8; 16]) -> Input {
    Input::Event(Event::Executed(Executed {
        time,
        process: CHILD,
        comm,
    }))
}

const SERVER: [u8; 16] = *b"server\0\0\0\0\0\0\0\0\0\0";

#[test]
fn names_of_a_former_program_are_not_those_of_the_next() {
    for read in [0, 2 * SECOND] {
        let mut analysis = analysed([
            acquired(CHILD, 3, 0, 2 * SECOND),
            named(read, "shell"),
            executed(3 * SECOND, SERVER),
        ]);
        assert_eq!(analysis.comm(CHILD), "server", "read at {read}");
        assert!(!analysis.knows_program(CHILD));
        let facts = analysis.facts(CHILD).unwrap();
        let place = facts.container_id.as_deref();
        assert_eq!((facts.exe.as_str(), place), ("", Some("c0ffee")));
        analysis.take(&named(4 * SECOND, "worker"));
        assert_eq!(analysis.comm(CHILD), "worker");
    }
}

#[test]
fn names_that_were_read_before_their_exec_arrived_stay() {
    let analysis = analysed([
        acquired(CHILD, 3, 0, 2 * SECOND),
        named(4 * SECOND, "worker"),
        executed(3 * SECOND, SERVER),
    ]);
    assert_eq!(analysis.comm(CHILD), "worker");
    // An earlier version's: its name says of which program it is.
    let analysis = analysed([named(0, "server"), executed(3 * SECOND, SERVER)]);
    assert!(analysis.knows_program(CHILD));
}

#[test]
fn the_ledgers_losses_join_those_that_were_told() {
    let mut told = Health {
        events: 9,
        lost: 2,
        ..Health::default()
    };
    told.lost_by_cause.insert("ring_full".to_owned(), 2);
    told.uncovered.push("a hook is missing".to_owned());
    let mut inputs = vec![Input::Health(Box::new(told))];
    for process in [PARENT, CHILD] {
        inputs.push(acquired(process, 3, 0, SECOND));
        inputs.push(Input::Event(Event::Uncovered {
            time: SECOND,
            process,
            cause: crate::event::Uncovered::Compat,
        }));
    }
    let analysis = analysed(inputs);
    let report = analysis.report(analysis.whole());
    assert_eq!((report.health.events, report.health.lost), (9, 2));
    assert_eq!(
        report.health.uncovered,
        [
            "a hook is missing",
            "32-bit system calls are not seen (pid 7, 8)"
        ]
    );
}

#[test]
fn a_failure_outlives_its_process_in_the_report() {
    let failed = |count, stack: &[&str]| {
        Input::FirstFailure(Box::new(FirstFailure {
            time: 5 * SECOND,
            process: CHILD,
            error: crate::model::refusal::Refusal::Files,
            failure: Failure {
                pid: 8,
                error: "EMFILE".to_owned(),
                count,
                stack: stack.iter().map(|symbol| frame(symbol)).collect(),
                ..Failure::default()
            },
        }))
    };
    let mut analysis = analysed([
        failed(1, &[]),
        failed(3, &["open", "main"]),
        Input::Gone(CHILD),
    ]);
    for second in [60, 120] {
        analysis.take(&Input::Horizon(second * SECOND));
        analysis.take(&Input::Sample(second * SECOND));
    }
    let report = analysis.report(analysis.whole());
    let [failure] = report.failures.as_slice() else {
        panic!("{:?}", report.failures);
    };
    assert_eq!((failure.count, failure.after_seconds), (3, 4.0));
    assert_eq!(failure.stack, [frame("open"), frame("main")]);
    let later = analysis.report(Span {
        start: 6 * SECOND,
        end: 60 * SECOND,
    });
    assert_eq!(later.failures, []);
}

#[test]
fn holders_are_those_of_the_very_resource() {
    let shared = |number, time, pids: &[u32]| Input::Shared {
        time,
        process: CHILD,
        handle: descriptor(number),
        holders: pids
            .iter()
            .map(|&pid| Holder {
                pid,
                ..Holder::default()
            })
            .collect(),
    };
    let analysis = analysed([shared(3, 5 * SECOND, &[9, 10]), shared(3, 6 * SECOND, &[9])]);
    let holders = |number, acquired| analysis.holders(CHILD, descriptor(number), acquired).len();
    assert_eq!(holders(3, 2 * SECOND), 1);
    assert_eq!(holders(4, 2 * SECOND), 0);
    // The number was used again.
    assert_eq!(holders(3, 7 * SECOND), 0);
}

#[test]
fn an_analysis_goes_on_from_another_ones_checkpoint() {
    let inputs: Vec<Input> = a_life()
        .into_iter()
        .chain([exit()])
        .chain(ended())
        .collect();
    let whole = analysed(inputs.clone());
    let report = whole.report(whole.whole());
    for at in (0..=inputs.len()).step_by(29) {
        let (before, after) = inputs.split_at(at);
        let (beginning, state) = analysed(before.to_vec()).checkpoint(3);
        assert_eq!((beginning.part, beginning.started), (3, SECOND));
        let mut second = Analysis::new(beginning);
        for input in state.iter().chain(after) {
            second.take(input);
        }
        assert_eq!(second.report(second.whole()), report, "at {at}");
    }
}
