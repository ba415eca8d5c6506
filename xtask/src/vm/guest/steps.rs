//! Runs one step: a program alone, or a tracer with victims beside it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::plan::{Done, Held, Step, Victim};

/// Exit code of a command that did not come to an end of its own.
const NO_CODE: i32 = -1;

/// Runs the step to its end, whatever comes of it.
pub(crate) fn perform(step: &Step) -> Done {
    let begun = Instant::now();
    let mut done = Done {
        name: step.name.clone(),
        milliseconds: 0,
        code: NO_CODE,
        stdout: String::new(),
        trouble: None,
        victims: Vec::new(),
    };
    let deadline = begun + Duration::from_secs(step.seconds);
    if let Err(error) = attempt(step, deadline, &mut done) {
        println!("vm-guest: {}: {error:#}", step.name);
        done.trouble = Some(format!("{error:#}"));
    }
    done.milliseconds = begun.elapsed().as_millis() as u64;
    done
}

fn attempt(step: &Step, deadline: Instant, done: &mut Done) -> Result<()> {
    let mut tracer = Tracer::start(&step.command)?;
    let mut victims = Vec::new();
    let result = tracer.trace(step, deadline, &mut victims, &mut done.victims);
    // Waited for even after trouble: what it says may explain that.
    let ended = result.and_then(|()| {
        wait(&mut tracer.child, deadline)
            .with_context(|| format!("{} did not end", step.command[0]))
    });
    (done.code, done.stdout) = tracer.end();
    for mut victim in victims {
        victim.end();
    }
    ended.map(|_| ())
}

/// A running command.
struct Tracer {
    child: Child,
    stdout: Receiver<String>,
    /// Gets a word when the command says that it traces.
    tracing: Receiver<()>,
}

impl Tracer {
    fn start(words: &[String]) -> Result<Tracer> {
        let mut command = command(words)?;
        let mut child = start(command.stdin(Stdio::null()).stderr(Stdio::piped()))?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (out, err) = pipes.context("its output was not piped")?;
        let (tell_stdout, stdout) = channel();
        let (tell_tracing, tracing) = channel();
        thread::spawn(move || relay(err, &tell_tracing));
        // An error means that nobody waits any more.
        thread::spawn(move || tell_stdout.send(gather(out)));
        Ok(Tracer {
            child,
            stdout,
            tracing,
        })
    }

    /// Waits until it traces, runs all victims beside it, and asks for its report.
    fn trace(
        &mut self,
        step: &Step,
        deadline: Instant,
        victims: &mut Vec<Running>,
        held: &mut Vec<Held>,
    ) -> Result<()> {
        if step.victims.is_empty() {
            return Ok(());
        }
        self.tracing
            .recv_timeout(left(deadline))
            .map_err(|_| anyhow!("the tracer does not trace"))?;
        for victim in &step.victims {
            victims.push(Running::start(victim)?);
        }
        for (running, victim) in victims.iter_mut().zip(&step.victims) {
            held.push(running.wait_for(&victim.word, deadline)?);
        }
        thread::sleep(Duration::from_millis(step.settle));
        interrupt(&self.child);
        Ok(())
    }

    /// Its exit code and what it wrote; kills it if it is still there.
    fn end(mut self) -> (i32, String) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let code = self.child.wait().map_or(NO_CODE, code);
        // What it started and left behind may hold stdout open.
        let stdout = self.stdout.recv_timeout(Duration::from_secs(5));
        (code, stdout.unwrap_or_default())
    }
}

/// A running victim.
struct Running {
    child: Child,
    /// Open, so that it does not go on.
    _stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Running {
    fn start(victim: &Victim) -> Result<Running> {
        let mut command = command(&victim.command)?;
        // SAFETY: setrlimit is a bare system call, safe between fork and exec.
        unsafe { command.pre_exec(lock_memory) };
        let mut child = start(command.stdin(Stdio::piped()).stderr(Stdio::inherit()))?;
        let mut stdin = child.stdin.take().context("stdin was not piped")?;
        let stdout = child.stdout.take().context("stdout was not piped")?;
        // One that does not listen may be gone already.
        let _ = stdin.write_all(b"\n");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Running {
            child,
            _stdin: stdin,
            lines,
        })
    }

    /// Waits until it says the word, or ends without.
    fn wait_for(&mut self, word: &str, deadline: Instant) -> Result<Held> {
        let pid = self.child.id();
        loop {
            match self.lines.recv_timeout(left(deadline)) {
                Ok(line) if line.starts_with(word) => {
                    return Ok(Held {
                        pid,
                        ended: None,
                        descriptors: descriptors(pid),
                    });
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("victim {pid} never said {word:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Held {
                        pid,
                        ended: Some(self.child.wait().map_or(NO_CODE, code)),
                        descriptors: 0,
                    });
                }
            }
        }
    }

    fn end(&mut self) {
        // Either way it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(words: &[String]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("a step without a command")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("PATH", "/bin:/usr/bin");
    Ok(command)
}

fn start(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_owned();
    command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Allows as much locked memory as one wants: before Linux 5.11 BPF maps count as such, all of a user's together.
fn lock_memory() -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limit lives as long as the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Passes stderr on to the console and tells when a line says that tracing has begun.
fn relay(stderr: ChildStderr, tracing: &Sender<()>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        println!("{line}");
        if line.starts_with("tracing ") {
            // Nobody waits where the command runs alone.
            let _ = tracing.send(());
        }
    }
}

fn gather(mut stdout: ChildStdout) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is worth having.
    let _ = stdout.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64)
}

fn interrupt(child: &Child) {
    // SAFETY: kill has no preconditions; the process is our child and was not waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
}

fn wait(child: &mut Child, deadline: Instant) -> Result<()> {
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            bail!("its time is over");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn code(status: std::process::ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
