//! The tracer under test, run as its users run it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::victim::{die_with_parent, ended_within, kill_group, signal, target_directory};
use crate::{BRIEF_NURSERY, PATIENCE, Report, eventually};

/// The binary: `LEAKTRACE_BIN`, else that of this build or of the workspace.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LEAKTRACE_BIN") {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "LEAKTRACE_BIN is {}, which is no file: build it with `cargo xtask test`",
            path.display()
        );
        return path;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    [
        workspace.join("release/leaktrace"),
        workspace.join("debug/leaktrace"),
        target_directory().join("leaktrace"),
    ]
    .into_iter()
    .find(|path| path.is_file())
    .expect("there is no leaktrace to test: run the tests with `cargo xtask test`")
}

/// A command that runs the tracer in a process group of its own.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    die_with_parent(command.process_group(0));
    command
}

/// The exit code as a shell counts it.
#[must_use]
pub fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// What a process writes to a pipe, gathered by a thread.
struct Gathered {
    text: Arc<Mutex<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Gathered {
    fn of(pipe: impl std::io::Read + Send + 'static) -> Gathered {
        let text = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Gathered {
            text,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All of it; the writer must have ended.
    fn all(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.so_far()
    }
}

/// Steady findings of young things are left out by default: the tests look at all.
const ALL_IN_JSON: [&str; 4] = ["--min-age", "0s", "-f", "json"];

/// A tracer that is tracing.
pub struct Tracer {
    child: Child,
    stderr: Gathered,
    directory: TempDir,
    ended: bool,
}

impl Tracer {
    /// Starts `leaktrace trace` and waits until its probes are attached, which it
    /// says on stderr with a line that begins with `tracing `.
    ///
    /// # Panics
    /// Where it ends, or says nothing within [`PATIENCE`].
    #[must_use]
    pub fn start(arguments: &[&str]) -> Tracer {
        let directory = TempDir::new().expect("a temporary directory");
        let mut child = command()
            .arg("trace")
            .args(arguments)
            .args(ALL_IN_JSON)
            .arg("-o")
            .arg(directory.path().join("report.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tracer can be executed");
        let stderr = Gathered::of(child.stderr.take().expect("stderr was piped"));
        let mut tracer = Tracer {
            child,
            stderr,
            directory,
            ended: false,
        };
        let mut ended = None;
        let begun = eventually(|| {
            ended = tracer.child.try_wait().expect("a child can be waited for");
            says_tracing(&tracer.stderr.so_far()) || ended.is_some()
        });
        assert!(
            begun && ended.is_none(),
            "the tracer {arguments:?} does not trace ({ended:?}):\n{}",
            tracer.stderr.so_far()
        );
        tracer.ended = false;
        tracer
    }

    /// The same for one process, with its descendants to come and a
    /// [`BRIEF_NURSERY`].
    ///
    /// # Panics
    /// As [`start`](Tracer::start).
    #[must_use]
    pub fn of(pid: u32, arguments: &[&str]) -> Tracer {
        let own = ["-p", &pid.to_string()];
        Tracer::start(&[&own, &BRIEF_NURSERY[..], arguments].concat())
    }

    /// The same for this process and its descendants, victims that come later among them:
    /// what others do on the host is not seen, and none of it is lost.
    ///
    /// # Panics
    /// As [`start`](Tracer::start).
    #[must_use]
    pub fn of_descendants(arguments: &[&str]) -> Tracer {
        let own = std::process::id().to_string();
        Tracer::start(&[&["-p", &own], arguments].concat())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it writes its report.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.directory.path().join("report.json")
    }

    /// Asks for the report with SIGINT, as Ctrl-C does.
    ///
    /// # Panics
    /// Where it fails or writes no report.
    #[must_use]
    pub fn stop(self) -> Report {
        self.stop_with(libc::SIGINT)
    }

    /// The same with another signal.
    ///
    /// # Panics
    /// As [`stop`](Tracer::stop).
    #[must_use]
    pub fn stop_with(mut self, with: i32) -> Report {
        // It may have ended by itself, for instance because its processes have.
        if self.child.try_wait().ok().flatten().is_none() {
            signal(self.child.id() as i32, with);
        }
        self.ends_by_itself()
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// Where it cannot be asked.
    #[must_use]
    pub fn runs(&mut self) -> bool {
        let status = self.child.try_wait().expect("a child can be waited for");
        status.is_none()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// As [`stop`](Tracer::stop).
    #[must_use]
    pub fn ends_by_itself(mut self) -> Report {
        let status = self.wait();
        let stderr = self.stderr.all();
        assert_eq!(code(status), 0, "the tracer failed:\n{stderr}");
        Report::read(&self.output(), &stderr)
    }

    /// Kills it without a chance to clean up.
    pub fn kill(mut self) {
        signal(self.child.id() as i32, libc::SIGKILL);
        self.wait();
    }

    fn wait(&mut self) -> ExitStatus {
        let status = ended_within(&mut self.child, PATIENCE);
        self.ended = status.is_some();
        status.unwrap_or_else(|| {
            panic!(
                "the tracer does not end; it said:\n{}",
                self.stderr.so_far()
            )
        })
    }

    /// Runs `leaktrace run ARGUMENTS -- COMMAND` to its end.
    ///
    /// # Panics
    /// Where it does not end within [`PATIENCE`].
    #[must_use]
    pub fn run(arguments: &[&str], traced: &[&str]) -> Ran {
        let directory = TempDir::new().expect("a temporary directory");
        let output = directory.path().join("report.json");
        let mut whole = command();
        whole
            .arg("run")
            .args(arguments)
            .args(ALL_IN_JSON)
            .arg("-o")
            .arg(&output)
            .arg("--")
            .args(traced);
        let mut ran = run(&mut whole);
        if output.is_file() {
            ran.report = Some(Report::read(&output, &ran.stderr));
        }
        ran
    }
}

/// Runs the binary with these arguments to its end.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn leaktrace(arguments: &[&str]) -> Ran {
    run(command().args(arguments))
}

/// What `leaktrace report` makes of a recording, which may not have ended yet.
///
/// # Panics
/// Where it fails.
#[must_use]
pub fn reported(recording: &Path, more: &[&str]) -> Report {
    let directory = TempDir::new().expect("a temporary directory");
    let output = directory.path().join("report.json");
    let mut whole = command();
    whole
        .arg("report")
        .arg(recording)
        .args(["-f", "json", "-o"]);
    let ran = run(whole.arg(&output).args(more));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    Report::read(&output, &ran.stderr)
}

/// Whether a tracer's stderr says that its probes are attached.
#[must_use]
pub fn says_tracing(stderr: &str) -> bool {
    stderr.lines().any(|line| line.starts_with("tracing "))
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if !self.ended {
            kill_group(self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    /// As a shell counts it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// What was written with `-o`, if anything was.
    pub report: Option<Report>,
}

impl Ran {
    /// The report of a run that must have one.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.report.as_ref().unwrap_or_else(|| {
            panic!(
                "no report was written (code {}):\n{}",
                self.code, self.stderr
            )
        })
    }
}

/// Runs a command to its end, without stdin.
///
/// # Panics
/// Where it does not end within [`PATIENCE`].
#[must_use]
pub fn run(command: &mut Command) -> Ran {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut stdout = Gathered::of(child.stdout.take().expect("stdout was piped"));
    let mut stderr = Gathered::of(child.stderr.take().expect("stderr was piped"));
    let Some(status) = ended_within(&mut child, PATIENCE) else {
        kill_group(child.id());
        let _ = child.wait();
        panic!("{command:?} does not end; it said:\n{}", stderr.so_far());
    };
    // What it started and left behind would hold the pipes open.
    kill_group(child.id());
    Ran {
        code: code(status),
        stdout: stdout.all(),
        stderr: stderr.all(),
        report: None,
    }
}
