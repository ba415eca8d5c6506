#![allow(clippy::unwrap_used, reason = "tests")]

mod hostile;

use super::*;
use crate::model::{escape::width, report::Example, sample};

const PLAIN: TextOptions = TextOptions {
    width: 80,
    color: false,
    top: 10,
    all: false,
    suspects_fail: false,
};

fn written(report: &Report, options: &TextOptions) -> String {
    sample::text(|out| write(report, options, out))
}

#[test]
fn a_leak_is_told_with_its_numbers_stack_and_examples() {
    assert_eq!(written(&sample::leaking(), &PLAIN), LEAKING);
}

const LEAKING: &str = "\
1 leak and 1 suspect found in 4m; 436 resources outstanding in 2 processes.
1 steady site is not shown (--all shows them).

LEAK socket in nginx (1234): 412 of 500 held, +4.1/s, oldest 3m 20s; hits limit
    nofile (1024) in 2m 30s; confidence 93%
    - What is old rose in 9 of 10 intervals and never came down.
    - 410 sockets wait in CLOSE_WAIT: the peer has closed, this side never did,
      and only a close in this process will end them.
    hint: close the socket when a read returns 0
    acquired at
      #0  __accept4  (libc.so.6)
      #1  take_connection [inlined]  src/event/accept.c:88 (nginx)
      #2  ngx_event_accept_with_a_name_that_is_rather_long_for_a_function<T>
              …/debian/build-full/src/event/ngx_event_accept.c:291 (nginx)
      #3  worker_process_cycle  …/build-full/src/os/unix/process.c:12 (nginx)
      #4  libplugin.so+0x1a2b
      #5  0x7f1234567890
    held
      fd 12   3m 20s  inet 10.0.0.1:80 -> 192.0.2.7:51234 CLOSE_WAIT
      fd 113    9.0s  inet 10.0.0.1:80 -> 198.51.100.23:40000 CLOSE_WAIT
      fd 114    8.5s  inet 10.0.0.1:80 CLOSE_WAIT
      ... and 409 more

SUSPECT mapping in worker (77): 20 of 20 held at exit (20.0 MiB), +15/min,
    oldest 9.0s; confidence 50%
    - None of 20 was released.
    no stack: the acquisition, or its stack, was not seen
    held
      0x7f0000000000+1048576  9.0s
      ... and 19 more

Processes (BEFORE: held since before the trace)
    PID  COMMAND          HELD                    BEFORE  NEAREST LIMIT
   1234  nginx            412 socket, 3 file,         17  nofile 433/1024,
                          1 epoll                         full in 2m 30s
     77  worker           20 mapping at exit           0  exited

web1, Linux 6.18.0 x86_64, 4m until 2026-01-02T03:04:15Z; 12345 events seen.
Nothing was lost.
";

#[test]
fn colours_are_the_only_difference_on_a_terminal() {
    let color = TextOptions {
        color: true,
        ..PLAIN
    };
    let mut text = written(&sample::leaking(), &color);
    assert!(text.contains("\n\x1b[1;31mLEAK\x1b[0m socket in nginx"));
    assert!(text.contains("\n\x1b[1;33mSUSPECT\x1b[0m mapping in worker"));
    for code in ["\x1b[1;31m", "\x1b[1;33m", "\x1b[0m"] {
        text = text.replace(code, "");
    }
    assert_eq!(text, LEAKING);
}

#[test]
fn steady_sites_are_shown_on_demand() {
    let text = written(&sample::leaking(), &TextOptions { all: true, ..PLAIN });
    assert!(text.contains("\nSTEADY file in nginx (1234): 3 of 3 held, not growing, oldest 1m"));
    assert!(text.contains("\n      fd 5  1m  /var/log/nginx/access.log\n"));
    assert!(!text.contains("not shown"));
}

