//! Builds what runs in the guest: with this machine's compilers where it is of the same architecture, else with those
//! for the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::initramfs;
use crate::arch::Arch;
use crate::command::{self, Settings, cargo};
use crate::cross::Cross;
use crate::{bpf, host, packages, workspace};

pub(crate) enum Workshop {
    Native,
    Foreign(Cross),
}

impl Workshop {
    /// Finds the compilers, installing what is missing.
    pub(crate) fn prepare(settings: Settings, arch: Arch) -> Result<Workshop> {
        if arch.is_foreign() {
            return Ok(Workshop::Foreign(Cross::prepare(settings, arch)?));
        }
        packages::ensure_program(settings, "gcc", &["gcc", "libc6-dev"])?;
        Ok(Workshop::Native)
    }

    /// Builds leaktrace with its eBPF object.
    pub(crate) fn leaktrace(&self, settings: Settings) -> Result<PathBuf> {
        match self {
            Workshop::Native => {
                bpf::build(settings)?;
                host::build_lean()
            }
            Workshop::Foreign(cross) => cross.leaktrace(settings),
        }
    }

    /// Builds the guest's first process.
    pub(crate) fn guest(&self) -> Result<PathBuf> {
        const BUILT: [&str; 4] = ["--package", "xtask", "--bin", "vm-guest"];
        match self {
            Workshop::Native => {
                command::run(cargo().arg("build").args(BUILT))?;
                Ok(workspace::host_binary("vm-guest", false))
            }
            Workshop::Foreign(cross) => {
                cross.build(&BUILT)?;
                Ok(cross.binary("vm-guest"))
            }
        }
    }

    /// Compiles a C program.
    pub(crate) fn compile(&self, flags: &[&str], source: &Path, program: &Path) -> Result<()> {
        let compiler = match self {
            Workshop::Native => "gcc".to_owned(),
            Workshop::Foreign(cross) => cross.c_compiler(),
        };
        command::run(
            Command::new(compiler)
                .args(flags)
                .args(["-g", "-Wall", "-Wextra", "-pthread", "-o"])
                .arg(program)
                .arg(source),
        )
    }

    /// The libraries that a program loads: where it looks for each, and the file here.
    pub(crate) fn libraries(&self, program: &Path) -> Result<Vec<(String, PathBuf)>> {
        Ok(match self {
            Workshop::Native => initramfs::libraries(program)?
                .into_iter()
                .map(|path| (path.clone(), path.into()))
                .collect(),
            Workshop::Foreign(cross) => cross
                .libraries(program)?
                .into_iter()
                .map(|path| {
                    let name = path.file_name().unwrap_or_default();
                    (format!("/lib/{}", name.to_string_lossy()), path)
                })
                .collect(),
        })
    }
}
