//! Reports of incidents.

use crate::{
    analysis::problems,
    model::{
        hex::Hex,
        report::{
            Example, Failure, Finding, Frame, Full, FullGroup, Limit, Process, Report, SharedLimit,
            Socket, Verdict, Window,
        },
        sample,
    },
};

pub(super) fn all() -> Vec<(&'static str, Report)> {
    let mut all = vec![
        (
            "file_leak_at_emfile_in_python",
            file_leak_at_emfile_in_python(),
        ),
        ("close_wait_in_workers", close_wait_in_workers()),
        ("thread_leak", thread_leak()),
        ("zombies_of_popen", zombies_of_popen()),
        ("mapping_leak_without_names", mapping_leak_without_names()),
        ("pool_is_full", pool_is_full()),
        ("nothing_is_wrong", nothing_is_wrong()),
        ("busy_host", busy_host()),
    ];
    for (_, report) in &mut all {
        problems::tell(report);
    }
    all
}

fn report(seconds: f64) -> Report {
    Report {
        window: Window {
            seconds,
            ..sample::empty().window
        },
        ..sample::empty()
    }
}

fn process(pid: u32, cmdline: &[&str], nofile: (u64, u64, Option<f64>)) -> Process {
    Process {
        pid,
        start_time: u64::from(pid),
        comm: cmdline[0]
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .chars()
            .take(15)
            .collect(),
        exe: cmdline[0].to_owned(),
        cmdline: cmdline.iter().map(|word| (*word).to_owned()).collect(),
        limits: vec![Limit {
            resource: "nofile".to_owned(),
            used: nofile.0,
            soft: nofile.1,
            exhaustion_seconds: nofile.2,
            ..Limit::default()
        }],
        ..Process::default()
    }
}

fn serves(process: Process, unit: &str, user: &str) -> Process {
    Process {
        cgroup: format!("/system.slice/{unit}"),
        unit: Some(unit.to_owned()),
        user: user.to_owned(),
        ..process
    }
}

fn leak(process: &Process, kind: &str, held: u64, pace: f64, stack: Vec<Frame>) -> Finding {
    Finding {
        verdict: Verdict::Leak,
        confidence: 0.91,
        kind: kind.to_owned(),
        pid: process.pid,
        start_time: process.start_time,
        comm: process.comm.clone(),
        acquired: held,
        outstanding: held,
        growth_per_second: pace,
        oldest_age_seconds: 58.0,
        exhaustion_seconds: process.limits[0].exhaustion_seconds,
        limit: process.limits[0].resource.clone(),
        rule: "growth".to_owned(),
        evidence: vec![format!("{held} acquired over 60 s and none released")],
        stack,
        ..Finding::default()
    }
}

fn native(symbol: &str, module: &str, at: Option<(&str, u32)>) -> Frame {
    sample::frame(symbol, module, at, false)
}

/// A stack of Python: what is called, innermost first, then the user's functions.
fn python(calls: &[(&str, &str, u32)], own: &[(&str, &str, u32)]) -> Vec<Frame> {
    let library = "/usr/lib/libpython3.11.so.1.0";
    let script = |&(name, file, line): &(&str, &str, u32)| Frame {
        address: Hex(u64::from(line)),
        ..native(name, "python3.11", Some((file, line)))
    };
    let mut stack = vec![
        native("__GI___socket", "/usr/lib/x86_64-linux-gnu/libc.so.6", None),
        native("sock_initobj_impl", library, None),
        native("type_call", library, None),
    ];
    stack.extend(calls.iter().map(script));
    stack.extend(own.iter().map(script));
    for name in [
        "PyEval_EvalCode",
        "run_eval_code_obj",
        "pymain_run_file",
        "Py_RunMain",
    ] {
        stack.push(native(name, library, None));
    }
    stack.push(native(
        "__libc_start_main_impl",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        None,
    ));
    stack.push(native("_start", "/usr/bin/python3.11", None));
    stack
}

