//! What a recording tells is what the trace told; one that is damaged says what is missing.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use harness::tracer::{self, leaktrace, reported};
use harness::{Report, alone, beside_others};
use tempfile::TempDir;

use super::{CLEAN, LEAKS, Shell, place, text, uncovers, verdicts};

#[test]
fn a_recording_reports_what_the_trace_reported() {
    let _turn = beside_others();
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
    let words = [
        "report",
        text(&recording),
        "-f",
        "json",
        "-o",
        text(&replayed),
    ];
    let ran = leaktrace(&words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
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

#[test]
fn anyone_can_read_a_recording() {
    let _turn = beside_others();
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
    let _turn = beside_others();
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