#[test]
fn a_quiet_trace_says_so() {
    assert_eq!(
        written(&sample::empty(), &PLAIN),
        "\
No leak found in 10s; nothing that was acquired is outstanding.

web1, Linux 6.18.0 x86_64, 10s until 2026-01-02T03:04:15Z; 12345 events seen.
Nothing was lost.
"
    );
}

#[test]
fn what_is_outstanding_is_told_without_findings() {
    let mut report = sample::leaking();
    report.findings.retain(|f| f.verdict == Verdict::Steady);
    let text = written(&report, &PLAIN);
    assert!(
        text.starts_with(
            "No leak found in 4m; 436 resources outstanding in 2 processes.\n\
             1 steady site is not shown (--all shows them).\n\nProcesses"
        ),
        "{text}"
    );
}

#[test]
fn a_blind_trace_says_that_it_says_nothing() {
    let mut report = sample::empty();
    report.health.events = 0;
    report.health.uncovered = vec!["32-bit system calls of pid 9 (wine)".to_owned()];
    assert_eq!(
        written(&report, &PLAIN),
        "\
No leak found in 10s; nothing that was acquired is outstanding.
Nothing was seen: not one acquisition or release, so this says nothing about
    leaks.
Not everything was covered: see below.

web1, Linux 6.18.0 x86_64, 10s until 2026-01-02T03:04:15Z; 0 events seen.
Nothing was lost.
Not covered:
  - 32-bit system calls of pid 9 (wine)
"
    );
}

#[test]
fn loss_is_told_with_its_causes() {
    let mut report = sample::empty();
    report.health.lost = 123;
    report.health.lost_by_cause =
        sample::counts(&[("ring_full", 122), ("inflight_full", 0), ("new_cause", 1)]);
    report.health.reconciled = 1;
    report.health.adopted = 2;
    report.health.stacks_truncated = 3;
    assert_eq!(
        written(&report, &PLAIN),
        "\
No leak found in 10s; nothing that was acquired is outstanding.
123 records were lost: a leak may have gone unseen.

web1, Linux 6.18.0 x86_64, 10s until 2026-01-02T03:04:15Z; 12345 events seen.
Lost 123 records. Where that may hide a release, the process was compared with
  /proc before its verdict, and the verdict is less sure; an acquisition among
  them is missing from this report.
  - new_cause 1
  - ring_full 122: the ring buffer was full; a larger --ring-size or fewer kinds
    (-k) help
1 resource was dropped because /proc did not show it any more.
2 resources were found in /proc without their acquisition; they have no stack.
3 stacks end before their outermost frame.
"
    );
}

#[test]
fn only_the_first_findings_and_processes_are_shown() {
    let mut report = sample::leaking();
    report.findings = vec![sample::socket_leak(); 5];
    let text = written(&report, &TextOptions { top: 1, ..PLAIN });
    assert_eq!(text.matches("\nLEAK").count(), 1);
    assert!(text.contains("\n... and 4 more findings (-n shows more)\n"));
    assert!(text.contains("\n... and 1 more process\n"));
}

#[test]
fn a_deep_stack_is_cut() {
    let mut report = sample::leaking();
    report.findings = vec![sample::socket_leak()];
    report.findings[0].stack = vec![sample::frame("recurse", "/bin/a", None, false); 127];
    let text = written(&report, &PLAIN);
    assert!(text.contains("      #23 recurse  (a)\n      ... and 103 more frames (-f json"));
}

#[test]
fn the_file_and_line_of_a_frame_are_never_cut() {
    let path = "/tmp/python-build.20260509073544.333/Python-3.12.1/Modules/_io/fileio.c";
    for length in 1..60 {
        let mut report = sample::leaking();
        report.findings = vec![sample::socket_leak()];
        let mut frame = sample::frame(&"f".repeat(length), "/lib/libpython3.12.so.1.0", None, true);
        (frame.file, frame.line) = (Some(path.to_owned()), Some(400));
        report.findings[0].stack = vec![frame];
        let text = written(&report, &PLAIN);
        assert!(
            text.contains("/fileio.c:400 (libpython3.12.so.1.0)\n"),
            "{text}"
        );
    }
}

