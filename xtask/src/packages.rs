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
    candidate(package).is_some()
}

/// The version of a package that apt would install.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let policy = ask(Command::new("apt-cache")
        .env("LC_ALL", "C")
        .args(["policy", package]))?;
    candidate_of(&policy).map(str::to_owned)
}

fn candidate_of(policy: &str) -> Option<&str> {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .map(str::trim)
        .find(|candidate| *candidate != "(none)")
}

/// Fetches apt's package lists where there are none: container images ship without.
pub(crate) fn ensure_lists(settings: Settings) -> Result<()> {
    if !has_apt() || has_lists() {
        return Ok(());
    }
    update_lists(settings)
}

/// Fetches apt's package lists anew: lists of an image that was made months ago do not know current packages.
pub(crate) fn update_lists(settings: Settings) -> Result<()> {
    settings.install(
        "apt's current package lists",
        command::as_root("apt-get").arg("update"),
    )
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
    install(settings, what, &missing)
}

/// Installs `packages`, in their newest version also where they are installed in an older one.
pub(crate) fn install(settings: Settings, what: &str, packages: &[&str]) -> Result<()> {
    // `env`, because sudo may drop variables of the caller's environment.
    let mut install = command::as_root("env");
    install
        .arg("DEBIAN_FRONTEND=noninteractive")
        .args(["apt-get", "install", "-y", "--no-install-recommends"])
        .args(packages);
    if !settings.install {
        return settings.install(what, &mut install);
    }
    let had_lists = has_lists();
    // Without lists apt-get install finds nothing.
    ensure_lists(settings)?;
    let Err(error) = settings.install(what, &mut install) else {
        return Ok(());
    };
    if !had_lists {
        return Err(error);
    }
    // Lists of an old image name versions that the mirror no longer has.
    eprintln!("xtask: {error}; trying again with current package lists");
    update_lists(settings)?;
    settings.install(what, &mut install)
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
        assert_eq!(
            candidate_of("gcc:\n  Installed: (none)\n  Candidate: 4:12.2.0-3\n"),
            Some("4:12.2.0-3")
        );
        assert_eq!(
            candidate_of("gcc:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(candidate_of(""), None);
    }
}
