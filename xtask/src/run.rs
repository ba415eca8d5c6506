//! `cargo xtask run`: leaktrace with arguments of one's own, or beside a program that leaks on purpose.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::command::{self, Settings, as_root};
use crate::steps::Steps;
use crate::{bpf, host, workspace};

/// Seconds that the demo is traced for.
const DEMO_SECONDS: u32 = 15;

/// Builds leaktrace and becomes it, as root.
pub(crate) fn leaktrace(settings: Settings, args: &[OsString]) -> Result<()> {
    bpf::build(settings)?;
    let binary = host::build(true)?;
    Err(command::become_command(as_root(binary).args(args)))
}

/// Traces the whole host beside a program that leaks files and sockets.
pub(crate) fn demo(settings: Settings) -> Result<()> {
    let mut steps = Steps::new(3);
    steps.next(
        "the eBPF object, and the linker for it",
        "75 s the first time",
    );
    bpf::build(settings)?;
    steps.next("leaktrace", "3 min the first time");
    let binary = host::build_lean()?;
    steps.next("a program that leaks", "1 s");
    command::run(command::cargo().args(["build", "--package", "xtask", "--bin", "demo-leak"]))?;
    steps.done();
    eprintln!(
        "xtask: demo-leak leaks 10 files and 6 sockets a second, and closes as many properly; \
         tracing the whole host for {DEMO_SECONDS} s"
    );
    // Ctrl-C reaches all of us: leaktrace reports early then, and we wait for that.
    // SAFETY: the handler does nothing, which is safe at any moment; programs that we start do not inherit it.
    unsafe { libc::signal(libc::SIGINT, stay as *const () as libc::sighandler_t) };
    let mut demo = Command::new(workspace::host_binary("demo-leak", false));
    demo.stdin(Stdio::null());
    let _demo = Running(demo.spawn().context("cannot start demo-leak")?);
    command::run(as_root(binary).args(["trace", "-d", &format!("{DEMO_SECONDS}s")]))
}

/// Answers a signal by going on.
extern "C" fn stay(_: libc::c_int) {}

/// A program that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already: either way it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
