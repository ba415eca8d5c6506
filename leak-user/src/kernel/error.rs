//! Why the kernel side could not start, one kind of error for each thing that the user can do.

use std::fmt;

use aya::{EbpfError, maps::MapError, programs::ProgramError};

/// Why the programs could not be loaded or attached.
#[derive(Debug)]
pub enum LoadError {
    /// The process lacks a privilege, which the text names.
    Privilege(String),
    /// The kernel lacks something, which the text names.
    Kernel(String),
    /// The user asked for something that is not possible.
    Input(String),
    /// This build contains no eBPF programs.
    NotBuilt,
    /// Anything else.
    Other(anyhow::Error),
}

impl LoadError {
    /// The kernel lacks `what`.
    pub(super) fn kernel(what: &str, error: &dyn fmt::Display) -> LoadError {
        LoadError::Kernel(format!("this kernel does not offer {what}: {error}"))
    }

    pub(super) fn from_aya(what: &str, error: EbpfError) -> LoadError {
        let denied = match &error {
            EbpfError::MapError(MapError::CreateError { io_error, .. }) => is_denied(io_error),
            _ => false,
        };
        if denied {
            return LoadError::Privilege(format!(
                "the kernel refused {what} ({error}): run as root, or with CAP_BPF, \
                 CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
            ));
        }
        LoadError::Other(anyhow::Error::new(error).context(format!("cannot load {what}")))
    }

    pub(super) fn from_program(name: &str, error: ProgramError) -> LoadError {
        match &error {
            ProgramError::LoadError {
                io_error,
                verifier_log,
            } => {
                let log = verifier_log.to_string();
                let tail: Vec<&str> = log.lines().rev().take(12).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                if is_denied(io_error) && log.is_empty() {
                    return LoadError::Privilege(format!(
                        "the kernel refused program {name} ({io_error}): run as root, or with \
                         CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; \
                         `leaktrace doctor` shows what is missing"
                    ));
                }
                LoadError::Kernel(format!(
                    "this kernel's verifier refused program {name} ({io_error}):\n{}",
                    tail.join("\n")
                ))
            }
            _ => LoadError::Kernel(format!("cannot attach program {name}: {error}")),
        }
    }
}

fn is_denied(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Privilege(text) | LoadError::Kernel(text) | LoadError::Input(text) => {
                f.write_str(text)
            }
            LoadError::NotBuilt => f.write_str(
                "this leaktrace was built without its eBPF programs; build it with \
                 `cargo xtask build`",
            ),
            LoadError::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for LoadError {}
