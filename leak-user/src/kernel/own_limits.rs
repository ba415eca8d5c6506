//! The limits of this process itself: it holds maps, links and files of others.

use std::sync::OnceLock;

use super::LoadError;

/// Descriptors that a trace wants: enough for the files that names are read from.
const WANTED: libc::rlim_t = 65_536;

/// Descriptors without which a trace cannot start: a program, a map or a link each take one.
const NEEDED: libc::rlim_t = 256;

static ORIGINAL: OnceLock<libc::rlimit> = OnceLock::new();

/// Raises this process's limit of open descriptors as far as it may. Commands that it starts are given back what it had
/// ([`original_descriptor_limits`]).
pub fn raise_descriptor_limit() {
    let original = descriptor_limits();
    ORIGINAL.get_or_init(|| original);
    // Raising the hard limit takes CAP_SYS_RESOURCE; without it, up to the hard limit is allowed.
    let hard = original.rlim_max.max(WANTED);
    if !set(hard) {
        set(original.rlim_max);
    }
}

fn set(value: libc::rlim_t) -> bool {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: one live object.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0 }
}

/// The limits of open descriptors, soft and hard, that this process was started with.
#[must_use]
pub fn original_descriptor_limits() -> libc::rlimit {
    *ORIGINAL.get_or_init(descriptor_limits)
}

/// How many descriptors this process may have open.
#[must_use]
pub fn descriptor_limit() -> u64 {
    descriptor_limits().rlim_cur
}

/// Fails where a trace would run out of descriptors while it starts: the error of the call that does would name
/// something else.
pub(super) fn check() -> Result<(), LoadError> {
    let limit = descriptor_limit();
    if limit < NEEDED {
        return Err(LoadError::Input(format!(
            "leaktrace may open only {limit} files, and a trace takes up to {NEEDED}: raise the \
             limit (ulimit -n 4096), or give it CAP_SYS_RESOURCE"
        )));
    }
    Ok(())
}

fn descriptor_limits() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: one live object.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit
}
