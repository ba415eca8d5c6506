//! `leaktrace run`: a command traced from its first instruction to its end.

use harness::victim::program;
use harness::{BRIEF_NURSERY, Ran, Tracer, beside_others};

fn victim(name: &str) -> String {
    program(name).to_str().unwrap().to_owned()
}

fn shell(script: &str) -> Ran {
    Tracer::run(&[], &["sh", "-c", script])
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let _turn = beside_others();
    for code in [0, 1, 3, 77] {
        let ran = shell(&format!("exit {code}"));
        assert_eq!(ran.code, code, "{}", ran.stderr);
        let _ = ran.report();
    }
}

#[test]
fn a_signal_counts_as_128_and_its_number() {
    let _turn = beside_others();
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGSEGV] {
        let ran = shell(&format!("kill -{signal} $$"));
        assert_eq!(ran.code, 128 + signal, "{}", ran.stderr);
        let _ = ran.report();
    }
}

#[test]
fn output_of_the_command_is_passed_on() {
    let _turn = beside_others();
    let ran = shell("echo to-stdout; echo to-stderr >&2");
    assert_eq!(ran.stdout, "to-stdout\n");
    assert!(ran.stderr.contains("to-stderr"), "{}", ran.stderr);
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let _turn = beside_others();
    let ran = Tracer::run(&[], &["leaktrace-no-such-command"]);
    assert_eq!(ran.code, 127, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("leaktrace-no-such-command"),
        "{}",
        ran.stderr
    );
    let ran = Tracer::run(&[], &["/etc/passwd"]);
    assert_eq!(ran.code, 126, "{}", ran.stderr);
    assert!(ran.stderr.contains("/etc/passwd"), "{}", ran.stderr);
}

#[test]
fn limits_are_those_of_the_command_alone_and_what_runs_into_them_is_told() {
    let _turn = beside_others();
    // Without more of it, the command has the limits that leaktrace was started with.
    let before = shell("ulimit -n; ulimit -Hn").stdout;
    let ours = std::process::Command::new("sh")
        .args(["-c", "ulimit -n; ulimit -Hn"])
        .output()
        .unwrap();
    assert_eq!(before, String::from_utf8_lossy(&ours.stdout));
    let opens = "ulimit -n; for i in 3 4 5 6 7 8 9; do eval \"exec $i</dev/null\" || exit 9; done";
    let ran = Tracer::run(&["--limit", "nofile=8,core=0"], &["bash", "-c", opens]);
    assert_eq!(ran.stdout, "8\n", "{}", ran.stderr);
    let report = ran.report();
    let failures = &report.failures;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].error == "EMFILE", "{failures:?}");
}

#[test]
fn a_leak_before_main_of_a_brief_program_is_reported_with_its_stack() {
    let _turn = beside_others();
    let ran = Tracer::run(&[], &[&victim("constructor")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = ran.report();
    let site: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.function() == Some("leak_constructor"))
        .collect();
    assert_eq!(site.len(), 1, "{:#}", report.document);
    assert_eq!(site[0].kind, "file");
    assert_eq!(site[0].outstanding, 3, "{:#}", report.document);
    assert!(
        site[0].passes("before_main"),
        "the caller is missing: {:?}",
        site[0].stack
    );
    let process = report.process(site[0].pid).expect("it is in the report");
    assert!(process.exited, "{process:?}");
    assert_eq!(process.comm, "constructor");
    // Inherited descriptors aside, the loader closed what it opened.
    assert_eq!(process.outstanding.get("file"), Some(&3), "{process:?}");
}

#[test]
fn descendants_are_traced() {
    let _turn = beside_others();
    let rows = victim("rows");
    // The rows end by themselves, since there is no stdin to wait for; `true` keeps
    // the outer shell from becoming the inner one.
    let script = format!("sh -c '{rows} openat leak 3 & {rows} socket leak 4 & wait'; true");
    let ran = Tracer::run(&BRIEF_NURSERY, &["sh", "-c", &script]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = ran.report();
    for (kind, site, count) in [("file", "leak_openat", 3), ("socket", "leak_socket", 4)] {
        let seen: u64 = report
            .findings
            .iter()
            .filter(|f| f.kind == kind && f.function() == Some(site))
            .map(|f| f.outstanding)
            .sum();
        assert_eq!(seen, count, "{site}: {:#}", report.document);
    }
}

#[test]
fn fail_on_leak_fails_for_the_leak_alone() {
    let _turn = beside_others();
    let grower = victim("grower");
    let options = [&["--fail-on", "leak", "--ci", "github"], &BRIEF_NURSERY[..]].concat();
    let ran = Tracer::run(&options, &[&grower, "leak", "8", "7"]);
    assert_eq!(ran.code, 3, "{:#}\n{}", ran.report().document, ran.stderr);
    let notes: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("::error "))
        .collect();
    let [note] = notes[..] else {
        panic!("one note is due: {}", ran.stderr)
    };
    // `leak_grower` opens by a function of that header.
    let place = note.split(',').take(2).collect::<Vec<_>>().join(",");
    let line = place
        .rsplit('=')
        .next()
        .and_then(|line| line.parse::<u32>().ok());
    assert!(
        place.contains("/tests/victims/victim.h,line=") && line > Some(1),
        "{note}"
    );
    let leaks: Vec<_> = ran
        .report()
        .findings
        .iter()
        .filter(|finding| finding.verdict == "leak")
        .collect();
    assert_eq!(leaks.len(), 1, "{:#}", ran.report().document);
    assert_eq!(leaks[0].function(), Some("leak_grower"));
    assert_eq!(leaks[0].kind, "file");
    assert!(!leaks[0].evidence.is_empty());
    assert!((0.5..=1.0).contains(&leaks[0].confidence), "{leaks:?}");

    let ran = Tracer::run(&options, &[&grower, "twin", "8", "7"]);
    assert_eq!(ran.code, 7, "{:#}\n{}", ran.report().document, ran.stderr);
    assert!(!ran.stderr.contains("::"), "{}", ran.stderr);
}

#[test]
fn without_fail_on_a_leak_changes_no_exit_code() {
    let _turn = beside_others();
    let ran = Tracer::run(&BRIEF_NURSERY, &[&victim("grower"), "leak", "3", "0"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = ran.report();
    let seen: u64 = report
        .findings
        .iter()
        .filter(|finding| finding.function() == Some("leak_grower"))
        .map(|finding| finding.outstanding)
        .sum();
    assert_eq!(seen, 60, "{:#}", report.document);
}

#[test]
fn a_leak_that_its_process_closes_before_it_exits_is_one() {
    let _turn = beside_others();
    let ender = victim("ender");
    let options = [&["--fail-on", "leak"], &BRIEF_NURSERY[..]].concat();
    for way in ["at-exit", "on-signal"] {
        let ran = Tracer::run(&options, &[&ender, "leak", "8", way]);
        assert_eq!(ran.code, 3, "{:#}\n{}", ran.report().document, ran.stderr);
        let report = ran.report();
        let leaks: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.verdict == "leak")
            .collect();
        assert_eq!(leaks.len(), 1, "{:#}", report.document);
        assert_eq!(leaks[0].function(), Some("leak_ender"));
        assert!(
            leaks[0]
                .evidence
                .iter()
                .any(|line| line.contains("before the process exited")),
            "{leaks:?}"
        );

        let ran = Tracer::run(&options, &[&ender, "twin", "8", way]);
        assert_eq!(ran.code, 0, "{:#}\n{}", ran.report().document, ran.stderr);
    }
}
