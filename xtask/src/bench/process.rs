//! A child that says on a stream when it is ready, and is told by a signal to end; and the processor time of a process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// Nothing measured here takes longer to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a signal may take that is repeated.
const REPLY: Duration = Duration::from_secs(10);
/// For a child that is dropped before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running child; ended when dropped.
pub(super) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it; the caller has set its streams.
    pub(super) fn start(command: &mut Command) -> Result<Process> {
        let name = command::show(command);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        Ok(Process { child, name })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line on its piped stderr begins with `marker`; returns what comes later.
    pub(super) fn wait_for_stderr(&mut self, marker: &str) -> Result<Lines> {
        let stream = self.child.stderr.take().context("stderr is not piped")?;
        self.wait_for(lines(stream), marker)
    }

    /// The same on stdout.
    pub(super) fn wait_for_stdout(&mut self, marker: &str) -> Result<Lines> {
        let stream = self.child.stdout.take().context("stdout is not piped")?;
        self.wait_for(lines(stream), marker)
    }

    fn wait_for(&mut self, lines: Lines, marker: &str) -> Result<Lines> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        while let Some(line) = lines.next(deadline.saturating_duration_since(Instant::now())) {
            if line.starts_with(marker) {
                return Ok(lines);
            }
            said.push(line);
        }
        bail!(
            "`{}` did not say {marker:?} in time, but:\n{}",
            self.name,
            said.join("\n")
        );
    }

    /// Asks it to end as Ctrl-C would, and waits; how long that took, and how it ended.
    pub(super) fn interrupt(mut self) -> Result<(Duration, ExitStatus)> {
        let start = Instant::now();
        self.signal(libc::SIGINT);
        match self.wait(PATIENCE)? {
            Some(status) => Ok((start.elapsed(), status)),
            None => bail!("`{}` did not end after SIGINT", self.name),
        }
    }

    /// The same for a program that now and then does not hear it: asks again, and ends it at last.
    pub(super) fn insist(mut self) -> Result<()> {
        for signal in [libc::SIGINT, libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
            self.signal(signal);
            if self.wait(REPLY)?.is_some() {
                return Ok(());
            }
        }
        bail!("`{}` cannot be ended", self.name)
    }

    fn signal(&self, signal: libc::c_int) {
        let id =
            libc::pid_t::try_from(self.child.id()).expect("the kernel gave this id as a pid_t");
        // SAFETY: kill takes no pointers; the child has not been waited for, so that the id is still its own.
        unsafe { libc::kill(id, signal) };
    }

    /// Waits for its end; `None` where it does not come in time.
    fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                return Ok(ended);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Asked first: what nginx and a tracer have set up, only they can take down.
        self.signal(libc::SIGTERM);
        if !matches!(self.wait(GRACE), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What a child says on a stream.
pub(super) struct Lines(Receiver<String>);

impl Lines {
    /// The next line; `None` at the end, or where it does not come in time.
    pub(super) fn next(&self, patience: Duration) -> Option<String> {
        self.0.recv_timeout(patience).ok()
    }
}

/// The lines of a stream. A thread reads on to its end, so that the child never blocks on a full pipe.
fn lines(stream: impl Read + Send + 'static) -> Lines {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody may listen any more once the marker has come.
            let _ = sender.send(line);
        }
    });
    Lines(receiver)
}

/// User and system time of a process, all its threads.
pub(super) fn processor_seconds(id: u32) -> Result<f64> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&stat).with_context(|| format!("{path} does not read as expected"))?;
    // SAFETY: sysconf takes no pointers.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok(ticks as f64 / per_second as f64)
}

/// utime + stime, fields 14 and 15; the name before them may hold anything, but ends with the last parenthesis.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 21 13 0 0 20 0 1 0 99 0";
        assert_eq!(ticks(stat), Some(34));
        assert_eq!(ticks("7 (a) S 1"), None);
    }
}
