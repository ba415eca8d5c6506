//! `cargo xtask test`: unit tests as the user, the tests against the running kernel as root.

use std::env::{self, consts};
use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::command::{self, Settings, cargo};
use crate::host::RELEASE_FEATURES;
use crate::{bpf, packages, python, workspace};

/// Tracing tests share the host: a few at a time keep each other's load low.
const KERNEL_TEST_THREADS: &str = "--test-threads=2";

/// Builds everything, then runs the tests whose names contain `filter`; `args` go to the test programs.
pub(crate) fn run(
    settings: Settings,
    release: bool,
    filter: Option<&str>,
    args: &[OsString],
) -> Result<()> {
    // The programs that leak for the tests are written in C, one whose symbols are read in C++.
    packages::ensure_program(settings, "gcc", &["gcc", "libc6-dev"])?;
    packages::ensure_program(settings, "g++", &["g++"])?;
    // Profiles are opened by what people open them with; Go's stacks have a test, too.
    packages::ensure_program(settings, "go", &["golang-go"])?;
    // Tests of real servers skip where those are missing. A machine that is thrown away may have them installed, others
    // not: Debian starts a server that it installs.
    if env::var_os("CI").is_some() && packages::has_apt() {
        let servers = ["python3", "nginx-light", "redis-server"];
        packages::ensure(settings, "servers to trace", &servers)?;
        // Elsewhere a page's tests skip: a browser takes some 300 MB. Ubuntu has none that apt could install.
        if packages::available("chromium") {
            packages::ensure(settings, "a browser to draw pages", &["chromium"])?;
        }
    }
    let duckdb = python::ensure_duckdb(settings)?;
    bpf::build(settings)?;

    // The same selection of packages as for the tests, so that nothing is built twice with other features.
    let mut build = cargo();
    build.args(["build", "--workspace", "--exclude", "leak-ebpf"]);
    build.args(RELEASE_FEATURES);
    command::run(profile(&mut build, release))?;

    let mut unit = cargo();
    unit.args(["test", "--no-fail-fast", "--workspace"]);
    unit.args(["--exclude", "leak-ebpf", "--exclude", "tests"]);
    unit.args(RELEASE_FEATURES);
    profile(&mut unit, release)
        .args(filter)
        .arg("--")
        .args(args);
    let unit = command::run(&mut unit);
    let without_features = match filter {
        None => without_features(release, args),
        Some(_) => Ok(()),
    };

    let mut kernel = cargo();
    kernel
        .args(["test", "--no-fail-fast", "--package", "tests"])
        .args(RELEASE_FEATURES)
        .env("LEAKTRACE_DUCKDB", duckdb)
        .env(
            "LEAKTRACE_BIN",
            workspace::host_binary("leaktrace", release),
        );
    if !command::is_root() {
        // Cargo and the compiler stay with the user, only the test programs become root.
        let triple = format!("{}-unknown-linux-gnu", consts::ARCH);
        let variable = triple.to_uppercase().replace('-', "_");
        kernel.env(format!("CARGO_TARGET_{variable}_RUNNER"), "sudo -E --");
    }
    profile(&mut kernel, release).args(filter).arg("--");
    if !args.iter().any(chooses_threads) {
        kernel.arg(KERNEL_TEST_THREADS);
    }
    command::run(kernel.args(args))
        .and(unit)
        .and(without_features)
}

/// Tests the build for daily use, which has no Parquet: its command line refuses what needs that. Only those tests differ,
/// so only they run. That all others compile, clippy sees (`cargo xtask lint`).
fn without_features(release: bool, args: &[OsString]) -> Result<()> {
    let mut cli = cargo();
    cli.args(["test", "--workspace", "--lib"]);
    cli.args(["--exclude", "leak-ebpf", "--exclude", "tests"]);
    profile(&mut cli, release).arg("cli::").arg("--").args(args);
    command::run(&mut cli)
}

fn chooses_threads(argument: &OsString) -> bool {
    argument.to_string_lossy().starts_with("--test-threads")
}

fn profile(command: &mut Command, release: bool) -> &mut Command {
    if release {
        command.arg("--release");
    }
    command
}
