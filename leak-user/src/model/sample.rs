//! Reports and events for tests of the writers.

use std::{collections::BTreeMap, io};

use crate::model::{
    doctor::{Check, DoctorReport, Status},
    hex::Hex,
    report::{
        Example, Failure, Finding, Frame, Full, FullGroup, Health, Holder, Host, Limit, Process,
        Report, SCHEMA, SharedLimit, Socket, Suppressed, Verdict, Window,
    },
};

/// What is written, as text.
pub(crate) fn text(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory takes all");
    String::from_utf8(out).expect("the format is text")
}

/// Ten quiet seconds.
pub(crate) fn empty() -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        host: Host {
            hostname: "web1".to_owned(),
            kernel: "6.18.0".to_owned(),
            arch: "x86_64".to_owned(),
            boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
        },
        window: Window {
            start: "2026-01-02T03:04:05Z".to_owned(),
            end: "2026-01-02T03:04:15Z".to_owned(),
            seconds: 10.0,
        },
        health: Health {
            events: 12_345,
            ..Health::default()
        },
        ..Report::default()
    }
}

/// A leak of sockets, a suspect that exited, and something steady.
pub(crate) fn leaking() -> Report {
    Report {
        processes: vec![nginx(), worker()],
        findings: vec![socket_leak(), mapping_suspect(), steady_file()],
        window: Window {
            start: "2026-01-02T03:00:15Z".to_owned(),
            end: "2026-01-02T03:04:15Z".to_owned(),
            seconds: 240.0,
        },
        ..empty()
    }
}

/// [`leaking`] until calls fail, with all that a report may have beside findings.
pub(crate) fn failing() -> Report {
    let holder = |pid, comm: &str, count| Holder {
        pid,
        comm: comm.to_owned(),
        count,
        ..Holder::default()
    };
    let mut report = leaking();
    report.findings[0].examples[0].held_by = vec![
        Holder {
            handle: "fd 12".to_owned(),
            ..holder(1235, "nginx", 1)
        },
        holder(1236, "nginx", 2),
    ];
    report.findings[1].waits_for = Some("5 more seconds of growth".to_owned());
    report.failures = vec![Failure {
        pid: 1234,
        start_time: 5000,
        comm: "nginx".to_owned(),
        error: "EMFILE".to_owned(),
        call: "accept4".to_owned(),
        after_seconds: 203.4,
        count: 312,
        meaning: "the process reached its limit of 1024 descriptors (nofile)".to_owned(),
        holders: vec![
            Holder {
                what: "socket".to_owned(),
                ..holder(1234, "nginx", 1003)
            },
            Holder {
                what: "file".to_owned(),
                ..holder(1234, "nginx", 21)
            },
        ],
        stack: vec![frame(
            "worker_process_cycle",
            "/usr/sbin/nginx",
            None,
            false,
        )],
    }];
    let limit = |scope: &str, resource: &str, exhaustion_seconds| SharedLimit {
        scope: scope.to_owned(),
        resource: resource.to_owned(),
        used: 700 << 20,
        limit: 1 << 30,
        growth_per_second: 2e6,
        exhaustion_seconds,
    };
    report.shared_limits = vec![
        limit("host", "file-max", None),
        limit("host", "pid_max", Some(9000.0)),
        limit("/system.slice/web.service", "memory", Some(170.0)),
    ];
    let suppressed = |why: &str, built_in, findings, outstanding| Suppressed {
        why: why.to_owned(),
        built_in,
        findings,
        outstanding,
    };
    report.full = vec![full()];
    report.suppressed = vec![
        suppressed("the connection pool is meant to grow to 50", false, 1, 50),
        suppressed("fixed in 2.4, to be rolled out", true, 2, 11),
    ];
    report
}

