//! The tracer of one window: with more patience than a test has, since some hundred
//! programs are in its report.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use harness::tracer::{command, says_tracing};
use serde_json::Value;

/// How long it may take to attach, and to write its report.
const PATIENCE: Duration = Duration::from_secs(240);

/// A tracer that traces the whole host.
pub(crate) struct Tracer {
    child: Child,
    directory: tempfile::TempDir,
}

impl Tracer {
    /// Starts it and waits until its probes are attached.
    pub(crate) fn start() -> Result<Tracer, String> {
        let directory =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let log = File::create(directory.path().join("log"))
            .map_err(|error| format!("a file in {}: {error}", directory.path().display()))?;
        let mut command = command();
        command
            .args(["trace", "--min-age", "0s", "-f", "json", "-o"])
            .arg(directory.path().join("report.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let mut tracer = Tracer { child, directory };
        tracer.wait(|tracer| says_tracing(&tracer.said()))?;
        Ok(tracer)
    }

    /// Asks for the report, as Ctrl-C does; with it the seconds it took.
    pub(crate) fn stop(mut self) -> Result<(Value, f64), String> {
        let asked = Instant::now();
        harness::victim::signal(self.child.id() as i32, libc::SIGINT);
        self.wait(|tracer| tracer.report().is_file())?;
        let took = asked.elapsed().as_secs_f64();
        let text = std::fs::read_to_string(self.report())
            .map_err(|error| format!("the report cannot be read: {error}"))?;
        let document = serde_json::from_str(&text)
            .map_err(|error| format!("the report is no JSON: {error}"))?;
        Ok((document, took))
    }

    fn report(&self) -> PathBuf {
        self.directory.path().join("report.json")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn wait(&mut self, mut done: impl FnMut(&Tracer) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let ended = self.child.try_wait().ok().flatten();
            // It may have done so between the two looks.
            if ended.is_some() && !done(self) {
                return Err(format!("the tracer ended ({ended:?}): {}", self.said()));
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the tracer took more than {} s: {}",
                    PATIENCE.as_secs(),
                    self.said()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // With its report written it ends by itself, unless something is wrong.
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if !self.report().is_file() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