#[test]
fn what_was_acquired_out_of_sight_has_no_share() {
    let mut report = sample::leaking();
    report.findings = vec![sample::socket_leak()];
    (report.findings[0].outstanding, report.findings[0].acquired) = (9, 0);
    let text = written(&report, &PLAIN);
    assert!(
        text.contains("LEAK socket in nginx (1234): 9 held, +4.1/s"),
        "{text}"
    );
}

#[test]
fn a_hostile_name_is_shown_escaped() {
    let mut report = sample::leaking();
    let name = "\x1b]0;x\x07\n\u{202e}gpj";
    report.findings = vec![sample::socket_leak()];
    report.findings[0].comm = name.to_owned();
    report.processes[0].comm = name.to_owned();
    report.findings[0].examples = vec![Example {
        handle: "fd 3".to_owned(),
        age_seconds: 1.0,
        description: "/tmp/\x1b[2J\u{9b}1A/x".to_owned(),
        ..Example::default()
    }];
    let text = written(&report, &PLAIN);
    assert!(text.contains(r"LEAK socket in \x1b]0;x\x07\n\u{202e}gpj (1234): 412"));
    assert!(
        text.contains(r"   1234  \x1b]0;x\x07\n…  412 socket"),
        "{text}"
    );
    assert!(text.contains(r"fd 3  1.0s  /tmp/\x1b[2J\u{9b}1A/x"));
}

#[test]
fn what_is_full_comes_first_and_then_no_leak_found_would_be_wrong() {
    let text = written(&sample::failing(), &PLAIN);
    let full = "\
FULL nginx (1234): 1024 of 1024 descriptors are in use (nofile), and 312 more
    were refused
    1003  socket  -> 10.0.0.9:80  CLOSE_WAIT  fd 12
      20  file    /var/log/nginx/*.log  fd 4
    ... and 1 more
";
    assert!(text.starts_with(full), "{text}");
    let nothing = Report {
        full: sample::failing().full,
        ..sample::empty()
    };
    let text = written(&nothing, &PLAIN);
    assert!(text.contains("\nNothing found that grows in "), "{text}");
    assert!(!text.contains("No leak found"), "{text}");
}

#[test]
fn failures_shared_limits_other_holders_and_suppressions_are_told() {
    let text = written(&sample::failing(), &PLAIN);
    for part in [
        "\
1 steady site is not shown (--all shows them).
Calls failed for lack of resources in 1 process: see FAILED below.

LEAK",
        "\
      fd 12   3m 20s  inet 10.0.0.1:80 -> 192.0.2.7:51234 CLOSE_WAIT
        also held by nginx (1235) fd 12, nginx (1236) 2
      fd 113",
        "\
    - None of 20 was released.
    waits for: 5 more seconds of growth
    no stack",
        "
FAILED accept4 in nginx (1234): EMFILE, 312 times, first after 3m 23s
    - the process reached its limit of 1024 descriptors (nofile)
    - held most then: nginx (1234) 1003 socket, nginx (1234) 21 file
    first failed at
      #0  worker_process_cycle  (nginx)

Processes",
        "
Shared limits that will be reached at this pace
  memory of /system.slice/web.service: 700.0 MiB of 1.0 GiB used, +1.9 MiB/s,
    full in 2m 50s
  pid_max of the host: 734003200 of 1073741824 used, +2000000/s, full in 2h 30m

web1,",
        "
3 findings are suppressed, with 61 resources outstanding:
  - 1 the connection pool is meant to grow to 50
  - 2 fixed in 2.4, to be rolled out (built in)
Nothing was lost.
",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
}

#[test]
fn the_sample_fits_every_width() {
    for columns in 60..=120 {
        let options = TextOptions {
            width: columns,
            all: true,
            ..PLAIN
        };
        for line in written(&sample::failing(), &options).lines() {
            assert!(width(line) <= columns, "{columns}: {line}");
        }
    }
}