fn full() -> Full {
    let group = |kind: &str, what: &str, state: &str, count, oldest: &str| FullGroup {
        kind: kind.to_owned(),
        what: what.to_owned(),
        state: state.to_owned(),
        count,
        oldest: oldest.to_owned(),
    };
    Full {
        scope: String::new(),
        pid: 1234,
        start_time: 4242,
        comm: "nginx".to_owned(),
        resource: "nofile".to_owned(),
        used: 1024,
        limit: 1024,
        refused: 312,
        groups: vec![
            group("socket", "-> 10.0.0.9:80", "CLOSE_WAIT", 1003, "fd 12"),
            group("file", "/var/log/nginx/*.log", "", 20, "fd 4"),
        ],
        others: 1,
    }
}

/// [`leaking`] with one name for everything of it that is named from outside.
pub(crate) fn named(name: &str) -> Report {
    let text = || name.to_owned();
    let mut report = leaking();
    report.host.hostname = text();
    for process in &mut report.processes {
        (process.comm, process.exe) = (text(), text());
        process.cmdline = vec![text()];
    }
    for finding in &mut report.findings {
        finding.comm = text();
        finding.evidence = vec![text()];
        finding.hint = Some(text());
        for frame in &mut finding.stack {
            frame.symbol = text();
            frame.module = format!("/{name}");
            frame.file = Some(text());
        }
        for example in &mut finding.examples {
            example.description = text();
        }
    }
    report
}

pub(crate) fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let owned = |(kind, count): &(&str, u64)| ((*kind).to_owned(), *count);
    counts.iter().map(owned).collect()
}

pub(crate) fn nginx() -> Process {
    Process {
        pid: 1234,
        start_time: 5000,
        comm: "nginx".to_owned(),
        exe: "/usr/sbin/nginx".to_owned(),
        cmdline: vec!["nginx".to_owned()],
        outstanding: counts(&[("socket", 412), ("file", 3), ("epoll", 1)]),
        preexisting: counts(&[("file", 9), ("socket", 8)]),
        limits: vec![
            Limit {
                resource: "max_map_count".to_owned(),
                used: 120,
                soft: 65530,
                exhaustion_seconds: None,
                ..Limit::default()
            },
            Limit {
                resource: "nofile".to_owned(),
                used: 433,
                soft: 1024,
                exhaustion_seconds: Some(150.0),
                ..Limit::default()
            },
        ],
        ..Process::default()
    }
}

fn worker() -> Process {
    Process {
        pid: 77,
        start_time: 6000,
        comm: "worker".to_owned(),
        outstanding: counts(&[("mapping", 20)]),
        exited: true,
        ..Process::default()
    }
}

pub(crate) fn socket_leak() -> Finding {
    let example = |handle: &str, age, peer: &str| Example {
        handle: handle.to_owned(),
        age_seconds: age,
        description: "socket:[4711]".to_owned(),
        socket: Some(Socket {
            family: "inet".to_owned(),
            local: "10.0.0.1:80".to_owned(),
            peer: peer.to_owned(),
            state: "CLOSE_WAIT".to_owned(),
        }),
        ..Example::default()
    };
    Finding {
        verdict: Verdict::Leak,
        confidence: 0.934,
        kind: "socket".to_owned(),
        pid: 1234,
        comm: "nginx".to_owned(),
        acquired: 500,
        released: 88,
        outstanding: 412,
        bytes: 0,
        growth_per_second: 4.1,
        oldest_age_seconds: 200.0,
        exhaustion_seconds: Some(150.0),
        limit: "nofile".to_owned(),
        evidence: vec![
            "What is old rose in 9 of 10 intervals and never came down.".to_owned(),
            "410 sockets wait in CLOSE_WAIT: the peer has closed, this side never did, and only \
             a close in this process will end them."
                .to_owned(),
        ],
        hint: Some("close the socket when a read returns 0".to_owned()),
        stack: vec![
            frame(
                "__accept4",
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                None,
                false,
            ),
            frame(
                "take_connection",
                "/usr/sbin/nginx",
                Some(("src/event/accept.c", 88)),
                true,
            ),
            frame(
                "ngx_event_accept_with_a_name_that_is_rather_long_for_a_function<T>",
                "/usr/sbin/nginx",
                Some((
                    "/build/nginx-1.26.3/debian/build-full/src/event/ngx_event_accept.c",
                    291,
                )),
                false,
            ),
            frame(
                "worker_process_cycle",
                "/usr/sbin/nginx",
                Some((
                    "/build/nginx-1.26.3/debian/build-full/src/os/unix/process.c",
                    12,
                )),
                false,
            ),
            Frame {
                address: Hex(0x7f00_0000_1a2b),
                module: "/opt/lib/libplugin.so".to_owned(),
                module_offset: Some(Hex(0x1a2b)),
                ..Frame::default()
            },
            Frame {
                address: Hex(0x7f12_3456_7890),
                ..Frame::default()
            },
        ],
        examples: vec![
            example("fd 12", 200.0, "192.0.2.7:51234"),
            example("fd 113", 9.0, "198.51.100.23:40000"),
            example("fd 114", 8.5, ""),
            example("fd 115", 8.0, "192.0.2.7:51236"),
        ],
        ..Finding::default()
    }
}

