//! `cargo xtask lint`: formatting, the borders between leak-user's rooms, clippy for host and BPF, links in the
//! documentation, and what the dependencies are allowed to be.

mod borders;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::{self, Settings, cargo, find_program};
use crate::host::RELEASE_FEATURES;
use crate::{bpf, workspace};

/// The cargo-deny that is built where none is on PATH.
const CARGO_DENY: &str = "0.20.2";

/// Runs every check; the first that fails ends it.
pub(crate) fn run(settings: Settings) -> Result<()> {
    ensure_component(settings, "rustfmt", "cargo-fmt")?;
    ensure_component(settings, "clippy", "cargo-clippy")?;
    command::run(cargo().args(["fmt", "--all", "--check"]))?;
    borders::check()?;
    clippy(&RELEASE_FEATURES)?;
    // A build for daily use is another program: what only the feature uses is unused there. The same packages are
    // selected, so that only what has the feature is compiled again.
    clippy(&[])?;
    bpf::lint(settings)?;
    // A link from a public item to a private one is broken for most readers, which only the first shows; links of
    // private items exist in the second alone.
    document(&[])?;
    document(&["--document-private-items"])?;
    bpf::document(settings)?;
    dependencies(settings)
}

fn clippy(features: &[&str]) -> Result<()> {
    command::run(
        cargo()
            .args(["clippy", "--workspace", "--exclude", "leak-ebpf"])
            .args(features)
            .args(["--all-targets", "--", "-D", "warnings"]),
    )
}

/// Makes the documentation, which fails where a link leads nowhere.
fn document(options: &[&str]) -> Result<()> {
    command::run(
        cargo()
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["doc", "--no-deps", "--workspace", "--exclude", "leak-ebpf"])
            .args(RELEASE_FEATURES)
            .args(options),
    )
}

/// Makes sure that the active toolchain can run `cargo fmt` or `cargo clippy`.
fn ensure_component(settings: Settings, component: &str, program: &str) -> Result<()> {
    let works = command::ask(Command::new(program).arg("--version")).is_some();
    if works {
        return Ok(());
    }
    settings.install(
        component,
        Command::new("rustup").args(["component", "add", component]),
    )
}

fn dependencies(settings: Settings) -> Result<()> {
    let deny = cargo_deny(settings)?;
    command::run(configured(&deny).args(["check", "licenses", "bans", "sources"]))?;
    if !fetch_advisories(&deny)? {
        eprintln!("xtask: advisories not checked: their database cannot be reached from here");
        return Ok(());
    }
    command::run(configured(&deny).args(["--offline", "check", "advisories"]))
}

/// Fetches the advisory database; false where it cannot be reached.
fn fetch_advisories(deny: &Path) -> Result<bool> {
    // A network that swallows packets must not hold up everything else.
    let fetch = configured(deny);
    let mut limited = Command::new("timeout");
    limited
        .current_dir(workspace::root())
        .arg("60")
        .arg(fetch.get_program())
        .args(fetch.get_args())
        .args(["fetch", "db"]);
    Ok(command::status(&mut limited)?.success())
}

/// cargo-deny, looking at everything that could be built.
fn configured(deny: &Path) -> Command {
    let mut command = Command::new(deny);
    command
        .current_dir(workspace::root())
        .args(["--config", "xtask/deny.toml", "--all-features"]);
    command
}

/// The cargo-deny on PATH, else our own, built at need (about three minutes).
fn cargo_deny(settings: Settings) -> Result<PathBuf> {
    if let Some(path) = find_program("cargo-deny") {
        return Ok(path);
    }
    let own = workspace::tools().join("bin/cargo-deny");
    if own.exists() && is_recorded(CARGO_DENY) {
        return Ok(own);
    }
    let mut install = cargo();
    install
        .args(["install", "cargo-deny", "--version", CARGO_DENY])
        .args(["--locked", "--no-default-features", "--root"])
        .arg(workspace::tools());
    settings.install("cargo-deny", &mut install)?;
    Ok(own)
}

/// Whether cargo installed this version among our tools.
fn is_recorded(version: &str) -> bool {
    let record = workspace::tools().join(".crates2.json");
    fs::read_to_string(record)
        .is_ok_and(|record| record.contains(&format!("\"cargo-deny {version} ")))
}
