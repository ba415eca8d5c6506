//! What goes wrong around the tracer: how it ends, what it says, what it leaves.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::tracer::{binary, command, leaktrace, run, says_tracing};
use harness::victim::signal;
use harness::{
    BRIEF_NURSERY, Ran, Report, Tracer, Victim, alone, be_taken_over, beside_others, bpf,
    eventually, grow_old, proc,
};
use tempfile::TempDir;

/// A brief trace of this process alone, for tests of how a trace ends: a busy host would
/// have much to look through.
fn brief(arguments: &[&str]) -> Command {
    let own = std::process::id().to_string();
    let mut brief = command();
    brief
        .args(["trace", "-p", &own, "-d", "500ms"])
        .args(arguments);
    brief
}

/// Fails as described, in words for a person, and without having traced.
fn assert_refuses(ran: &Ran, code: i32, named: &str) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert!(
        ran.stderr.contains(named),
        "{named:?} is not named:\n{}",
        ran.stderr
    );
    assert!(!says_tracing(&ran.stderr), "it traced:\n{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn without_privilege_it_names_the_capability() {
    let _turn = beside_others();
    // The build's directory may be closed to others.
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("leaktrace");
    fs::copy(binary(), &copy).unwrap();
    let ran = run(Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
        ])
        .arg(&copy)
        .args(["trace", "-d", "1s"])
        .current_dir("/"));
    assert_refuses(&ran, 5, "CAP_BPF");
}

#[test]
fn an_unknown_process_is_named() {
    let _turn = beside_others();
    let pid = proc::unused_pid().to_string();
    assert_refuses(&leaktrace(&["trace", "-p", &pid, "-d", "1s"]), 1, &pid);
}

#[test]
fn an_unknown_kind_is_a_usage_error() {
    let _turn = beside_others();
    let ran = leaktrace(&["trace", "-k", "file,nonsense", "-d", "1s"]);
    assert_refuses(&ran, 2, "nonsense");
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_tracing() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("missing/report.json");
    let path = file.to_str().unwrap();
    let ran = leaktrace(&["trace", "-d", "1s", "-f", "json", "-o", path]);
    assert_refuses(&ran, 1, path);
    // The command of `run` must not have run either.
    let trace = directory.path().join("ran");
    let ran = leaktrace(&["run", "-o", path, "--", "touch", trace.to_str().unwrap()]);
    assert_refuses(&ran, 1, path);
    assert!(!trace.exists(), "the command ran");
}

#[test]
fn a_run_that_fails_leaves_an_older_report_alone() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    fs::write(&file, "an older report").unwrap();
    let path = file.to_str().unwrap();
    let pid = proc::unused_pid().to_string();
    let ran = leaktrace(&["trace", "-p", &pid, "-d", "1s", "-f", "json", "-o", path]);
    assert_refuses(&ran, 1, &pid);
    assert_eq!(fs::read_to_string(&file).unwrap(), "an older report");
    // Killed in the middle of a trace, too.
    let mut child = command()
        .args(["trace", "-f", "json", "-o", path])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    assert!(
        eventually(|| !bpf::objects_of(pid).is_empty()),
        "it loads nothing"
    );
    signal(pid as i32, libc::SIGKILL);
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "an older report");
}

