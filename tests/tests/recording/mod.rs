//! `leaktrace record` and `report`: what a recording tells is what a live trace tells,
//! whatever happens to the recorder.

mod reader;
mod writer;

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use harness::{Ran, Report, eventually, tracer, victim::signal};
use tempfile::TempDir;

/// Opens a file every 100 ms and keeps all of them.
const LEAKS: &str = "for i in $(seq 60); do exec {fd}</etc/hostname; sleep 0.1; done";

/// The same, but closes them.
const CLEAN: &str = "for i in $(seq 60); do exec {fd}</etc/hostname; sleep 0.1; exec {fd}<&-; done";

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
