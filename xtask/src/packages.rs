//! The distribution's packages, by apt: which are there, which could be had, and getting them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{self, Settings, ask, find_program};

/// Whether this machine installs with apt.
pub(crate) fn has_apt() -> bool {
    find_program("apt-get").is_some()
}

/// Those of `packages` that are not installed.
pub(crate) fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    // dpkg-query exits with 1 as soon as one name is unknown, and still lists the others.
    let listed = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status} ${Package}\n"])
        .args(packages)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let installed: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    packages
        .iter()
        .copied()
        .filter(|package| !installed.contains(package))
        .collect()
}

/// Whether apt knows a version of the package to install.
pub(crate) fn available(package: &str) -> bool {
    ask(Command::new("apt-cache")
        .env("LC_ALL", "C")
        .args(["policy", package]))
    .is_some_and(|policy| has_candidate(&policy))
}

fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|candidate| candidate.trim() != "(none)")
}

/// Fetches apt's package lists where there are none (container images ship without); tells whether it did.
pub(crate) fn ensure_lists(settings: Settings) -> Result<bool> {
    if !has_apt() || has_lists() {
        return Ok(false);
    }
    settings.install(
        "apt's package lists",
        command::as_root("apt-get").arg("update"),
    )?;
    Ok(true)
}

fn has_lists() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

/// Installs those of `packages` that are missing; `what` says to a reader what they are for.
pub(crate) fn ensure(settings: Settings, what: &str, packages: &[&str]) -> Result<()> {
    if !has_apt() {
        bail!(
            "not installed: {what}; install what these Debian packages are: {}",
            packages.join(" ")
        );
    }
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    // Without lists apt-get install finds nothing; with installing forbidden its command is still the answer.
    if settings.install {
        ensure_lists(settings)?;
    }
    // `env`, because sudo may drop variables of the caller's environment.
    settings.install(
        what,
        command::as_root("env")
            .arg("DEBIAN_FRONTEND=noninteractive")
            .args(["apt-get", "install", "-y", "--no-install-recommends"])
            .args(missing),
    )
}

/// Makes sure of one program, by its package where it is not on PATH.
pub(crate) fn ensure_program(settings: Settings, program: &str, packages: &[&str]) -> Result<()> {
    if find_program(program).is_some() {
        return Ok(());
    }
    ensure(settings, program, packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_candidate_cannot_be_had() {
        assert!(has_candidate(
            "gcc:\n  Installed: (none)\n  Candidate: 4:12.2.0-3\n"
        ));
        assert!(!has_candidate(
            "gcc:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }
}
