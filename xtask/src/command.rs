//! Running other programs: each command is printed before it runs, as one could type it.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// What the global flags say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// False: name what is missing instead of installing it.
    pub(crate) install: bool,
}

impl Settings {
    /// Runs a command that installs `what`, or fails with that command where installing is not wanted.
    pub(crate) fn install(self, what: &str, command: &mut Command) -> Result<()> {
        if !self.install {
            bail!(
                "not installed: {what}; --no-install was given, so run: {}",
                show(command)
            );
        }
        run(command)
    }
}

/// Prints the command and runs it; a failure names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed: {status}", show(command));
    }
    Ok(())
}

/// Prints the command, runs it, and leaves its exit status to the caller.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("$ {}", show(command));
    command
        .status()
        .with_context(|| format!("cannot start `{}`", show(command)))
}

/// Prints the command and becomes it: Ctrl-C and the exit code are its own. Returns only where it cannot be started.
pub(crate) fn become_command(command: &mut Command) -> anyhow::Error {
    use std::os::unix::process::CommandExt;
    eprintln!("$ {}", show(command));
    let error = command.exec();
    anyhow::Error::new(error).context(format!("cannot start `{}`", show(command)))
}

/// What a command prints on stdout, if it can be run and succeeds. Not printed: it only asks.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one could type it: what it sets in the environment, program, arguments.
pub(crate) fn show(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quote(value)));
        }
    }
    words.push(quote(command.get_program()).into_owned());
    words.extend(
        command
            .get_args()
            .map(|argument| quote(argument).into_owned()),
    );
    words.join(" ")
}

fn quote(word: &OsStr) -> Cow<'_, str> {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A command that runs as root: under sudo where we are not root.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("-E").arg(program);
    command
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The cargo that runs us, at the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        command.env("CARGO_TARGET_DIR", workspace::host_target());
    }
    command
}

/// The first executable of that name on PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_typed() {
        let mut command = Command::new("cargo");
        command
            .env("RUSTFLAGS", "-C debuginfo=2")
            .args(["build", "it's"]);
        assert_eq!(
            show(&command),
            r"RUSTFLAGS='-C debuginfo=2' cargo build 'it'\''s'"
        );
    }

    #[test]
    fn without_installing_the_error_names_the_command() {
        let settings = Settings { install: false };
        let error = settings
            .install("the linker", Command::new("cargo").arg("install"))
            .expect_err("must not install");
        assert_eq!(
            error.to_string(),
            "not installed: the linker; --no-install was given, so run: cargo install"
        );
    }
}
