//! What is compared: nothing, leaktrace, and the bpftrace script that one would write by hand.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::options::Options;
use super::process::{Lines, Process, processor_seconds};
use super::tables::Figures;

/// The script that is compared with.
const OUTSTANDING: &str = include_str!("outstanding.bt");
/// What takes the stack in it.
const USTACK: &str = "ustack()";

/// Whatever watches the host while a load runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tracer {
    None,
    Leaktrace,
    Bpftrace,
    /// leaktrace that takes no stacks.
    LeaktraceWithout,
    /// The script with a number in each stack's place.
    BpftraceWithout,
}

/// What most loads are measured under, in the order of the columns.
pub(super) const TRACERS: [Tracer; 3] = [Tracer::None, Tracer::Leaktrace, Tracer::Bpftrace];

/// What a stack's cost is measured under. Those whose figures are subtracted stand side by side, so
/// that in most rounds they follow each other.
pub(super) const STACK_TRACERS: [Tracer; 5] = [
    Tracer::None,
    Tracer::LeaktraceWithout,
    Tracer::Leaktrace,
    Tracer::BpftraceWithout,
    Tracer::Bpftrace,
];

/// How long a tracer may take to come to rest, and how long it must rest to be believed.
const UNREST: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(500);
/// Share of a processor below which a tracer rests.
const RESTING: f64 = 0.05;

/// A tracer that is attached to the whole host.
pub(super) struct Attached {
    process: Process,
    stderr: Lines,
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
    /// What leaktrace says of its unwind tables, if it does.
    pub(super) tables: Option<Figures>,
    /// leaktrace's report; null for the others.
    pub(super) report: serde_json::Value,
}

impl Tracer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Tracer::None => "untraced",
            Tracer::Leaktrace => "leaktrace",
            Tracer::Bpftrace => "bpftrace",
            Tracer::LeaktraceWithout => "leaktrace --no-stacks",
            Tracer::BpftraceWithout => "bpftrace without ustack",
        }
    }

    /// Starts it and waits until its probes are attached.
    pub(super) fn attach(self, options: &Options) -> Result<Option<Attached>> {
        match self {
            Tracer::None => Ok(None),
            Tracer::Leaktrace => leaktrace(options, &[]).map(Some),
            Tracer::LeaktraceWithout => leaktrace(options, &["--no-stacks"]).map(Some),
            Tracer::Bpftrace => bpftrace(OUTSTANDING).map(Some),
            Tracer::BpftraceWithout => bpftrace(&without_stacks(OUTSTANDING)).map(Some),
        }
    }
}

/// leaktrace on the whole host, stacks and all.
pub(super) fn leaktrace(options: &Options, arguments: &[&str]) -> Result<Attached> {
    let report = Scratch::new("report.json");
    let mut command = Command::new(&options.leaktrace);
    command
        .args(["trace", "-d", "30m", "-f", "json"])
        .args(arguments)
        .arg("-o")
        .arg(&report.0)
        // One line at the end, about the unwind tables, and one for each periodic look.
        .env(
            "LEAKTRACE_LOG",
            "warn,leak_user::trace::assemble=debug,leak_user::stacks::tables=debug,\
             leak_user::trace::intake::counts=debug,leak_user::trace::observers::last_uses=debug",
        );
    attached(&mut command, Some(report))
}

/// The same script, which stores and deletes as much, but takes no stacks.
fn without_stacks(script: &str) -> String {
    script.replace(USTACK, "0")
}

/// A line of sh; tracefs is mounted for it alone where the host has none.
pub(super) fn with_tracefs(line: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]).arg(format!(
        "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; {line}"
    ));
    command
}

fn bpftrace(text: &str) -> Result<Attached> {
    let script = Scratch::new("outstanding.bt");
    fs::write(&script.0, text).context("cannot write the script")?;
    let mut command = with_tracefs("exec bpftrace -B line \"$0\" >&2");
    command
        .arg(&script.0)
        .env("BPFTRACE_MAP_KEYS_MAX", "1048576");
    attached(&mut command, None)
}

pub(super) fn attached(command: &mut Command, report: Option<Scratch>) -> Result<Attached> {
    let start = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut process = Process::start(command)?;
    let stderr = process.wait_for_stderr("tracing ")?;
    Ok(Attached {
        process,
        stderr,
        report,
        started_in: start.elapsed(),
    })
}

impl Attached {
    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until what it does after its start is done: leaktrace reads the programs and libraries of the host then.
    pub(super) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + UNREST;
        let mut before = processor_seconds(self.id())?;
        while Instant::now() < deadline {
            let start = Instant::now();
            std::thread::sleep(REST);
            let after = processor_seconds(self.id())?;
            if after - before < start.elapsed().as_secs_f64() * RESTING {
                return Ok(());
            }
            before = after;
        }
        eprintln!("xtask: the tracer is still busy with itself after {UNREST:?}: expect noise");
        Ok(())
    }

    /// What it has said since it was asked last.
    pub(super) fn said(&self) -> Vec<String> {
        std::iter::from_fn(|| self.stderr.next(Duration::ZERO)).collect()
    }

    /// Ends it as Ctrl-C would; what it says meanwhile.
    pub(super) fn last_words(self) -> Result<Vec<String>> {
        self.process.interrupt()?;
        Ok(std::iter::from_fn(|| self.stderr.next(Duration::from_secs(1))).collect())
    }

    /// Ends it as Ctrl-C would.
    pub(super) fn stop(self) -> Result<Stopped> {
        let Some(report) = self.report else {
            self.process.insist()?;
            return Ok(Stopped {
                took: Duration::ZERO,
                lost: 0,
                tables: None,
                report: serde_json::Value::Null,
            });
        };
        let (took, status) = self.process.interrupt()?;
        if !status.success() {
            bail!("leaktrace ended with {status}");
        }
        let mut tables = None;
        while let Some(line) = self.stderr.next(Duration::from_secs(1)) {
            tables = Figures::parse(&line).or(tables);
        }
        let text = fs::read(&report.0).context("leaktrace left no report")?;
        let report: serde_json::Value =
            serde_json::from_slice(&text).context("leaktrace's report is not JSON")?;
        let lost = report["health"]["lost"]
            .as_u64()
            .context("the report does not say what was lost")?;
        Ok(Stopped {
            took,
            lost,
            tables,
            report,
        })
    }
}

/// A file that goes with the value.
pub(super) struct Scratch(pub(super) std::path::PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Scratch {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_without_stacks_differs_in_them_alone() {
        assert_eq!(OUTSTANDING.matches(USTACK).count(), 1);
        let without = without_stacks(OUTSTANDING);
        assert!(!without.contains("ustack") && without.contains("@stack[pid, args->ret] = 0;"));
    }
}