pub(crate) fn frame(symbol: &str, module: &str, at: Option<(&str, u32)>, inlined: bool) -> Frame {
    Frame {
        address: Hex(0x40_1000),
        symbol: symbol.to_owned(),
        module: module.to_owned(),
        file: at.map(|(file, _)| file.to_owned()),
        line: at.map(|(_, line)| line),
        inlined,
        ..Frame::default()
    }
}

fn mapping_suspect() -> Finding {
    Finding {
        verdict: Verdict::Suspect,
        confidence: 0.5,
        kind: "mapping".to_owned(),
        pid: 77,
        comm: "worker".to_owned(),
        acquired: 20,
        released: 0,
        outstanding: 20,
        bytes: 20 << 20,
        growth_per_second: 0.25,
        oldest_age_seconds: 9.0,
        exhaustion_seconds: Some(3600.0),
        evidence: vec!["None of 20 was released.".to_owned()],
        hint: None,
        stack: Vec::new(),
        examples: vec![Example {
            handle: "0x7f0000000000+1048576".to_owned(),
            age_seconds: 9.0,
            ..Example::default()
        }],
        ..Finding::default()
    }
}

fn steady_file() -> Finding {
    Finding {
        verdict: Verdict::Steady,
        confidence: 0.8,
        kind: "file".to_owned(),
        acquired: 3,
        released: 0,
        outstanding: 3,
        growth_per_second: 0.0,
        oldest_age_seconds: 60.0,
        exhaustion_seconds: None,
        evidence: vec!["Flat since the start.".to_owned()],
        hint: None,
        stack: vec![frame("open_log", "/usr/sbin/nginx", None, false)],
        examples: vec![Example {
            handle: "fd 5".to_owned(),
            age_seconds: 60.0,
            description: "/var/log/nginx/access.log".to_owned(),
            ..Example::default()
        }],
        ..socket_leak()
    }
}

/// Checks of a doctor: one passes, one warns, one fails.
pub(crate) fn checks() -> DoctorReport {
    let check = |name: &str, status, detail: &str, fix: Option<&str>| Check {
        name: name.to_owned(),
        status,
        detail: detail.to_owned(),
        fix: fix.map(str::to_owned),
    };
    DoctorReport::new(vec![
        check("kernel", Status::Pass, "6.18.0 x86_64", None),
        check(
            "tracefs",
            Status::Warn,
            "not mounted at /sys/kernel/tracing\x1b[2J",
            Some("mount -t tracefs tracefs /sys/kernel/tracing, else leaktrace mounts its own"),
        ),
        check(
            "privilege",
            Status::Fail,
            "CAP_BPF is missing",
            Some("run as root"),
        ),
    ])
}