fn connected(local: &str, peer: &str, state: &str) -> Example {
    Example {
        handle: "fd 12".to_owned(),
        age_seconds: 57.0,
        description: "socket:[4711]".to_owned(),
        socket: Some(Socket {
            family: "inet".to_owned(),
            local: local.to_owned(),
            peer: peer.to_owned(),
            state: state.to_owned(),
        }),
        ..Example::default()
    }
}

fn file_leak_at_emfile_in_python() -> Report {
    let app = serves(
        process(
            27413,
            &[
                "/usr/bin/python3",
                "-u",
                "/srv/ledger/app.py",
                "--port",
                "8000",
            ],
            (1024, 1024, Some(0.0)),
        ),
        "ledger.service",
        "ledger",
    );
    let stack = python(
        &[("create_connection", "/usr/lib/python3.11/socket.py", 827)],
        &[
            ("ask_ledger", "/srv/ledger/app.py", 10),
            ("handle", "/srv/ledger/app.py", 44),
            ("<module>", "/srv/ledger/app.py", 99),
        ],
    );
    let mut finding = leak(&app, "socket", 992, 16.5, stack.clone());
    finding.examples = vec![connected("10.0.0.5:40112", "10.0.0.9:5432", "ESTABLISHED")];
    finding.hint =
        Some("the connection is not closed on every way out; use a with block".to_owned());
    let failure = Failure {
        pid: app.pid,
        start_time: app.start_time,
        comm: app.comm.clone(),
        error: "EMFILE".to_owned(),
        call: "socket".to_owned(),
        after_seconds: 51.0,
        count: 312,
        meaning: "the process reached its limit of 1024 descriptors (nofile)".to_owned(),
        stack,
        ..Failure::default()
    };
    let mut app = app;
    app.outstanding = sample::counts(&[("socket", 992), ("file", 2)]);
    app.preexisting = sample::counts(&[("file", 20), ("socket", 10)]);
    Report {
        processes: vec![app],
        findings: vec![finding],
        failures: vec![failure],
        ..report(60.0)
    }
}

fn close_wait_in_workers() -> Report {
    let worker = |pid, used| Process {
        parent_pid: 900,
        outstanding: sample::counts(&[("socket", 40)]),
        preexisting: sample::counts(&[("socket", used - 40), ("file", 9)]),
        ..serves(
            process(
                pid,
                &[
                    "/usr/bin/python3",
                    "/usr/local/bin/gunicorn",
                    "-w",
                    "4",
                    "shop.wsgi:application",
                ],
                (used, 1024, Some(900.0)),
            ),
            "shop.service",
            "www-data",
        )
    };
    let workers = vec![worker(901, 610), worker(902, 580), worker(903, 544)];
    let stack = || {
        python(
            &[(
                "send",
                "/srv/shop/venv/lib/python3.11/site-packages/requests/adapters.py",
                589,
            )],
            &[
                ("price_of", "/srv/shop/prices.py", 31),
                ("basket", "/srv/shop/views.py", 120),
            ],
        )
    };
    let mut findings = Vec::new();
    for worker in &workers {
        let mut during = leak(worker, "socket", 40, 0.66, stack());
        during.rule = "close-wait".to_owned();
        during.examples = vec![connected("10.0.0.5:40112", "10.0.0.77:443", "CLOSE_WAIT")];
        let mut before = during.clone();
        (before.acquired, before.stack) = (0, Vec::new());
        (
            before.outstanding,
            before.preexisting,
            before.growth_per_second,
        ) = (500, 500, 0.0);
        findings.extend([during, before]);
    }
    Report {
        processes: workers,
        findings,
        ..report(60.0)
    }
}

