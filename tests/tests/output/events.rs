//! `--events` of `trace` and `run`: what happens, line by line, while it happens.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use harness::tracer::{self, leaktrace};
use harness::victim::{kill_group, program};
use harness::{BRIEF_NURSERY, Ran, alone, beside_others, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// A name that would do things to a terminal.
const HOSTILE: &str = "\u{1b}[31m\n\"\\evil";

/// The lines of events, and the one behind them.
fn lines(text: &str) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let end = lines.pop().unwrap();
    assert_eq!(end["schema"], "leaktrace.events/1");
    assert_eq!(end["events"], lines.len());
    (lines, end)
}

fn opened(events: &[Value]) -> usize {
    let is = |event: &&Value| event["event"] == "acquired" && event["kind"] == "file";
    events.iter().filter(is).count()
}

/// Runs a script under `run --events -f jsonl`.
fn run(more: &[&str], script: &str, argument: &Path) -> Ran {
    let mut arguments = vec!["run", "--events", "-f", "jsonl"];
    arguments.extend(BRIEF_NURSERY);
    arguments.extend(more);
    arguments.extend(["--", "bash", "-c", script, argument.to_str().unwrap()]);
    leaktrace(&arguments)
}

#[test]
fn events_are_those_of_the_recording() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let program = directory.path().join(HOSTILE);
    fs::copy("/bin/true", &program).unwrap();
    let recording = directory.path().join("a.lkt");
    let recording = recording.to_str().unwrap();
    let script = "for i in $(seq 20); do exec {fd}</etc/hostname; sleep 0.05; done; \"$0\"; exit 7";
    let ran = run(&["--record", recording], script, &program);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    let (events, end) = lines(&ran.stdout);
    assert!(opened(&events) >= 20, "{events:?}");
    assert_eq!(
        (&end["lost"], &end["uncovered"]),
        (&0.into(), &Value::Array(vec![]))
    );
    let named = |event: &Value| event["event"] == "executed" && event["comm"] == HOSTILE;
    assert!(events.iter().any(named), "{events:?}");
    assert!(!ran.stdout.contains('\u{1b}'));
    let replayed = leaktrace(&["report", recording, "--events", "-f", "jsonl"]);
    assert_eq!(ran.stdout, replayed.stdout);
}

#[test]
fn children_of_processes_that_are_not_traced_make_no_events() {
    let _alone = alone();
    let mut other = Command::new("bash");
    other.args(["-c", "while true; do /bin/true; done"]);
    let mut other = other.process_group(0).spawn().unwrap();
    let script = "sleep 2; sleep 2; true";
    let ran = run(&[], script, Path::new("x"));
    kill_group(other.id());
    other.wait().unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (events, _) = lines(&ran.stdout);
    let is = |event: &&Value, what: &str| event["event"] == what;
    let forked = events.iter().filter(|event| is(event, "forked"));
    let ours: Vec<String> = forked
        .map(|event| format!("pid {}", event["pid"]))
        .collect();
    let released = events.iter().filter(|event| is(event, "released"));
    let reaped: Vec<&str> = released
        .filter_map(|event| event["handle"].as_str())
        .filter(|handle| handle.starts_with("pid "))
        .collect();
    assert!(!reaped.is_empty(), "{events:?}");
    for child in reaped {
        assert!(
            ours.iter().any(|ours| ours == child),
            "{child} is not of {ours:?}"
        );
    }
}

#[test]
fn what_dies_young_is_there_with_all_events_alone() {
    let _turn = beside_others();
    let script = "for i in $(seq 200); do : </etc/hostname; done";
    let here = Path::new("bash");
    let (survivors, _) = lines(&run(&[], script, here).stdout);
    let (all, _) = lines(&run(&["--all-events"], script, here).stdout);
    assert!(opened(&all) >= 200, "{}", opened(&all));
    assert!(opened(&survivors) < 100, "{}", opened(&survivors));
    let released = all.iter().filter(|event| event["event"] == "released");
    assert!(released.count() >= 200);
}

#[test]
fn events_come_while_they_happen_and_a_closed_pipe_ends_the_trace() {
    let _turn = beside_others();
    let mut opening = Command::new("bash")
        .args(["-c", "while sleep 0.05; do exec {fd}</etc/hostname; done"])
        .process_group(0)
        .spawn()
        .unwrap();
    let mut child = tracer::command()
        .args(["trace", "--events", "-f", "jsonl", "-p"])
        .arg(opening.id().to_string())
        .args(BRIEF_NURSERY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut read = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = read.find_map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (event["event"] == "acquired" && event["kind"] == "file").then_some(event)
    });
    let ran_on = child.try_wait().unwrap().is_none();
    drop(read);
    let ended = eventually(|| child.try_wait().unwrap().is_some());
    kill_group(opening.id());
    let _ = opening.wait();
    kill_group(child.id());
    let status = child.wait().unwrap();
    assert_eq!(first.unwrap()["pid"], opening.id());
    assert!(ran_on && ended);
    assert_eq!(tracer::code(status), 0);
}

#[test]
fn a_full_disk_is_an_error_that_does_not_end_the_command() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let done = directory.path().join("done");
    let script = "for i in $(seq 40); do exec {fd}</etc/hostname; sleep 0.05; done; touch \"$0\"";
    let said = directory.path().join("stderr");
    let mut child = tracer::command()
        .args(["run", "--events", "-f", "jsonl", "--", "bash", "-c", script])
        .arg(&done)
        .stdin(Stdio::null())
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let ended = eventually(|| child.try_wait().unwrap().is_some());
    kill_group(child.id());
    let code = tracer::code(child.wait().unwrap());
    let said = fs::read_to_string(said).unwrap();
    assert!(ended && done.exists(), "{said}");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("No space left"), "{said}");
}

/// The lines about calls that failed: whose, what it would have made, and why not.
fn failed(text: &str) -> Vec<(String, String)> {
    let (events, _) = lines(text);
    let failed = events.iter().filter(|event| event["event"] == "failed");
    let word = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    failed
        .map(|event| (word(event, "kind"), word(event, "cause")))
        .collect()
}

#[test]
fn a_call_that_fails_at_a_limit_is_an_event_of_the_trace_and_of_the_recording() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let recording = directory.path().join("a.lkt");
    let recording = recording.to_str().unwrap();
    let trace = |way: &str| {
        let script = format!("\"$0\" {way} 7 </dev/null >/dev/null; true");
        let more = ["--all-events", "--force", "--record", recording];
        let ran = run(&more, &script, &program("failing"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let replayed = leaktrace(&["report", recording, "--events", "-f", "jsonl"]);
        assert_eq!(replayed.code, 0, "{}", replayed.stderr);
        [failed(&ran.stdout), failed(&replayed.stdout)]
    };
    // The first of a process and an error travels, the others are counted.
    let expected = vec![("file".to_owned(), "EMFILE".to_owned())];
    assert_eq!(trace("open"), [expected.clone(), expected]);
    assert_eq!(trace("twin"), [vec![], vec![]]);
}
