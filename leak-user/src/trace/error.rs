//! Why there is no trace.

use crate::kernel::LoadError;

/// Why a trace could not be made.
#[derive(Debug)]
pub enum TraceError {
    /// The kernel side does not start.
    Load(LoadError),
    /// The command does not start; its exit code is that of a shell (126 or 127).
    Command { code: u8, message: String },
    /// A second interrupt: give up at once.
    Aborted,
    /// Anything else.
    Other(anyhow::Error),
}

impl From<LoadError> for TraceError {
    fn from(error: LoadError) -> Self {
        TraceError::Load(error)
    }
}

impl From<anyhow::Error> for TraceError {
    fn from(error: anyhow::Error) -> Self {
        TraceError::Other(error)
    }
}

impl From<std::io::Error> for TraceError {
    fn from(error: std::io::Error) -> Self {
        TraceError::Other(error.into())
    }
}

impl std::fmt::Display for TraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TraceError::Load(error) => error.fmt(f),
            TraceError::Command { message, .. } => f.write_str(message),
            TraceError::Aborted => f.write_str("aborted"),
            TraceError::Other(error) => write!(f, "{error:#}"),
        }
    }
}
