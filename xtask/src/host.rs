//! Builds what runs in user space.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{cargo, run};
use crate::workspace;

/// What releases have beyond the default: it takes a while to build.
pub(crate) const RELEASE_FEATURES: [&str; 2] = ["--features", "leak-user/parquet"];

/// Builds leaktrace as it is released, or for debugging, with the eBPF object built before; returns where it is.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    if release {
        return build_optimised(&RELEASE_FEATURES);
    }
    run(cargo().args(["build", "--package", "leak-user"]))?;
    Ok(workspace::host_binary("leaktrace", false))
}

/// Builds an optimised leaktrace without what only releases have, in half of the time; returns where it is.
pub(crate) fn build_lean() -> Result<PathBuf> {
    build_optimised(&[])
}

fn build_optimised(features: &[&str]) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--package", "leak-user", "--release"]);
    run(command.args(features))?;
    Ok(workspace::host_binary("leaktrace", true))
}