fn thread_leak() -> Report {
    let server = serves(
        process(
            3526,
            &["/opt/mailer/bin/mailer", "--queue", "/var/spool/mailer"],
            (64, 65536, None),
        ),
        "mailer.service",
        "mail",
    );
    let server = Process {
        outstanding: sample::counts(&[("thread", 420), ("mapping", 420)]),
        limits: vec![Limit {
            resource: "pids".to_owned(),
            scope: "/system.slice/mailer.service".to_owned(),
            used: 431,
            soft: 4915,
            exhaustion_seconds: Some(640.0),
        }],
        ..server
    };
    let own = |line| {
        native(
            "mailer::delivery::Worker<mailer::transport::Smtp>::start_watchdog",
            "/opt/mailer/bin/mailer",
            Some(("src/delivery.rs", line)),
        )
    };
    let stack = |inner: &str| {
        vec![
            native(inner, "/usr/lib/x86_64-linux-gnu/libc.so.6", None),
            native(
                "__pthread_create_2_1",
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                None,
            ),
            native(
                "std::thread::spawn",
                "/opt/mailer/bin/mailer",
                Some(("/rustc/1234/library/std/src/thread/mod.rs", 731)),
            ),
            own(88),
            native(
                "mailer::main",
                "/opt/mailer/bin/mailer",
                Some(("src/main.rs", 12)),
            ),
        ]
    };
    let mut memory = leak(&server, "mapping", 420, 7.0, stack("__mmap64"));
    memory.verdict = Verdict::Steady;
    memory.part_of = Some("thread".to_owned());
    memory.bytes = 420 * (8 << 20);
    Report {
        findings: vec![leak(&server, "thread", 420, 7.0, stack("clone3")), memory],
        processes: vec![server],
        ..report(60.0)
    }
}

fn zombies_of_popen() -> Report {
    let app = process(
        811,
        &["python3", "cron_runner.py"],
        (300, 1024, Some(420.0)),
    );
    let app = Process {
        outstanding: sample::counts(&[("pipe", 180), ("process", 90)]),
        ..app
    };
    let popen = |at: u32| {
        python(
            &[
                (
                    "Popen._get_handles",
                    "/usr/lib/python3.11/subprocess.py",
                    at,
                ),
                ("Popen.__init__", "/usr/lib/python3.11/subprocess.py", 1024),
            ],
            &[
                ("run_job", "/home/ops/cron_runner.py", 27),
                ("<module>", "/home/ops/cron_runner.py", 60),
            ],
        )
    };
    let mut zombies = leak(&app, "process", 90, 1.5, popen(1901));
    zombies.rule = "zombies".to_owned();
    zombies.exhaustion_seconds = None;
    Report {
        findings: vec![
            leak(&app, "pipe", 90, 1.5, popen(1680)),
            leak(&app, "pipe", 90, 1.5, popen(1690)),
            zombies,
        ],
        processes: vec![app],
        ..report(60.0)
    }
}

fn mapping_leak_without_names() -> Report {
    let server = Process {
        outstanding: sample::counts(&[("mapping", 900)]),
        container_id: Some(
            "3f4e8c1b9a7d6e5f0c2b1a9988776655443322110ffeeddccbbaa99887766554".to_owned(),
        ),
        limits: vec![Limit {
            resource: "max_map_count".to_owned(),
            used: 2100,
            soft: 65530,
            exhaustion_seconds: Some(4300.0),
            ..Limit::default()
        }],
        ..process(1, &["/app/imaged"], (9, 1024, None))
    };
    let nameless = |offset| Frame {
        address: Hex(0x55d0_0000_0000 + offset),
        module: "/app/imaged".to_owned(),
        module_offset: Some(Hex(offset)),
        ..Frame::default()
    };
    let mut finding = leak(
        &server,
        "mapping",
        900,
        15.0,
        vec![
            native("mmap64", "/usr/lib/libc.so.6", None),
            nameless(0x1a2b),
            nameless(0x3c4d),
            native("__libc_start_main", "/usr/lib/libc.so.6", None),
        ],
    );
    finding.verdict = Verdict::Suspect;
    finding.bytes = 900 << 20;
    finding.waits_for = Some("20 more seconds of growth".to_owned());
    Report {
        processes: vec![server],
        findings: vec![finding],
        ..report(60.0)
    }
}