#[test]
fn an_older_recording_is_not_replaced() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let (file, part) = (
        directory.path().join("web.lkt"),
        directory.path().join("web-0007.lkt"),
    );
    fs::write(&file, "an older recording").unwrap();
    fs::write(&part, "a part of an older one").unwrap();
    let path = file.to_str().unwrap();
    for arguments in [
        &["record", "-d", "1s", "-o", path][..],
        &["record", "-d", "1s", "-o", path, "--rotate", "1h"],
        &["trace", "-d", "1s", "--record", path],
    ] {
        assert_refuses(&leaktrace(arguments), 1, "--force");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "an older recording");
    let own = std::process::id().to_string();
    let ran = leaktrace(&["record", "-p", &own, "-d", "500ms", "-o", path, "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_ne!(fs::read(&file).unwrap(), b"an older recording");
}

#[test]
fn a_report_that_its_place_cannot_hold_is_printed_as_text() {
    let _turn = beside_others();
    let ran = run(&mut brief(&["-f", "json", "-o", "/dev/full"]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("Nothing was lost"), "{}", ran.stdout);
    assert!(ran.stderr.contains("/dev/full"), "{}", ran.stderr);
}

#[test]
fn a_signal_during_the_start_ends_it_at_once() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    let child = command()
        .args(["trace", "-f", "json", "-o", file.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its temporary file shows that it has begun; its first map, that it loads.
    assert!(eventually(|| !bpf::objects_of(child.id()).is_empty()));
    signal(child.id() as i32, libc::SIGINT);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(!says_tracing(&stderr), "{stderr}");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn too_few_descriptors_are_named_before_anything_fails_for_lack_of_them() {
    let _turn = beside_others();
    let mut few = Command::new("prlimit");
    few.args(["--nofile=40:40", "setpriv", "--bounding-set=-sys_resource"])
        .args(["--inh-caps=-sys_resource"])
        .arg(binary())
        .args(["trace", "-d", "1s"]);
    assert_refuses(&run(&mut few), 1, "may open only 40 files");
}

#[test]
fn a_report_is_for_its_owner_alone() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    let path = file.to_str().unwrap();
    let ran = run(&mut brief(&["-f", "json", "-o", path]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = Report::read(&file, &ran.stderr);
    let patience = harness::PATIENCE.as_secs_f64();
    assert!(
        (0.5..patience).contains(&report.window.seconds),
        "{:?}",
        report.window
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
}

#[test]
fn a_report_goes_to_stdout_and_nothing_else_does() {
    let _turn = beside_others();
    let ran = leaktrace(&["trace", "-d", "500ms", "-f", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let _ = Report::parse(&ran.stdout, &ran.stderr);
}

#[test]
fn a_reader_that_went_away_is_no_panic() {
    let _turn = beside_others();
    for format in ["json", "text"] {
        let mut child = brief(&["-f", format])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = eventually(|| child.try_wait().unwrap().is_some());
        if !ended {
            signal(child.id() as i32, libc::SIGKILL);
        }
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(ended, "it does not end:\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_ne!(output.status.code(), Some(101), "{stderr}");
    }
}

#[test]
fn interrupt_terminate_and_hang_up_end_with_the_report() {
    let _alone = alone();
    for with in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let tracer = Tracer::of_descendants(&BRIEF_NURSERY);
        let mut victim = Victim::start("rows", &["openat", "leak", "5"]);
        victim.tell();
        victim.expect("held");
        grow_old();
        let report = tracer.stop_with(with);
        let pid = victim.pid();
        assert_eq!(
            report.outstanding_at(pid, "file", "leak_openat"),
            5,
            "signal {with}{}",
            report.excerpt(pid)
        );
    }
}

#[test]
fn what_grew_old_while_the_tracer_could_not_run_is_in_the_report() {
    const TRACED: Duration = Duration::from_secs(4);
    let _turn = beside_others();
    let mut victim = Victim::start("rows", &["openat", "leak", "5"]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &["-d", "4s"]);
    let begun = Instant::now();
    signal(tracer.pid() as i32, libc::SIGSTOP);
    assert!(eventually(|| proc::is_stopped(tracer.pid())));
    victim.tell();
    victim.expect("held");
    grow_old();
    // When it goes on, its time is up.
    assert!(eventually(|| begun.elapsed() > TRACED));
    let report = tracer.stop_with(libc::SIGCONT);
    assert_eq!(
        report.outstanding_at(pid, "file", "leak_openat"),
        5,
        "{}",
        report.excerpt(pid)
    );
}

#[test]
fn killed_it_leaves_nothing_in_the_kernel() {
    let _turn = beside_others();
    let tracer = Tracer::start(&[]);
    let objects = bpf::objects_of(tracer.pid());
    assert!(
        objects
            .iter()
            .any(|object| matches!(object, bpf::Object::Program(_))),
        "the tracer holds no program: {objects:?}"
    );
    assert!(objects.iter().all(|object| object.exists()), "{objects:?}");
    tracer.kill();
    // The kernel frees them a little later.
    let mut left = Vec::new();
    let gone = eventually(|| {
        left = objects.iter().filter(|object| object.exists()).collect();
        left.is_empty()
    });
    assert!(gone, "still there: {left:?}");
}

#[test]
fn names_do_not_command_the_terminal() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let mut victim = Victim::start(
        "escapes",
        &[directory.path().to_str().unwrap(), "\x1b]0;evil\x07"],
    );
    let pid = victim.pid().to_string();
    let said = directory.path().join("stderr");
    let trace = command()
        .args(["trace", "-p", &pid, "-f", "text"])
        .args(["--color", "never", "--all", "--min-age", "0s"])
        .args(BRIEF_NURSERY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let tracer = trace.id();
    let traces = eventually(|| says_tracing(&fs::read_to_string(&said).unwrap()));
    assert!(traces, "{}", fs::read_to_string(&said).unwrap());
    victim.tell();
    victim.expect("held");
    grow_old();
    signal(tracer as i32, libc::SIGINT);
    let output = trace.wait_with_output().unwrap();
    for (stream, bytes) in [
        ("stdout", output.stdout.clone()),
        ("stderr", fs::read(&said).unwrap()),
    ] {
        let text = String::from_utf8(bytes).expect("output is UTF-8");
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "in {stream}: {}", text.escape_debug());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("evil"), "the process is not named:\n{text}");
    assert!(text.contains("wicked"), "the file is not named:\n{text}");
}

#[test]
fn a_process_that_ends_during_the_trace_is_no_error() {
    let _turn = beside_others();
    let mut victim = Victim::start("rows", &["openat", "leak", "5"]);
    let pid = victim.pid();
    let tracer = Tracer::of(pid, &[]);
    victim.tell();
    victim.expect("held");
    be_taken_over();
    victim.end();
    // The tracer may have noticed, and end for that reason: both are fine.
    let report = tracer.stop();
    // A trace may forget processes that ended; one that it lists held five.
    if let Some(process) = report.process(pid) {
        assert!(process.exited, "{}", report.excerpt(pid));
        assert_eq!(
            report.outstanding_at(pid, "file", "leak_openat"),
            5,
            "{}",
            report.excerpt(pid)
        );
    }
}
