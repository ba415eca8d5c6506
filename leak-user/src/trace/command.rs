//! The command of `run`: found, started, waited for.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::ExitStatus,
};

use leak_common::ProcessId;

use super::{TraceError, signals::Ending};
use crate::{
    event::Executed,
    kernel::original_descriptor_limits,
    model::{
        escape::escape_bytes,
        resource_limit::{Resource, ResourceLimit},
        time::Nanos,
    },
};

/// What a shell returns for a command that it did not find, or could not run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// A started command.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    pid: libc::pid_t,
}

impl Child {
    /// Starts a command with limits; the programs in the kernel follow it from its fork. `held`
    /// is called with its pid while it waits before its first instruction: a brief
    /// program's code can be looked at then, and perhaps never again.
    pub(super) fn spawn(
        command: &[OsString],
        limits: &[ResourceLimit],
        held: impl FnOnce(u32),
    ) -> Result<Child, TraceError> {
        let (program, arguments) = command.split_first().expect("a command has a name");
        let mut command = tokio::process::Command::new(program);
        command.args(arguments);
        let has_limits = !limits.is_empty();
        let limits = limits_at_start(limits);
        let (mut is_traced, traced) = io::pipe()?;
        // SAFETY: between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(move || {
                for (resource, limit) in &limits {
                    if libc::setrlimit(*resource, limit) != 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                // It stops at its exec then. Where that is not allowed (in a sandbox, under
                // a debugger) the command starts at once.
                if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0 {
                    (&traced).write_all(&[1])?;
                }
                Ok(())
            });
        }
        let process = command.spawn().map_err(|error| {
            if has_limits && error.kind() == io::ErrorKind::PermissionDenied {
                let why = format!("{error}; above the hard limit, --limit needs CAP_SYS_RESOURCE");
                return failed(program, &io::Error::other(why));
            }
            failed(program, &error)
        })?;
        // Our end for writing goes with the command's closure, the child's at its exec.
        drop(command);
        let pid = process.id().and_then(|pid| libc::pid_t::try_from(pid).ok());
        let pid = pid.ok_or_else(|| failed(program, &io::Error::other("it ended at once")))?;
        if is_traced.read(&mut [0])? == 1 && stops_at_exec(pid) {
            held(pid.unsigned_abs());
            // SAFETY: numbers only; the command is stopped and traced by this thread.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
        }
        Ok(Child { process, pid })
    }

    /// Waits for the end; for ever where there is no command.
    pub(super) async fn ended(child: Option<&mut Child>) -> io::Result<u8> {
        match child {
            Some(child) => child.wait().await,
            None => std::future::pending().await,
        }
    }

    /// Waits for the command's end.
    ///
    /// # Errors
    /// Waiting fails.
    pub async fn wait(&mut self) -> io::Result<u8> {
        self.process.wait().await.map(exit_code)
    }

    /// Hands a signal on.
    pub(super) fn pass_on(&self, signal: Ending) -> io::Result<()> {
        let number = match signal {
            Ending::Interrupt if in_foreground() => return Ok(()),
            Ending::Interrupt => libc::SIGINT,
            Ending::Terminate => libc::SIGTERM,
            Ending::HangUp => libc::SIGHUP,
        };
        // SAFETY: numbers only; the child is not reaped yet, so its pid is its own.
        if unsafe { libc::kill(self.pid, number) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// A command's program begins when it is let go: that it was held until then is no part
/// of its life.
pub(super) fn since_let_go(executed: &mut Executed, let_go: Option<(ProcessId, Nanos)>) {
    if let Some((process, time)) = let_go
        && executed.process == process
    {
        executed.time = executed.time.max(time);
    }
}

/// Waits until the command stops at its exec; false where it does not.
fn stops_at_exec(pid: libc::pid_t) -> bool {
    let mut status = 0;
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT;
    // SAFETY: one live object; looks at the state without taking it.
    let waited =
        unsafe { libc::waitid(libc::P_PID, pid.unsigned_abs(), info.as_mut_ptr(), options) };
    if waited != 0 {
        return false;
    }
    // SAFETY: waitid filled it.
    let stopped = unsafe { info.assume_init() }.si_code == libc::CLD_TRAPPED;
    if stopped {
        // SAFETY: one live object; takes the stop that was just seen.
        unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    }
    stopped
}

/// The limits that a command gets: that of descriptors which we were started with, then those asked for.
fn limits_at_start(asked: &[ResourceLimit]) -> Vec<(libc::__rlimit_resource_t, libc::rlimit)> {
    let mut limits = vec![(libc::RLIMIT_NOFILE, original_descriptor_limits())];
    limits.extend(asked.iter().map(|limit| {
        let value = libc::rlimit {
            rlim_cur: limit.value,
            rlim_max: limit.value,
        };
        (number(limit.resource), value)
    }));
    limits
}

/// The kernel's number of a resource, setrlimit(2).
fn number(resource: Resource) -> libc::__rlimit_resource_t {
    match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Msgqueue => libc::RLIMIT_MSGQUEUE,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Stack => libc::RLIMIT_STACK,
    }
}

/// Whether a terminal sends its signals to our group, and so to the command.
fn in_foreground() -> bool {
    // SAFETY: numbers only.
    unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
}

/// The command's code, or 128 and the signal that ended it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}

fn failed(program: &OsStr, error: &io::Error) -> TraceError {
    let code = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_RUN
    };
    let program = escape_bytes(program.as_encoded_bytes());
    TraceError::Command {
        code,
        message: format!("cannot run {program}: {error}"),
    }
}

/// Looks a command up before anything is attached: a mistyped name is told at once.
pub(super) fn find(program: &OsStr) -> Result<PathBuf, TraceError> {
    let candidates: Vec<PathBuf> = if program.as_encoded_bytes().contains(&b'/') {
        vec![PathBuf::from(program)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|directory| directory.join(program))
            .collect()
    };
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for candidate in candidates {
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(other) if other.kind() != io::ErrorKind::NotFound => error = other,
            Err(_) => {}
        }
    }
    Err(failed(program, &error))
}

fn runnable(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_mistyped_command_has_the_code_of_a_shell() {
        match find(OsStr::new("no-such-command-at-all")) {
            Err(TraceError::Command { code, message }) => {
                assert_eq!(code, NOT_FOUND);
                assert!(message.contains("no-such-command-at-all"));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            find(OsStr::new("/etc/passwd")),
            Err(TraceError::Command { code: NOT_RUN, .. })
        ));
        assert!(find(OsStr::new("sh")).unwrap().is_absolute());
    }

    #[test]
    fn a_program_that_was_held_begins_when_it_is_let_go() {
        let (command, other) = (ProcessId::new(7, 1), ProcessId::new(8, 1));
        let let_go = Some((command, 50));
        for (process, time, let_go, expected) in [
            (command, 20, let_go, 50),
            // What it executes later, what others do, and one that was not held.
            (command, 60, let_go, 60),
            (other, 20, let_go, 20),
            (command, 20, None, 20),
        ] {
            let mut executed = Executed {
                time,
                process,
                comm: [0; 16],
            };
            since_let_go(&mut executed, let_go);
            assert_eq!(executed.time, expected);
        }
    }

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
    }
}
