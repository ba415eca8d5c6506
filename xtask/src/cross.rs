//! Builds programs for another architecture than this machine's: C with Debian's cross compilers, Rust with its
//! standard library built from the sources that building for BPF needs as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::arch::Arch;
use crate::command::{self, Settings, ask};
use crate::host::RELEASE_FEATURES;
use crate::toolchain::{self, Toolchain};
use crate::{bpf, packages, workspace};

/// What builds for an architecture.
#[derive(Debug)]
pub(crate) struct Cross {
    arch: Arch,
    toolchain: Toolchain,
}

impl Cross {
    /// Finds the compilers, installing what is missing.
    pub(crate) fn prepare(settings: Settings, arch: Arch) -> Result<Cross> {
        let toolchain = toolchain::prepare(settings)?;
        let cross = Cross { arch, toolchain };
        let compiler = cross.c_compiler();
        let needed = [
            format!("gcc-{}", arch.gnu()),
            format!("libc6-dev-{}-cross", arch.debian()),
        ];
        packages::ensure_program(settings, &compiler, &needed.each_ref().map(String::as_str))?;
        Ok(cross)
    }

    /// Compiler and linker of C programs.
    pub(crate) fn c_compiler(&self) -> String {
        format!("{}-gcc", self.arch.gnu())
    }

    /// Builds leaktrace, as releases have it, with its eBPF object; returns where it is.
    pub(crate) fn leaktrace(&self, settings: Settings) -> Result<PathBuf> {
        bpf::build_for(settings, self.arch.name())?;
        self.build(&[&["--package", "leak-user"], RELEASE_FEATURES.as_slice()].concat())?;
        Ok(self.binary("leaktrace"))
    }

    /// Runs `cargo build --release` with these arguments.
    pub(crate) fn build(&self, arguments: &[&str]) -> Result<()> {
        let mut cargo =
            toolchain::program(&self.toolchain, &self.toolchain.compiler.program("cargo"));
        let triple = self.arch.triple();
        let linker = format!(
            "CARGO_TARGET_{}_LINKER",
            triple.to_uppercase().replace('-', "_")
        );
        cargo
            // Building `std` is unstable; the compiler at hand is a stable one.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(linker, self.c_compiler())
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args(["build", "--release", "--target", &triple])
            .args(["-Z", "build-std=std,panic_unwind", "--target-dir"])
            .arg(target())
            .args(arguments);
        command::run(&mut cargo)
    }

    /// A program that was built.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        target().join(self.arch.triple()).join("release").join(name)
    }

    /// The libraries that a program loads, the loader among them.
    pub(crate) fn libraries(&self, program: &Path) -> Result<Vec<PathBuf>> {
        let directory = PathBuf::from(format!("/usr/{}/lib", self.arch.gnu()));
        let mut found = BTreeSet::new();
        let mut waiting = vec![program.to_owned()];
        while let Some(file) = waiting.pop() {
            let mut objdump = Command::new(format!("{}-objdump", self.arch.gnu()));
            let headers = ask(objdump.arg("--private-headers").arg(&file))
                .with_context(|| format!("cannot read the headers of {}", file.display()))?;
            let new = needed(&headers).map(|name| directory.join(name));
            waiting.extend(new.filter(|library| found.insert(library.clone())));
        }
        Ok(found.into_iter().collect())
    }
}

/// Apart from this machine's: another compiler builds here.
fn target() -> PathBuf {
    workspace::root().join("target/cross")
}

/// The names in what objdump prints: `  NEEDED               libc.so.6`.
fn needed(headers: &str) -> impl Iterator<Item = &str> {
    headers.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("NEEDED")).then_some(words.next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_libraries_are_read_from_what_objdump_prints() {
        let headers = "Dynamic Section:\n  NEEDED               libgcc_s.so.1\n  \
                       NEEDED               libc.so.6\n  INIT                 0x1000\n";
        let names: Vec<&str> = needed(headers).collect();
        assert_eq!(names, ["libgcc_s.so.1", "libc.so.6"]);
    }
}
