//! Stacks of Python programs show Python's functions, with the lines that they were
//! at, where the interpreter's own would tell nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::compile::source;
use harness::report::Frame;
use harness::{BRIEF_NURSERY, Report, Tracer, Victim, beside_others, grow_old};
use serde::Deserialize;

/// How often the script opens a file in each way.
const TIMES: u64 = 12;

/// What the script says about one of its ways.
#[derive(Debug, Deserialize)]
struct Expected {
    way: String,
    /// Function, file, line; the innermost first.
    frames: Vec<(String, String, u32)>,
}

/// The interpreters of this version: those of pyenv, the system's and what was
/// installed beside it.
fn interpreters(minor: u32) -> Vec<PathBuf> {
    let name = format!("python3.{minor}");
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
    let mut found: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .chain(["/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|directory| directory.join(&name))
        .filter_map(|file| file.canonicalize().ok())
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

fn expected(line: &str) -> Option<Expected> {
    let json = line.strip_prefix("expected ")?;
    Some(serde_json::from_str(json).unwrap())
}

/// Asserts that Python of this version is seen through, run to its end and attached to.
fn assert_python(minor: u32) {
    let _turn = beside_others();
    for interpreter in interpreters(minor) {
        let (report, ways) = run(&interpreter);
        assert_ways(&report, &ways, minor);
        let (report, ways) = attach(&interpreter);
        assert_ways(&report, &ways, minor);
    }
}

fn run(interpreter: &Path) -> (Report, Vec<Expected>) {
    let script = source("nested.py");
    let command = [interpreter, &script].map(|path| path.to_str().unwrap());
    let ran = Tracer::run(&BRIEF_NURSERY, &command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ways = ran.stdout.lines().filter_map(expected).collect();
    (ran.report().clone(), ways)
}

fn attach(interpreter: &Path) -> (Report, Vec<Expected>) {
    let mut script = Victim::spawn(Command::new(interpreter).arg(source("nested.py")));
    script.expect("ready");
    let tracer = Tracer::of(script.pid(), &[]);
    script.tell();
    let mut ways = Vec::new();
    loop {
        let line = script.expect("");
        if line == "held" {
            break;
        }
        ways.extend(expected(&line));
    }
    grow_old();
    (tracer.stop(), ways)
}

fn assert_ways(report: &Report, ways: &[Expected], minor: u32) {
    assert_eq!(ways.len(), 9, "{ways:?}");
    for Expected { way, frames } in ways {
        let mut outstanding = 0;
        for finding in report.findings.iter().filter(|f| f.kind == "file") {
            if python(&finding.stack) != *frames {
                continue;
            }
            outstanding += finding.outstanding;
            assert_around(&finding.stack, minor);
        }
        assert_eq!(
            outstanding,
            TIMES,
            "3.{minor}: {way} should have the frames {frames:#?}; there are\n{}",
            shown(report)
        );
    }
}

fn is_python(frame: &Frame) -> bool {
    frame
        .file
        .as_ref()
        .is_some_and(|file| file.ends_with(".py"))
}

/// The part of a stack that is Python's.
fn python(stack: &[Frame]) -> Vec<(String, String, u32)> {
    stack
        .iter()
        .filter(|frame| is_python(frame))
        .map(|frame| {
            let file = frame.file.clone().unwrap();
            (frame.symbol.clone(), file, frame.line.unwrap_or(0))
        })
        .collect()
}

/// Asserts what is around Python's frames: the module that is named for them, the
/// system call before them and the start of the thread behind.
fn assert_around(stack: &[Frame], minor: u32) {
    for frame in stack.iter().filter(|frame| is_python(frame)) {
        assert_eq!(frame.module, format!("python3.{minor}"), "{frame:?}");
        assert!(!frame.inlined, "{frame:?}");
    }
    for end in [stack.first(), stack.last()] {
        let native = end.is_some_and(|frame| !is_python(frame));
        assert!(native, "an end is missing: {stack:#?}");
    }
    if stack.iter().any(|frame| frame.symbol == "<module>") {
        let start = &stack.last().unwrap().symbol;
        // Without symbols it has another name, or none.
        let known = stack.iter().any(|frame| frame.symbol == "Py_BytesMain");
        assert!(!known || start == "_start", "it ends in {start}");
    }
}

fn shown(report: &Report) -> String {
    report
        .findings
        .iter()
        .filter(|finding| finding.kind == "file")
        .map(|finding| {
            let names: Vec<&str> = finding.stack.iter().map(|f| f.symbol.as_str()).collect();
            format!(
                "{} outstanding: {:?} in {names:?}\n",
                finding.outstanding,
                python(&finding.stack)
            )
        })
        .collect()
}

#[test]
fn functions_of_python_3_9() {
    assert_python(9);
}

#[test]
fn functions_of_python_3_10() {
    assert_python(10);
}

#[test]
fn functions_of_python_3_11() {
    assert_python(11);
}

#[test]
fn functions_of_python_3_12() {
    assert_python(12);
}

#[test]
fn functions_of_python_3_13() {
    assert_python(13);
}

#[test]
fn functions_of_python_3_14() {
    assert_python(14);
}
