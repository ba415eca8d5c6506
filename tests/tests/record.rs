//! `leaktrace record` and `report`: what a recording tells is what a live trace tells,
//! whatever happens to the recorder.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{Ran, Report, alone, eventually, tracer, victim::signal};
use tempfile::TempDir;

/// Opens a file every 100 ms and keeps all of them.
const LEAKS: &str = "for i in $(seq 60); do exec {fd}</etc/hostname; sleep 0.1; done";

/// The same, but closes them.
const CLEAN: &str = "for i in $(seq 60); do exec {fd}</etc/hostname; sleep 0.1; exec {fd}<&-; done";

fn leaktrace(arguments: &[&str]) -> Ran {
    tracer::run(tracer::command().args(arguments))
}

/// Records with options that have no spaces in them, until it is done.
fn record(options: &str, output: &Path) -> Ran {
    tracer::run(tracer::command().args(recording(options, output)))
}

/// The words of a command that records.
fn recording<'a>(options: &'a str, output: &'a Path) -> Vec<&'a str> {
    let mut words = vec!["record", "-o", text(output)];
    words.extend(options.split_whitespace());
    words
}

/// A directory for a recording, and the recording's place in it.
fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let recording = directory.path().join("a.lkt");
    (directory, recording)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What `report` makes of a file.
fn reported(file: &Path, more: &[&str]) -> Report {
    let directory = TempDir::new().unwrap();
    let output = directory.path().join("report.json");
    let said = report(file, &output, more);
    Report::read(&output, &said)
}

