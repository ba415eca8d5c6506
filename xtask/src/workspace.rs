//! Where things are: the checkout, its build directories, the tools installed for it alone.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the workspace")
}

/// Where cargo puts what it builds for this machine: `CARGO_TARGET_DIR`, else `target`.
pub(crate) fn host_target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => env::current_dir()
            .unwrap_or_else(|_| root().to_path_buf())
            .join(directory),
        None => root().join("target"),
    }
}

/// Where cargo builds for the BPF target: apart, so that its flags rebuild nothing of the host's.
pub(crate) fn bpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// Where `leak-user/build.rs` looks for the object of `arch`.
pub(crate) fn bpf_object(arch: &str) -> PathBuf {
    bpf_target().join(format!("leaktrace-{arch}.o"))
}

/// Root of the tools built for this checkout (`cargo install --root`).
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// A binary that cargo built for this machine.
pub(crate) fn host_binary(name: &str, release: bool) -> PathBuf {
    let profile = if release { "release" } else { "debug" };
    host_target().join(profile).join(name)
}
