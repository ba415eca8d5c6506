//! Builds what runs in user space.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{cargo, run};
use crate::workspace;

/// What releases have beyond the default: it takes a while to build.
pub(crate) const RELEASE_FEATURES: [&str; 2] = ["--features", "leak-user/parquet"];

/// Builds leaktrace with the eBPF object built before; returns where it is.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--package", "leak-user"]);
    if release {
        command.arg("--release").args(RELEASE_FEATURES);
    }
    run(&mut command)?;
    Ok(workspace::host_binary("leaktrace", release))
}