/// Has `report` write what it makes of a file; what it said.
fn report(file: &Path, output: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["report", text(file), "-f", "json", "-o", text(output)];
    arguments.extend(more);
    let ran = leaktrace(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stderr
}

/// A recorder that is recording.
struct Recorder {
    child: Child,
    said: PathBuf,
    _directory: TempDir,
}

impl Recorder {
    fn start(options: &str, output: &Path) -> Recorder {
        let directory = TempDir::new().unwrap();
        let said = directory.path().join("stderr");
        let child = tracer::command()
            .args(recording(options, output))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let recorder = Recorder {
            child,
            said,
            _directory: directory,
        };
        assert!(
            eventually(|| recorder.said().contains("tracing ")),
            "{}",
            recorder.said()
        );
        recorder
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    fn signal(&self, number: i32) {
        signal(i32::try_from(self.child.id()).unwrap(), number);
    }

    /// Its exit code and what it said.
    fn end(mut self) -> (i32, String) {
        assert!(eventually(|| self.child.try_wait().unwrap().is_some()));
        let status = self.child.wait().unwrap();
        (tracer::code(status), self.said())
    }
}

/// A shell that runs a script; killed with what it started when dropped.
struct Shell(Child);

impl Shell {
    fn run(script: &str) -> Shell {
        Shell::spawn(script, Stdio::null())
    }

    /// One that waits for [`Shell::go`] before.
    fn ready(script: &str) -> Shell {
        Shell::spawn(&format!("read -r; {script}"), Stdio::piped())
    }

    fn spawn(script: &str, stdin: Stdio) -> Shell {
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).process_group(0).stdin(stdin);
        Shell(bash.spawn().unwrap())
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        signal(-i32::try_from(self.pid()).unwrap(), libc::SIGKILL);
        let _ = self.0.wait();
    }
}

fn verdicts(report: &Report, pid: u32) -> Vec<&str> {
    let of = report.findings.iter().filter(|found| found.pid == pid);
    of.map(|found| found.verdict.as_str()).collect()
}

fn uncovers(report: &Report, words: &str) -> bool {
    let mut uncovered = report.health.uncovered.iter();
    uncovered.any(|one| one.contains(words))
}

#[test]
fn a_recording_reports_what_the_trace_reported() {
    let _alone = alone();
    let (directory, recording) = place();
    let live = directory.path().join("live.json");
    // One that leaks and exits before the rest, one that leaks, one that does not.
    let brief = LEAKS.replace("60", "20");
    let script = format!("({brief}) & ({CLEAN}) & {LEAKS}; wait");
    let ran = leaktrace(&[
        "run",
        "--record",
        text(&recording),
        "-f",
        "json",
        "-o",
        text(&live),
        "--",
        "bash",
        "-c",
        &script,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let replayed = directory.path().join("replayed.json");
    report(&recording, &replayed, &[]);
    let live_text = fs::read_to_string(&live).unwrap();
    assert!(
        live_text == fs::read_to_string(&replayed).unwrap(),
        "they differ"
    );
    let report = Report::read(&live, "");
    let leaks = report
        .findings
        .iter()
        .filter(|found| found.verdict == "leak");
    assert!(leaks.count() >= 1, "{report:?}");
    assert!(report.processes.iter().any(|process| process.exited));
    let verified = leaktrace(&["verify", text(&recording)]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(verified.stdout.contains(": whole"), "{}", verified.stdout);
    let events = leaktrace(&["report", text(&recording), "--events", "-f", "jsonl"]);
    assert_eq!((events.code, events.stderr.as_str()), (0, ""));
    let lines: Vec<serde_json::Value> = events
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (end, events) = lines.split_last().unwrap();
    assert_eq!(end["schema"], "leaktrace.events/1");
    assert_eq!(
        (end["events"].as_u64(), end["lost"].as_u64()),
        (Some(events.len() as u64), Some(0))
    );
    let opened =
        |event: &&serde_json::Value| event["event"] == "acquired" && event["kind"] == "file";
    // Two that leak, 20 and 60 files.
    assert!(events.iter().filter(opened).count() >= 80, "{events:?}");
    let failing = leaktrace(&["report", text(&recording), "--fail-on", "leak"]);
    assert_eq!(failing.code, 3, "{}", failing.stderr);
}

#[test]
fn a_recording_of_running_processes_reports_what_the_trace_reported() {
    let _alone = alone();
    let (directory, recording) = place();
    let live = directory.path().join("live.json");
    let leaking = Shell::run(&LEAKS.replace("seq 60", "seq 6000"));
    let ran = leaktrace(&[
        "trace",
        "--comm",
        "bash",
        "-d",
        "4s",
        "--record",
        text(&recording),
        "-f",
        "json",
        "-o",
        text(&live),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let live = Report::read(&live, "");
    let replayed = reported(&recording, &[]);
    assert!(live.document == replayed.document, "they differ");
    assert!(!verdicts(&live, leaking.pid()).is_empty());
    let part = reported(
        &recording,
        &["--pid", &leaking.pid().to_string(), "--from", "1s"],
    );
    assert!(part.findings.iter().all(|found| found.pid == leaking.pid()));
    assert!((part.window.seconds - live.window.seconds + 1.0).abs() < 0.01);
    let early = reported(&recording, &["--to", "2s"]);
    assert!((early.window.seconds - 2.0).abs() < 0.01, "{early:?}");
}

/// Kills a recorder at different moments: what it wrote is readable and right.
fn killed(times: u64) {
    let _alone = alone();
    let (_directory, recording) = place();
    let clean = Shell::run(&CLEAN.replace("seq 60", "seq 6000"));
    let pid = clean.pid();
    for round in 0..times {
        let recorder = Recorder::start(&format!("-p {pid} --nursery 50ms -i 100ms"), &recording);
        // The moment is what is varied, so it is no condition.
        std::thread::sleep(Duration::from_millis(round * 137 % 1500));
        recorder.signal(libc::SIGKILL);
        let (code, said) = recorder.end();
        assert_eq!(code, 137, "{said}");
        let report = reported(&recording, &[]);
        assert!(
            !verdicts(&report, clean.pid()).contains(&"leak"),
            "{report:?}"
        );
        assert!(report.health.lost_by_cause.contains_key("capture_damaged"));
        assert!(uncovers(&report, "did not end"));
        assert_eq!(leaktrace(&["verify", text(&recording)]).code, 1);
    }
}

#[test]
fn a_killed_recorder_leaves_a_recording() {
    killed(8);
}

#[test]
#[ignore = "takes some minutes"]
fn fifty_killed_recorders_leave_recordings() {
    killed(50);
}

#[test]
fn a_killed_recorder_leaves_names() {
    let _alone = alone();
    let (_directory, recording) = place();
    let leaking = Shell::run(&LEAKS.replace("seq 60", "seq 6000"));
    let pid = leaking.pid();
    let recorder = Recorder::start(&format!("-p {pid} --nursery 200ms"), &recording);
    let named = eventually(|| {
        let report = reported(&recording, &[]);
        let mut files = report.findings.iter().filter(|found| found.kind == "file");
        files.any(|found| {
            found.stack.iter().any(|frame| !frame.symbol.is_empty())
                && found
                    .examples
                    .iter()
                    .any(|one| one.description == "/etc/hostname")
        })
    });
    recorder.signal(libc::SIGKILL);
    let _ = recorder.end();
    assert!(named);
    let report = reported(&recording, &[]);
    let process = report.processes.iter().find(|one| one.pid == leaking.pid());
    assert!(process.unwrap().cmdline.len() > 1, "{process:?}");
}

#[test]
fn a_full_disk_ends_the_recording_and_loses_nothing_before() {
    let _alone = alone();
    let directory = TempDir::new().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=32k", "tmpfs"])
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(mounted.success());
    let recording = directory.path().join("a.lkt");
    let leaking = Shell::run(&LEAKS.replace("seq 60", "seq 6000"));
    let pid = leaking.pid();
    let ran = record(
        &format!("-p {pid} -d 100s -i 200ms --all-events"),
        &recording,
    );
    let kept = fs::metadata(&recording).map(|file| file.len());
    let report = (ran.code == 1).then(|| reported(&recording, &[]));
    let _ = Command::new("umount").arg(directory.path()).status();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert!(ran.stderr.contains("are kept"), "{}", ran.stderr);
    assert!(kept.unwrap() > 0);
    assert!(uncovers(&report.unwrap(), "did not end"));
}

#[test]
fn each_part_of_a_rotation_tells_all_there_is() {
    let _alone = alone();
    let directory = TempDir::new().unwrap();
    let leaking = Shell::run(&LEAKS.replace("seq 60", "seq 6000"));
    let pid = leaking.pid();
    let pattern = directory.path().join("a.lkt");
    let ran = record(
        &format!("-p {pid} -d 7s --nursery 200ms --rotate 2s --keep 2"),
        &pattern,
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut files: Vec<PathBuf> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(leaktrace(&["verify", text(file)]).code, 0);
    }
    let last = reported(&files[1], &[]);
    // What was opened before the file was begun is there, with its stack.
    let found = last
        .findings
        .iter()
        .find(|found| found.kind == "file")
        .unwrap();
    let ages = found.examples.iter().map(|example| example.age_seconds);
    assert!(ages.fold(0.0, f64::max) > 4.0, "{found:?}");
    assert!(!found.stack.is_empty(), "{found:?}");
    assert!(last.window.seconds > 6.0, "{last:?}");
    assert_eq!(last.health.lost, 0, "{last:?}");
    let both = leaktrace(&["report", text(&files[1]), text(&files[0]), "-f", "json"]);
    assert_eq!(
        both.stdout,
        leaktrace(&["report", text(&files[1]), "-f", "json"]).stdout
    );
    // The report does not rest on the older file, but says what is wrong with it.
    let mut bytes = fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&files[0], bytes).unwrap();
    let both = reported(&files[1], &[text(&files[0])]);
    assert!(both.document["findings"] == last.document["findings"]);
    assert_eq!(both.health.lost, 0);
    let says = |name: &Path| {
        let mut uncovered = both.health.uncovered.iter();
        uncovered.any(|one| one.contains(text(name)) && one.contains("not needed"))
    };
    assert_eq!((says(&files[0]), says(&files[1])), (true, false));
}

#[test]
fn a_recording_ends_at_its_size_and_is_whole() {
    let _alone = alone();
    let (_directory, recording) = place();
    let leaking = LEAKS.replace("seq 60", "seq 6000").replace("0.1", "0.02");
    let leaking = Shell::run(&leaking);
    let pid = leaking.pid();
    let ran = record(
        &format!("-p {pid} --max-size 64K -i 200ms -d 100s --all-events"),
        &recording,
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("reached --max-size"), "{}", ran.stderr);
    assert_eq!(leaktrace(&["verify", text(&recording)]).code, 0);
    assert_eq!(
        reported(&recording, &[])
            .health
            .lost_by_cause
            .get("capture_damaged"),
        None
    );
}

#[test]
fn a_trigger_writes_what_led_to_it() {
    let _alone = alone();
    let (_directory, recording) = place();
    let limited = format!("ulimit -n 64; {}", LEAKS.replace("seq 60", "seq 45"));
    // With something behind it: of the last command the shell would make itself.
    let mut leaking = Shell::ready(&format!("{limited}; sleep 600; true"));
    let pid = leaking.pid();
    let recorder = Recorder::start(
        &format!("-p {pid} --nursery 200ms --on-trigger nofile>50%|ENFILE --redact"),
        &recording,
    );
    assert!(!recording.exists(), "nothing has happened yet");
    leaking.go();
    assert!(eventually(|| recording.exists()), "{}", recorder.said());
    recorder.signal(libc::SIGINT);
    let (code, said) = recorder.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nofile>50%"), "{said}");
    assert_eq!(leaktrace(&["verify", text(&recording)]).code, 0);
    let report = reported(&recording, &[]);
    let found = report
        .findings
        .iter()
        .find(|found| found.kind == "file")
        .unwrap();
    assert!(found.outstanding > 10, "{found:?}");
    let process = report
        .processes
        .iter()
        .find(|one| one.pid == leaking.pid())
        .unwrap();
    assert_eq!(process.cmdline, Vec::<String>::new());
    assert_eq!(process.comm, "bash");
}

#[test]
fn a_trigger_that_does_not_fire_writes_nothing() {
    let _alone = alone();
    let (_directory, recording) = place();
    let idle = Shell::run("sleep 600");
    let pid = idle.pid();
    let ran = record(&format!("-p {pid} -d 1s --on-trigger EMFILE"), &recording);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("no trigger fired"), "{}", ran.stderr);
    assert!(!recording.exists());
}

#[test]
fn anyone_can_read_a_recording() {
    let _alone = alone();
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let recording = directory.path().join("a.lkt");
    let ran = leaktrace(&["record", "-o", text(&recording), "--", "sleep", "0.5"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        fs::metadata(&recording).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&recording, fs::Permissions::from_mode(0o644)).unwrap();
    let program = directory.path().join("leaktrace");
    fs::copy(tracer::binary(), &program).unwrap();
    let mut command = Command::new(&program);
    command
        .uid(65534)
        .gid(65534)
        .args(["report", text(&recording), "-f", "json"]);
    let ran = tracer::run(&mut command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["schema"], "leaktrace.report/1");
}

#[test]
fn what_is_no_recording_is_refused() {
    let directory = TempDir::new().unwrap();
    let garbage = directory.path().join("garbage");
    fs::write(&garbage, [0x5a; 100_000]).unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, []).unwrap();
    for (path, message) in [
        (garbage.as_path(), "no recording"),
        (empty.as_path(), "no recording"),
        (directory.path(), "is a directory"),
        (Path::new("/nonexistent"), "cannot open"),
    ] {
        for command in ["report", "verify"] {
            let ran = leaktrace(&[command, text(path)]);
            assert_eq!(ran.code, 1, "{command} {path:?}");
            assert!(ran.stderr.contains(message), "{path:?}: {}", ran.stderr);
            assert_eq!(ran.stdout, "");
        }
    }
}

#[test]
fn a_damaged_recording_says_what_is_missing() {
    let _alone = alone();
    let (_directory, recording) = place();
    let ran = leaktrace(&[
        "record",
        "-o",
        text(&recording),
        "--",
        "bash",
        "-c",
        &LEAKS.replace("60", "30"),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut bytes = fs::read(&recording).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&recording, bytes).unwrap();
    let report = reported(&recording, &[]);
    assert!(report.health.lost_by_cause["capture_damaged"] > 0);
    assert!(uncovers(&report, "at byte "));
    assert!(
        report
            .findings
            .iter()
            .filter(|found| found.comm == "bash")
            .all(|found| found.confidence <= 0.6),
        "{report:?}"
    );
    assert_eq!(leaktrace(&["verify", text(&recording)]).code, 1);
}
