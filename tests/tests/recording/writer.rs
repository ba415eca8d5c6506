//! Whatever ends a recording, what was written until then can be read: a kill, a full disk, a
//! size, a rotation. A trigger writes what led to it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::tracer::{leaktrace, reported};
use harness::{beside_others, eventually};
use tempfile::TempDir;

use super::{CLEAN, LEAKS, Recorder, Shell, place, record, text, uncovers, verdicts};

/// Kills a recorder at different moments: what it wrote is readable and right.
fn killed(times: u64) {
    let _turn = beside_others();
    let (_directory, recording) = place();
    let clean = Shell::run(&CLEAN.replace("seq 60", "seq 6000"));
    let pid = clean.pid();
    for round in 0..times {
        let recorder = Recorder::start(
            &format!("-p {pid} --force --nursery 50ms -i 100ms"),
            &recording,
        );
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
    let _turn = beside_others();
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
    // That it has no end yet is no damage while it is being written.
    let report = reported(&recording, &[]);
    assert_eq!(report.health.lost, 0, "{report:?}");
    assert!(uncovers(&report, "not finished"), "{report:?}");
    let verified = leaktrace(&["verify", text(&recording)]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    recorder.signal(libc::SIGKILL);
    let _ = recorder.end();
    assert!(named);
    let report = reported(&recording, &[]);
    assert!(uncovers(&report, "did not end"), "{report:?}");
    let process = report.processes.iter().find(|one| one.pid == leaking.pid());
    assert!(process.unwrap().cmdline.len() > 1, "{process:?}");
}

#[test]
fn a_full_disk_ends_the_recording_and_loses_nothing_before() {
    let _turn = beside_others();
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
    let _turn = beside_others();
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
    let _turn = beside_others();
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
    let _turn = beside_others();
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
    let _turn = beside_others();
    let (_directory, recording) = place();
    let idle = Shell::run("sleep 600");
    let pid = idle.pid();
    let ran = record(&format!("-p {pid} -d 1s --on-trigger EMFILE"), &recording);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("no trigger fired"), "{}", ran.stderr);
    assert!(!recording.exists());
}
