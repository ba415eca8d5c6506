//! bpf-linker: which ones there are, for which LLVM, and building our own.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::{self, Settings, ask, find_program};
use crate::workspace;

/// The version that is built; another one among our tools is replaced.
pub(crate) const VERSION: &str = "0.13.0";

/// The LLVM majors that this version can be built for.
pub(crate) const SUPPORTED_LLVM: RangeInclusive<u32> = 21..=23;

/// A linker on this machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// Its LLVM's major version; `None` where it does not say.
    pub(crate) llvm: Option<u32>,
}

/// The linkers there are: our own if it is of the version wanted, then the one on PATH.
pub(crate) fn installed() -> Vec<Linker> {
    let own = fs::read_to_string(workspace::tools().join(".crates2.json"))
        .ok()
        .and_then(|installs| built_for(&installs))
        .map(|llvm| Linker {
            path: workspace::tools().join("bin/bpf-linker"),
            llvm: Some(llvm),
        })
        .filter(|linker| linker.path.exists());
    let found = find_program("bpf-linker").map(|path| Linker {
        llvm: linked_llvm(&path),
        path,
    });
    own.into_iter().chain(found).collect()
}

/// The LLVM that our linker was built for, from cargo's record of what it installed.
fn built_for(installs: &str) -> Option<u32> {
    let installs: serde_json::Value = serde_json::from_str(installs).ok()?;
    let wanted = format!("bpf-linker {VERSION} ");
    let (_, install) = installs["installs"]
        .as_object()?
        .iter()
        .find(|(name, _)| name.starts_with(&wanted))?;
    install["features"]
        .as_array()?
        .iter()
        .filter_map(|feature| feature.as_str()?.strip_prefix("llvm-")?.parse().ok())
        .next()
}

/// The LLVM that a linker loads as a library.
fn linked_llvm(linker: &Path) -> Option<u32> {
    llvm_library(&ask(Command::new("ldd").arg(linker))?)
}

/// Finds `libLLVM.so.22.1` or `libLLVM-22.so` in what ldd prints.
fn llvm_library(libraries: &str) -> Option<u32> {
    let (_, version) = libraries.split_once("libLLVM")?;
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// Builds our own linker for one LLVM (about a minute).
pub(crate) fn build(settings: Settings, llvm: u32, prefix: Option<&Path>) -> Result<()> {
    let mut install = command::cargo();
    if let Some(prefix) = prefix {
        install.env("LLVM_PREFIX", prefix);
    }
    install
        .args(["install", "bpf-linker", "--version", VERSION])
        .args(["--locked", "--no-default-features"])
        .arg("--features")
        .arg(format!("llvm-{llvm}"))
        .arg("--root")
        .arg(workspace::tools());
    settings.install("bpf-linker", &mut install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_record_tells_the_llvm_of_our_linker() {
        let record = |version: &str| {
            format!(
                r#"{{"installs":{{"bpf-linker {version} (registry+x)":{{"features":["llvm-22"]}}}}}}"#
            )
        };
        assert_eq!(built_for(&record(VERSION)), Some(22));
        assert_eq!(
            built_for(&record("0.12.0")),
            None,
            "an older one is rebuilt"
        );
        assert_eq!(built_for("{}"), None);
    }

    #[test]
    fn ldd_tells_the_llvm_of_a_linker_on_path() {
        assert_eq!(llvm_library("\tlibLLVM.so.22.1 => /usr/lib/x"), Some(22));
        assert_eq!(llvm_library("\tlibLLVM-21.so => /usr/lib/x"), Some(21));
        assert_eq!(llvm_library("\tlibc.so.6 => /lib/x"), None);
    }
}
