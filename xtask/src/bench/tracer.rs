//! What is compared: nothing, leaktrace, and the bpftrace script that one would write by hand.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Options;
use super::process::Process;

/// Whatever watches the host while a load runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tracer {
    None,
    Leaktrace,
    Bpftrace,
}

/// All of them, in the order of the columns.
pub(super) const TRACERS: [Tracer; 3] = [Tracer::None, Tracer::Leaktrace, Tracer::Bpftrace];

/// A tracer that is attached to the whole host.
pub(super) struct Attached {
    process: Process,
    report: Option<Scratch>,
    /// From start to attached.
    pub(super) started_in: Duration,
}

/// What a tracer left behind.
pub(super) struct Stopped {
    /// From SIGINT to exit.
    pub(super) took: Duration,
    /// Events that leaktrace says it lost.
    pub(super) lost: u64,
}

impl Tracer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Tracer::None => "untraced",
            Tracer::Leaktrace => "leaktrace",
            Tracer::Bpftrace => "bpftrace",
        }
    }

    /// Starts it and waits until its probes are attached.
    pub(super) fn attach(self, options: &Options) -> Result<Option<Attached>> {
        match self {
            Tracer::None => Ok(None),
            Tracer::Leaktrace => leaktrace(options).map(Some),
            Tracer::Bpftrace => bpftrace().map(Some),
        }
    }
}

/// leaktrace on the whole host, stacks and all.
pub(super) fn leaktrace(options: &Options) -> Result<Attached> {
    let report = Scratch::new("report.json");
    let mut command = Command::new(&options.leaktrace);
    command
        .args(["trace", "-d", "30m", "-f", "json", "-o"])
        .arg(&report.0);
    attached(&mut command, Some(report))
}

fn bpftrace() -> Result<Attached> {
    let script = Scratch::new("outstanding.bt");
    fs::write(&script.0, include_str!("outstanding.bt")).context("cannot write the script")?;
    // tracefs is mounted for bpftrace alone where the host has none.
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg(
            "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; \
             exec bpftrace -B line \"$0\" >&2",
        )
        .arg(&script.0)
        .env("BPFTRACE_MAP_KEYS_MAX", "1048576");
    attached(&mut command, None)
}

fn attached(command: &mut Command, report: Option<Scratch>) -> Result<Attached> {
    let start = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut process = Process::start(command)?;
    process.wait_for_stderr("tracing ")?;
    Ok(Attached {
        process,
        report,
        started_in: start.elapsed(),
    })
}

impl Attached {
    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as Ctrl-C would.
    pub(super) fn stop(self) -> Result<Stopped> {
        let (took, status) = self.process.interrupt()?;
        let Some(report) = self.report else {
            return Ok(Stopped { took, lost: 0 });
        };
        if !status.success() {
            bail!("leaktrace ended with {status}");
        }
        let text = fs::read(&report.0).context("leaktrace left no report")?;
        let report: serde_json::Value =
            serde_json::from_slice(&text).context("leaktrace's report is not JSON")?;
        let lost = report["health"]["lost"]
            .as_u64()
            .context("the report does not say what was lost")?;
        Ok(Stopped { took, lost })
    }
}

/// A file that goes with the value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let file = format!("leaktrace-bench-{}-{name}", std::process::id());
        Scratch(std::env::temp_dir().join(file))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.0);
    }
}
