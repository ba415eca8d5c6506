//! Victims: small C programs of `victims/`, built once per test run, that wait on
//! stdin, say on stdout how far they are, and end when stdin does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::wait::{PATIENCE, within};

/// Exit code of a victim whose kernel lacks what it needs.
pub const LACKS: i32 = 77;

/// The program built from `victims/NAME.c`.
///
/// # Panics
/// Where gcc is missing or refuses.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built
        .get_or_insert_default()
        .entry(name.to_owned())
        .or_insert_with(|| build(name))
        .clone()
}

fn build(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("victims/{name}.c"));
    let directory = target_directory().join("victims");
    std::fs::create_dir_all(&directory).expect("a target directory is writable");
    let program = directory.join(name);
    // Built aside and renamed: an older one may still be running.
    let fresh = directory.join(format!(".{name}-{}", std::process::id()));
    let output = Command::new("gcc")
        .args(["-O1", "-g", "-Wall", "-Wextra", "-pthread"])
        .args(["-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"])
        .arg("-o")
        .arg(&fresh)
        .arg(&source)
        .output()
        .expect("gcc is needed to build the victims");
    assert!(
        output.status.success(),
        "{} does not compile:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&fresh, &program).expect("a file can be renamed in its directory");
    program
}

/// Whether a user without privileges can make a user name space, as some victims do.
#[must_use]
pub fn has_user_namespaces() -> bool {
    const NOBODY: u32 = 65_534;
    let mut unshare = Command::new("unshare");
    let made = unshare.args(["--user", "true"]).uid(NOBODY).status();
    let has = made.is_ok_and(|status| status.success());
    if !has {
        eprintln!("skipped: no user name spaces here");
    }
    has
}

/// `target/debug` or `target/release` of this run.
#[must_use]
pub fn target_directory() -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let directory = this.parent().expect("a file has a directory");
    // Tests live in deps/.
    directory.parent().unwrap_or(directory).to_path_buf()
}

/// A running program; killed with its process group when dropped.
pub struct Victim {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    status: Option<ExitStatus>,
}

impl Victim {
    /// Starts a victim and waits until it is prepared.
    ///
    /// # Panics
    /// Where it ends instead.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str]) -> Victim {
        let mut victim = Victim::spawn(Command::new(program(name)).args(arguments));
        victim.expect("ready");
        victim
    }

    /// Starts any program as a victim.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Victim {
        die_with_parent(command.process_group(0));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdout = child.stdout.take().expect("stdout was piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Victim {
            stdin: child.stdin.take(),
            child,
            lines,
            status: None,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to go on.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn tell(&mut self) {
        let stdin = self.stdin.as_mut().expect("the victim was ended");
        stdin.write_all(b"\n").expect("the victim is gone");
    }

    /// Waits for the line that begins with `word` and returns the rest of it;
    /// skips others. If the victim ends instead: how.
    ///
    /// # Errors
    /// Its exit code where it ended (128 + signal where it was killed).
    ///
    /// # Panics
    /// Where neither happens within [`PATIENCE`].
    pub fn wait_for(&mut self, word: &str) -> Result<String, i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(word) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the victim {} never said {word:?}", self.pid())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(crate::tracer::code(self.wait()));
                }
            }
        }
    }

    /// As [`wait_for`](Victim::wait_for), for a victim that has to get there.
    ///
    /// # Panics
    /// Where it ends instead.
    pub fn expect(&mut self, word: &str) -> String {
        let pid = self.pid();
        self.wait_for(word)
            .unwrap_or_else(|code| panic!("the victim {pid} ended with {code} before {word:?}"))
    }

    /// Closes its stdin and waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        self.stdin = None;
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        let status = ended_within(&mut self.child, PATIENCE)
            .unwrap_or_else(|| panic!("the victim {} does not end", self.pid()));
        self.status = Some(status);
        status
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.stdin = None;
        if self.status.is_none() && ended_within(&mut self.child, Duration::from_secs(2)).is_none()
        {
            kill_group(self.child.id());
            let _ = self.child.wait();
        } else {
            // What it started may still be there.
            kill_group(self.child.id());
        }
    }
}

/// Makes the kernel kill it if the test dies without a chance to clean up. What nohup(1)
/// told the test to ignore is not ignored.
pub(crate) fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: both are bare system calls, safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        })
    }
}

/// The child's status, or nothing if it is still running after `patience`.
pub(crate) fn ended_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    within(patience, || {
        child.try_wait().expect("a child can be waited for")
    })
}

/// Kills a process group of ours; one that is gone already is fine.
pub fn kill_group(leader: u32) {
    signal(-(leader as i32), libc::SIGKILL);
}

/// Sends a signal to a process or, negative, to a group.
pub fn signal(pid: i32, signal: i32) {
    // SAFETY: kill has no preconditions; the process is a child of ours.
    unsafe { libc::kill(pid, signal) };
}
