#![allow(clippy::unwrap_used, reason = "tests")]

mod hostile;
mod screens;

use super::*;
use crate::{
    model::{escape::width, report::Example, sample},
    output::formats::Stacks,
};

/// As a terminal of the usual width that is high enough for all.
const PLAIN: TextOptions = TextOptions {
    width: 80,
    height: 1000,
    color: false,
    top: 10,
    all: false,
    suspects_fail: false,
    each: false,
    stacks: Stacks::Folded,
};

fn written(report: &Report, options: &TextOptions) -> String {
    sample::text(|out| write(report, options, out))
}

#[test]
fn a_leak_is_told_with_its_numbers_stack_and_examples() {
    screens::compare("leaking", &written(&sample::leaking(), &PLAIN));
}

#[test]
fn colours_are_the_only_difference_on_a_terminal() {
    let color = TextOptions {
        color: true,
        ..PLAIN
    };
    let mut text = written(&sample::leaking(), &color);
    assert!(text.contains("\n\x1b[1;31m1. LEAK\x1b[0m socket in nginx"));
    assert!(text.contains("\n\x1b[1;33m2. SUSPECT\x1b[0m mapping in worker"));
    for code in ["\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[0m"] {
        text = text.replace(code, "");
    }
    assert_eq!(text, written(&sample::leaking(), &PLAIN));
}

#[test]
fn steady_sites_are_shown_on_demand() {
    let text = written(&sample::leaking(), &TextOptions { all: true, ..PLAIN });
    assert!(
        text.contains("\nSTEADY file in nginx (pid 1234): 3 of 3 held, not growing, oldest 1m")
    );
    assert!(text.contains("\n      fd 5  1m  /var/log/nginx/access.log\n"));
    assert!(!text.contains("--all"));
}