fn pool_is_full() -> Report {
    let server = serves(
        process(
            440,
            &["/usr/sbin/haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg"],
            (4096, 4096, None),
        ),
        "haproxy.service",
        "haproxy",
    );
    let group = |kind: &str, what: &str, count| FullGroup {
        kind: kind.to_owned(),
        what: what.to_owned(),
        count,
        oldest: "fd 21".to_owned(),
        ..FullGroup::default()
    };
    let full = Full {
        pid: 440,
        start_time: 440,
        comm: "haproxy".to_owned(),
        resource: "nofile".to_owned(),
        used: 4096,
        limit: 4096,
        refused: 17,
        groups: vec![
            group("socket", "-> 10.0.0.9:80", 4001),
            group("file", "/var/log/haproxy.log", 2),
        ],
        others: 93,
        ..Full::default()
    };
    let failure = Failure {
        pid: 440,
        start_time: 440,
        comm: "haproxy".to_owned(),
        error: "EMFILE".to_owned(),
        call: "accept4".to_owned(),
        after_seconds: 2.0,
        count: 17,
        meaning: "the process reached its limit of 4096 descriptors (nofile)".to_owned(),
        ..Failure::default()
    };
    Report {
        processes: vec![Process {
            preexisting: sample::counts(&[("socket", 4080), ("file", 16)]),
            ..server
        }],
        full: vec![full],
        failures: vec![failure],
        ..report(60.0)
    }
}

fn nothing_is_wrong() -> Report {
    let server = Process {
        outstanding: sample::counts(&[("socket", 12)]),
        preexisting: sample::counts(&[("file", 16), ("socket", 3)]),
        ..process(440, &["redis-server *:6379"], (31, 10_000, None))
    };
    let mut pool = leak(
        &server,
        "socket",
        12,
        0.0,
        vec![native("connectMany", "/usr/bin/redis-server", None)],
    );
    pool.verdict = Verdict::Steady;
    Report {
        processes: vec![server],
        findings: vec![pool],
        ..report(60.0)
    }
}

fn busy_host() -> Report {
    let mut all = report(84.0);
    for number in 0..9_u32 {
        let pid = 2000 + number;
        let server = process(
            pid,
            &[
                "/usr/bin/node",
                "/srv/fleet/agents/collector.js",
                "--shard",
                ["a", "b", "c"][number as usize % 3],
            ],
            (
                300 + 20 * u64::from(number),
                1024,
                Some(52.0 + 400.0 * f64::from(number)),
            ),
        );
        let stack = vec![
            native("__libc_open64", "/usr/lib/libc.so.6", None),
            native("uv__fs_open", "/usr/bin/node", None),
            native(
                "node::fs::Open(v8::FunctionCallbackInfo<v8::Value> const&)",
                "/usr/bin/node",
                None,
            ),
            native(
                &format!(
                    "JS:*readSegment{number} /srv/fleet/agents/segments.js:{}:11",
                    100 + number
                ),
                "",
                None,
            ),
            native("JS:~onTimer /srv/fleet/agents/collector.js:40:3", "", None),
            native("uv_run", "/usr/bin/node", None),
        ];
        let mut finding = leak(
            &server,
            "file",
            200 + u64::from(number),
            3.9 / f64::from(number + 1),
            stack,
        );
        if number > 5 {
            finding.verdict = Verdict::Suspect;
        }
        all.findings.push(finding);
        all.processes.push(server);
    }
    for pid in 5000..5040 {
        all.processes.push(Process {
            exited: true,
            outstanding: sample::counts(&[("mapping", 3)]),
            ..process(
                pid,
                &["git", "upload-pack", "/srv/git/x.git"],
                (9, 1024, None),
            )
        });
    }
    all.shared_limits = vec![SharedLimit {
        scope: "host".to_owned(),
        resource: "file-max".to_owned(),
        used: 90_000,
        limit: 100_000,
        growth_per_second: 20.0,
        exhaustion_seconds: Some(500.0),
    }];
    let failures = [
        (2000, "openat", 40),
        (2001, "accept4", 3),
        (2002, "socket", 1),
        (2003, "pipe2", 1),
        (2004, "openat", 1),
    ];
    for (pid, call, count) in failures {
        all.failures.push(Failure {
            pid,
            start_time: u64::from(pid),
            comm: "node".to_owned(),
            error: "EMFILE".to_owned(),
            call: call.to_owned(),
            after_seconds: 30.0,
            count,
            ..Failure::default()
        });
    }
    all.health.uncovered = vec!["children 31, 32 were there before and are not traced: name them with -p too, or all of them with --comm or --cgroup".to_owned()];
    all
}
