//! Builds leak-ebpf for the BPF target and puts the object where leak-user's build script finds it.

use std::env::consts;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{self, Settings};
use crate::toolchain::{self, Toolchain};
use crate::workspace;

const TARGET: &str = "bpfel-unknown-none";

/// Builds the object for this machine's architecture.
pub(crate) fn build(settings: Settings) -> Result<PathBuf> {
    build_for(settings, consts::ARCH)
}

/// Builds the object for `arch`: where the kernel keeps a caller's registers differs between them.
pub(crate) fn build_for(settings: Settings, arch: &str) -> Result<PathBuf> {
    let toolchain = toolchain::prepare(settings)?;
    let mut cargo = toolchain::program(&toolchain, &toolchain.compiler.program("cargo"));
    cargo.arg("build");
    command::run(target_options(&mut cargo, &toolchain, arch))?;

    let built = workspace::bpf_target()
        .join(TARGET)
        .join("release/leaktrace-bpf");
    let object = workspace::bpf_object(arch);
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    // An untouched file keeps leak-user from being built again.
    if fs::read(&object).ok().as_ref() != Some(&bytes) {
        fs::write(&object, bytes).with_context(|| format!("cannot write {}", object.display()))?;
    }
    eprintln!("xtask: BPF object {}", object.display());
    Ok(object)
}

/// Lints leak-ebpf with the clippy of the compiler that builds it.
pub(crate) fn lint(settings: Settings) -> Result<()> {
    let toolchain = toolchain::prepare(settings)?;
    let clippy = toolchain::clippy(settings, &toolchain.compiler)?;
    let mut command = toolchain::program(&toolchain, &clippy);
    command
        .env("CARGO", toolchain.compiler.program("cargo"))
        .arg("clippy");
    target_options(&mut command, &toolchain, consts::ARCH).args(["--", "-D", "warnings"]);
    command::run(&mut command)
}

/// Makes the documentation of leak-ebpf, which fails where a link leads nowhere. A program has no public items.
pub(crate) fn document(settings: Settings) -> Result<()> {
    let toolchain = toolchain::prepare(settings)?;
    let mut cargo = toolchain::program(&toolchain, &toolchain.compiler.program("cargo"));
    let flags = format!("-D warnings --cfg bpf_target_arch=\"{}\"", consts::ARCH);
    cargo
        .env("RUSTDOC", toolchain.compiler.program("rustdoc"))
        .env("RUSTDOCFLAGS", flags)
        .arg("doc");
    target_options(&mut cargo, &toolchain, consts::ARCH)
        .args(["--no-deps", "--document-private-items"]);
    command::run(&mut cargo)
}

fn target_options<'a>(
    command: &'a mut Command,
    toolchain: &Toolchain,
    arch: &str,
) -> &'a mut Command {
    // Instruction set v3 is what Linux 5.10 loads; v4 it refuses. The kernel wants BTF, and our user side wants the
    // symbols that come with debug information.
    let flags = format!(
        "-C debuginfo=2 -C target-cpu=v3 -C linker={} -C link-arg=--btf --cfg bpf_target_arch=\"{arch}\"",
        toolchain.linker.display(),
    );
    command
        // Building `core` is unstable; the compiler at hand is a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", flags)
        // Either would override the flags above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["--release", "--package", "leak-ebpf", "--target", TARGET])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(workspace::bpf_target())
}