#[test]
fn a_quiet_trace_says_so() {
    assert_eq!(
        written(&sample::empty(), &PLAIN),
        "\
No leak found in 10s; nothing that was acquired meanwhile is still held.

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
             NEAR  nofile 433/1024, full in 2m 30s: nginx pid 1234\n\
             More: --all (1 steady site)\n\nProcesses"
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
No leak found in 10s; nothing that was acquired meanwhile is still held.
Nothing was seen: not one acquisition or release, so this says nothing about
    leaks.
Not covered: 32-bit system calls of pid 9 (wine)

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
No leak found in 10s; nothing that was acquired meanwhile is still held.
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
    report.processes[1].exited = false;
    let text = written(&report, &TextOptions { top: 1, ..PLAIN });
    assert_eq!(text.matches("\n1. LEAK socket in").count(), 1);
    assert!(!text.contains("\n2. LEAK"), "{text}");
    assert!(text.contains("\n... and 4 more problems (-n shows more)\n"));
    assert!(text.contains("\n... and 1 more process\n"));
}

#[test]
fn a_function_that_calls_itself_is_told_once_and_other_frames_of_the_user_are_all_told() {
    let mut report = sample::leaking();
    report.findings = vec![sample::socket_leak()];
    report.findings[0].stack = vec![sample::frame("recurse", "/srv/a", None, false); 127];
    let text = written(&report, &PLAIN);
    assert!(
        text.contains("    > #0  recurse  (a)\n          ... the same 126 times more\n"),
        "{text}"
    );
    let function = |number| sample::frame(&format!("step{number}"), "/srv/a", None, false);
    report.findings[0].stack = (0..127).map(function).collect();
    let text = written(&report, &PLAIN);
    assert!(text.contains("    > #126 step126  (a)\n"), "{text}");
}

#[test]
fn a_deep_stack_of_others_is_cut_unless_all_is_asked_for() {
    let mut report = sample::leaking();
    report.findings = vec![sample::socket_leak()];
    let function =
        |number| sample::frame(&format!("step{number}"), "/usr/lib/libx.so", None, false);
    report.findings[0].stack = (0..127).map(function).collect();
    let text = written(&report, &PLAIN);
    assert!(
        text.contains("      #0  step0  (libx.so)\n          ... 126 frames of libx\n"),
        "{text}"
    );
    let all = TextOptions {
        stacks: Stacks::Full,
        ..PLAIN
    };
    let text = written(&report, &all);
    assert!(text.contains("step126  (libx.so)\n"), "{text}");
    let short = TextOptions {
        stacks: Stacks::Short,
        ..PLAIN
    };
    assert!(!written(&report, &short).contains("frames of"));
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
        text.contains("LEAK socket in nginx (pid 1234): 9 held, +4.1/s"),
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
    report.processes[0].cmdline.clear();
    report.findings[0].examples = vec![Example {
        handle: "fd 3".to_owned(),
        age_seconds: 1.0,
        description: "/tmp/\x1b[2J\u{9b}1A/x".to_owned(),
        ..Example::default()
    }];
    let text = written(&report, &PLAIN);
    assert!(text.contains(r"LEAK socket in \x1b]0;x\x07\n\u{202e}gpj (pid 1234): 412"));
    assert!(
        text.contains(r"   1234  \x1b]0;x\x07\n\…  412 socket"),
        "{text}"
    );
    assert!(text.contains(r"fd 3  1.0s  /tmp/\x1b[2J\u{9b}1A/x"));
}

#[test]
fn what_is_full_is_told_and_then_no_leak_found_would_be_wrong() {
    let text = written(&sample::failing(), &PLAIN);
    let full = "\
\nFULL nginx (pid 1234): 1024 of 1024 descriptors are in use (nofile), and 312
    more were refused
    1003  socket  -> 10.0.0.9:80  CLOSE_WAIT  fd 12
      20  file    /var/log/nginx/*.log  fd 4
    ... and 1 more
";
    assert!(text.contains(full), "{text}");
    assert!(
        text.contains("\nFULL  nofile 1024/1024, most: 1003 socket"),
        "{text}"
    );
    let nothing = Report {
        full: sample::failing().full,
        ..sample::empty()
    };
    let text = written(&nothing, &PLAIN);
    assert!(text.starts_with("Nothing found that grows in "), "{text}");
    assert!(!text.contains("No leak found"), "{text}");
}

#[test]
fn failures_shared_limits_other_holders_and_suppressions_are_told() {
    let text = written(&sample::failing(), &PLAIN);
    for part in [
        "\
\nFAILS EMFILE accept4, 312 times, first 37s ago: nginx pid 1234
",
        "\
      fd 12   3m 20s  inet 10.0.0.1:80 -> 192.0.2.7:51234 CLOSE_WAIT
        also held by nginx (1235) fd 12, nginx (1236) 2
      fd 113",
        "\
    - None of 20 was released.
    waits for: 5 more seconds of growth
    no stack",
        "
FAILED accept4 in nginx (pid 1234): EMFILE, 312 times, first after 3m 23s
    - the process reached its limit of 1024 descriptors (nofile)
    - held most then: nginx (1234) 1003 socket, nginx (1234) 21 file
    first failed at
    > #0  worker_process_cycle  (nginx)

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
    for columns in 40..=120 {
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

#[test]
fn where_nothing_was_traced_nothing_is_said_about_leaks() {
    let mut report = sample::empty();
    report.health.unmatched = Some("no process is named nosuch".to_owned());
    let text = written(&report, &PLAIN);
    assert!(
        text.starts_with("Nothing was traced in 10s: no process is named nosuch.\n"),
        "{text}"
    );
    assert!(!text.contains("leak"), "{text}");
}

#[test]
fn no_leak_found_is_not_said_where_calls_fail_or_sites_are_too_young() {
    let mut report = Report {
        failures: sample::failing().failures,
        ..sample::empty()
    };
    let text = written(&report, &PLAIN);
    assert!(
        text.starts_with("Calls fail; nothing found that grows in 10s"),
        "{text}"
    );
    report = sample::leaking();
    report.window.seconds = 10.0;
    report
        .findings
        .retain(|finding| finding.verdict == Verdict::Steady);
    report.findings[0].growth_per_second = 3.0;
    let text = written(&report, &PLAIN);
    assert!(text.starts_with("No leak found yet in 10s"), "{text}");
    assert!(
        text.contains("\n1 site grows, and the trace was too short to tell a leak"),
        "{text}"
    );
}
