//! Programs of the corpus while they run: each in a session of its own, prepared
//! before the tracer and begun after it, with a record of which processes are whose.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::build::Built;
use crate::table::Program;

/// How long a program may take to prepare itself: a database creates its files.
const PREPARATION: Duration = Duration::from_secs(120);

/// Seconds after which a program ends itself, should nobody end it.
const LIFETIME: u32 = 600;

/// Descriptors a program may have.
const DESCRIPTORS: u64 = 20_000;

/// A process: its id and its start in clock ticks, so that an id used again is another.
pub(crate) type ProcessId = (u32, u64);

/// A program that runs.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it said on stdout and stderr.
    said: Arc<Mutex<String>>,
}

/// Programs that run, in the order they were given.
pub(crate) struct Programs {
    running: Vec<Running>,
    /// The index of the program each process belongs to; those that ended too.
    owners: HashMap<ProcessId, usize>,
    /// Their temporary files.
    directory: tempfile::TempDir,
}

impl Programs {
    /// Starts programs and waits until all of them are prepared.
    pub(crate) fn start(programs: &[&Program], built: &Built) -> Result<Programs, String> {
        let directory = tempfile::Builder::new()
            .prefix("leaktrace-corpus-")
            .tempdir()
            .map_err(|error| format!("no temporary directory: {error}"))?;
        allow_others(directory.path())?;
        let mut all = Programs {
            running: Vec::new(),
            owners: HashMap::new(),
            directory,
        };
        for program in programs {
            let mut command = built.command(program);
            command.env("TMPDIR", all.directory.path());
            let running = Running::spawn(&mut command)
                .map_err(|error| format!("{}: {command:?}: {error}", program.name))?;
            all.running.push(running);
        }
        let deadline = Instant::now() + PREPARATION;
        for (program, running) in programs.iter().zip(&mut all.running) {
            running
                .ready(deadline)
                .map_err(|error| format!("{} {error}", program.name))?;
        }
        all.look();
        Ok(all)
    }

    /// Gives all of them the word to begin.
    pub(crate) fn begin(&mut self) {
        for running in &mut self.running {
            if let Some(stdin) = &mut running.stdin {
                // One that has ended will be missed when its findings are.
                let _ = stdin.write_all(b"\n");
            }
        }
    }

    /// Looks at whose the processes are for so long: many end soon.
    pub(crate) fn watch(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look();
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(500)));
        }
        self.look();
    }

    /// The program a process belongs to, or belonged to.
    pub(crate) fn owner(&self, process: ProcessId) -> Option<usize> {
        self.owners.get(&process).copied()
    }

    /// Programs that have ended, with what they said.
    pub(crate) fn ended(&mut self) -> Vec<(usize, String)> {
        let mut ended = Vec::new();
        for (index, running) in self.running.iter_mut().enumerate() {
            if let Ok(Some(status)) = running.child.try_wait() {
                ended.push((index, format!("{status}: {}", running.said().trim())));
            }
        }
        ended
    }

    /// Notes the processes of each program: its session's, and what came from those.
    fn look(&mut self) {
        let roots: HashMap<u32, usize> = (0..)
            .zip(&self.running)
            .map(|(index, running)| (running.child.id(), index))
            .collect();
        let processes = processes();
        let parents: HashMap<u32, &Stat> = processes.iter().map(|stat| (stat.pid, stat)).collect();
        for stat in &processes {
            if self.owners.contains_key(&(stat.pid, stat.start)) {
                continue;
            }
            let mut owner = None;
            let mut next = Some(stat);
            // A chain of parents is short, unless /proc changed meanwhile.
            for _ in 0..64 {
                let Some(stat) = next else { break };
                let known = self.owners.get(&(stat.pid, stat.start)).copied();
                owner = roots.get(&stat.session).copied().or(known);
                if owner.is_some() {
                    break;
                }
                next = parents.get(&stat.parent).copied();
            }
            if let Some(owner) = owner {
                self.owners.insert((stat.pid, stat.start), owner);
            }
        }
    }

    fn end(&mut self) {
        self.look();
        for running in &self.running {
            harness::victim::signal(running.child.id() as i32, libc::SIGTERM);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        for running in &mut self.running {
            while Instant::now() < deadline && matches!(running.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // What has outlived its program, by start time too: no other process is hit.
        for stat in processes() {
            if self.owners.contains_key(&(stat.pid, stat.start)) {
                harness::victim::signal(stat.pid as i32, libc::SIGKILL);
            }
        }
        for running in &mut self.running {
            harness::victim::signal(-(running.child.id() as i32), libc::SIGKILL);
            let _ = running.child.wait();
        }
        let owners = &self.owners;
        remove_segments(|pid| owners.keys().any(|&(known, _)| known == pid));
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    fn spawn(command: &mut Command) -> std::io::Result<Running> {
        // SAFETY: bare system calls, safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit {
                    rlim_cur: DESCRIPTORS,
                    rlim_max: DESCRIPTORS,
                };
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
                libc::setsid();
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::alarm(LIFETIME);
                Ok(())
            });
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(stdout) = child.stdout.take() {
            gather(stdout, Arc::clone(&said));
        }
        if let Some(stderr) = child.stderr.take() {
            gather(stderr, Arc::clone(&said));
        }
        Ok(Running {
            stdin: child.stdin.take(),
            child,
            said,
        })
    }

    fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn ready(&mut self, deadline: Instant) -> Result<(), String> {
        while !self.said().lines().any(|line| line == "ready") {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended ({status}) before it began: {}", self.said()));
            }
            if Instant::now() > deadline {
                return Err(format!("does not become ready: {}", self.said()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Gathers the first part of what a program says.
fn gather(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut part) {
            let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
            if text.len() < 10_000 {
                text.push_str(&String::from_utf8_lossy(&part[..length]));
            }
        }
    });
}

/// Servers run as users of their own, and must reach their directories in this one.
fn allow_others(directory: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711))
        .map_err(|error| format!("{}: {error}", directory.display()))
}

/// What is read of a process.
struct Stat {
    pid: u32,
    parent: u32,
    session: u32,
    start: u64,
}

fn processes() -> Vec<Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            stat(
                pid,
                &std::fs::read_to_string(entry.path().join("stat")).ok()?,
            )
        })
        .collect()
}

/// Reads `/proc/PID/stat`; the name in it may contain anything.
fn stat(pid: u32, text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Removes the shared memory that processes created: it outlives them.
fn remove_segments(is_ours: impl Fn(u32) -> bool) {
    let text = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<i32>().ok();
        let (Some(segment), Some(creator)) = (number(1), number(4)) else {
            continue;
        };
        if is_ours(creator.unsigned_abs()) {
            // SAFETY: shmctl with IPC_RMID takes a number and no pointer.
            unsafe { libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_fields() {
        let text = "7 (a) b) (c) S 3 7 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 555 0";
        let stat = stat(7, text).expect("it is whole");
        assert_eq!((stat.parent, stat.session, stat.start), (3, 9, 555));
    }
}
