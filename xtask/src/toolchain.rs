//! Finds, or installs, what compiles for the BPF target: a compiler with the sources of its own `core`, and a linker
//! built for that compiler's LLVM. `survey` looks, `plan` decides, `prepare` repeats both until nothing is missing.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{Settings, ask, find_program};
use crate::linker::{self, Linker};
use crate::{packages, workspace};

/// The packages of Debian's current compiler: cargo and the sources of `core` come in the same version.
const DEBIAN_COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// What builds leak-ebpf.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: PathBuf,
}

/// A Rust compiler on this machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiler {
    /// Directory with `bin/rustc`, `bin/cargo` and `lib/rustlib`.
    pub(crate) sysroot: PathBuf,
    /// Name by which rustup knows it; `None` for the distribution's.
    rustup_name: Option<String>,
    release: (u32, u32),
    llvm: u32,
    has_core_source: bool,
}

impl Compiler {
    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }

    /// Whether it is the distribution's rather than rustup's.
    pub(crate) fn is_system(&self) -> bool {
        self.sysroot == Path::new("/usr")
    }
}

/// What a machine has, as far as building for BPF goes.
#[derive(Clone, Debug, Default)]
struct Machine {
    /// In order of preference.
    compilers: Vec<Compiler>,
    linkers: Vec<Linker>,
    /// LLVM majors whose libraries are installed.
    llvm_installed: BTreeSet<u32>,
    /// LLVM majors whose libraries apt can install.
    llvm_packaged: BTreeSet<u32>,
    /// Whether apt can install the distribution's compiler, new enough, and has not done so.
    compiler_packaged: bool,
    /// Whether apt's package lists may be too old to know what there is.
    lists_may_be_old: bool,
    /// Asking rustup for the sources has failed already.
    rustup_failed: bool,
}

impl Machine {
    fn linker_for(&self, compiler: &Compiler) -> Option<&Linker> {
        // A linker that does not say its LLVM is taken at its owner's word: it is on PATH for this purpose.
        self.linkers
            .iter()
            .find(|linker| linker.llvm.is_none_or(|llvm| llvm == compiler.llvm))
    }

    fn can_build_linker(&self, compiler: &Compiler) -> bool {
        linker::SUPPORTED_LLVM.contains(&compiler.llvm)
            && self.llvm_installed.contains(&compiler.llvm)
    }

    fn can_install_llvm(&self, compiler: &Compiler) -> bool {
        linker::SUPPORTED_LLVM.contains(&compiler.llvm)
            && self.llvm_packaged.contains(&compiler.llvm)
    }

    fn can_link(&self, compiler: &Compiler) -> bool {
        self.linker_for(compiler).is_some()
            || self.can_build_linker(compiler)
            || self.can_install_llvm(compiler)
    }
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Done(Toolchain),
    BuildLinker(u32),
    InstallLlvm(u32),
    AddCoreSource(String),
    InstallCompiler,
    UpdateLists,
    Impossible,
}

/// Decides what needs least: what is complete before what must be installed, rustup before the distribution.
fn plan(machine: &Machine) -> Step {
    let with_source = || machine.compilers.iter().filter(|c| c.has_core_source);
    if let Some(toolchain) = with_source().find_map(|compiler| {
        machine.linker_for(compiler).map(|linker| Toolchain {
            compiler: compiler.clone(),
            linker: linker.path.clone(),
        })
    }) {
        return Step::Done(toolchain);
    }
    if let Some(compiler) = with_source().find(|c| machine.can_build_linker(c)) {
        return Step::BuildLinker(compiler.llvm);
    }
    if let Some(compiler) = with_source().find(|c| machine.can_install_llvm(c)) {
        return Step::InstallLlvm(compiler.llvm);
    }
    if !machine.rustup_failed
        && let Some(name) = machine
            .compilers
            .iter()
            .filter(|compiler| !compiler.has_core_source && machine.can_link(compiler))
            .find_map(|compiler| compiler.rustup_name.clone())
    {
        return Step::AddCoreSource(name);
    }
    if machine.compiler_packaged {
        return Step::InstallCompiler;
    }
    if machine.lists_may_be_old {
        return Step::UpdateLists;
    }
    Step::Impossible
}

/// Finds the toolchain, installing what is missing.
pub(crate) fn prepare(settings: Settings) -> Result<Toolchain> {
    let mut rustup_failed = false;
    let mut lists_are_new = false;
    // Package lists, sources, compiler, LLVM, linker: each step is needed once at most.
    for _ in 0..8 {
        match plan(&survey(rustup_failed, lists_are_new)) {
            Step::Done(toolchain) => return Ok(toolchain),
            Step::BuildLinker(llvm) => linker::build(settings, llvm, llvm_prefix(llvm).as_deref())?,
            Step::InstallLlvm(llvm) => {
                let names = llvm_packages(llvm);
                let names = names.each_ref().map(String::as_str);
                packages::ensure(settings, "LLVM's libraries (for bpf-linker)", &names)?;
            }
            Step::AddCoreSource(toolchain) => {
                let mut add = Command::new("rustup");
                add.args(["component", "add", "rust-src", "--toolchain", &toolchain]);
                let added = settings.install("the source of Rust's `core`", &mut add);
                if !settings.install {
                    added?;
                } else if let Err(error) = added {
                    eprintln!("xtask: {error}; trying the distribution's compiler");
                    rustup_failed = true;
                }
            }
            Step::InstallCompiler => {
                packages::install(settings, "a compiler for BPF", &DEBIAN_COMPILER)?;
            }
            // Without installing, nothing would change: the error says what is needed, lists included.
            Step::UpdateLists if !settings.install => break,
            Step::UpdateLists => {
                if let Err(error) = packages::update_lists(settings) {
                    eprintln!("xtask: {error}; going on with the package lists as they are");
                }
                lists_are_new = true;
            }
            Step::Impossible => break,
        }
    }
    bail!("{}", impossible(settings))
}

/// What a machine lacks for which no step is left.
fn impossible(settings: Settings) -> String {
    let llvm = linker::SUPPORTED_LLVM;
    let lists = if settings.install || !packages::has_apt() {
        ""
    } else {
        "; --no-install was given, and apt's package lists may be too old to know a compiler that is new enough: \
         `apt-get update`"
    };
    format!(
        "no toolchain for BPF: needed are a rustc of at least {} with the sources of its `core` \
         (`rustup component add rust-src`) and a bpf-linker {} for the LLVM that `rustc -vV` names, on PATH; \
         with LLVM's development files: `cargo install bpf-linker --version {} --no-default-features \
         --features llvm-N`, N from {} to {}{lists}",
        env!("CARGO_PKG_RUST_VERSION"),
        linker::VERSION,
        linker::VERSION,
        llvm.start(),
        llvm.end(),
    )
}

fn survey(rustup_failed: bool, lists_are_new: bool) -> Machine {
    let compilers = compilers();
    let majors: BTreeSet<u32> = compilers.iter().map(|compiler| compiler.llvm).collect();
    let has_apt = packages::has_apt();
    Machine {
        linkers: linker::installed(),
        llvm_installed: majors
            .iter()
            .copied()
            .filter(|&major| llvm_installed(major, has_apt))
            .collect(),
        llvm_packaged: majors
            .into_iter()
            .filter(|major| has_apt && packages::available(&format!("llvm-{major}-dev")))
            .collect(),
        compiler_packaged: has_apt && compiler_packaged(&compilers),
        lists_may_be_old: has_apt && !lists_are_new,
        compilers,
        rustup_failed,
    }
}

/// Whether apt can install a `DEBIAN_COMPILER` that is new enough, and such a one is not installed.
fn compiler_packaged(compilers: &[Compiler]) -> bool {
    // `compilers` has none that is too old.
    let installed =
        compilers.iter().any(Compiler::is_system) && packages::missing(&DEBIAN_COMPILER).is_empty();
    !installed
        && DEBIAN_COMPILER.iter().all(|package| {
            packages::candidate(package)
                .and_then(|version| major_minor(&version))
                .is_some_and(|release| release >= minimum())
        })
}

/// The compilers new enough for the workspace: the active one, rustup's others, the distribution's.
fn compilers() -> Vec<Compiler> {
    let mut sysroots = Vec::new();
    if let Some(active) = ask(Command::new("rustc").args(["--print", "sysroot"])) {
        sysroots.push(PathBuf::from(active.trim()));
    }
    let mut others: Vec<PathBuf> = rustup_toolchains()
        .and_then(|directory| fs::read_dir(directory).ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    others.sort();
    sysroots.extend(others);
    sysroots.push(PathBuf::from("/usr"));

    let mut seen = BTreeSet::new();
    sysroots.retain(|sysroot| fs::canonicalize(sysroot).is_ok_and(|real| seen.insert(real)));
    sysroots
        .iter()
        .filter_map(|sysroot| probe(sysroot))
        .filter(|compiler| compiler.release >= minimum())
        .collect()
}

fn rustup_toolchains() -> Option<PathBuf> {
    let home = match env::var_os("RUSTUP_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME")?).join(".rustup"),
    };
    Some(home.join("toolchains"))
}

fn probe(sysroot: &Path) -> Option<Compiler> {
    // A toolchain linked by name (`rustup toolchain link debian /usr`) is what it points to.
    let sysroot = fs::canonicalize(sysroot).ok()?;
    let version = ask(Command::new(sysroot.join("bin/rustc"))
        .env_remove("LD_LIBRARY_PATH")
        .arg("-vV"))?;
    let (release, llvm) = parse_version(&version)?;
    if !sysroot.join("bin/cargo").exists() {
        return None;
    }
    let managed = rustup_toolchains().is_some_and(|directory| sysroot.starts_with(directory));
    Some(Compiler {
        rustup_name: managed
            .then(|| Some(sysroot.file_name()?.to_str()?.to_owned()))
            .flatten(),
        has_core_source: sysroot
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .exists(),
        sysroot,
        release,
        llvm,
    })
}

/// Release (major, minor) and LLVM major, from what `rustc -vV` prints.
fn parse_version(version: &str) -> Option<((u32, u32), u32)> {
    let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
    let release = major_minor(field("release: ")?)?;
    let llvm = field("LLVM version: ")?.split('.').next()?.parse().ok()?;
    Some((release, llvm))
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn minimum() -> (u32, u32) {
    major_minor(env!("CARGO_PKG_RUST_VERSION")).expect("the workspace sets rust-version")
}

/// What bpf-linker needs to be built against LLVM `major` on Debian.
fn llvm_packages(major: u32) -> [String; 5] {
    [
        format!("llvm-{major}-dev"),
        format!("libpolly-{major}-dev"),
        "zlib1g-dev".to_owned(),
        "libzstd-dev".to_owned(),
        "libxml2-dev".to_owned(),
    ]
}

fn llvm_installed(major: u32, has_apt: bool) -> bool {
    if llvm_prefix(major).is_none() {
        return false;
    }
    let names = llvm_packages(major);
    let names = names.each_ref().map(String::as_str);
    !has_apt || packages::missing(&names).is_empty()
}

/// Where LLVM `major` is installed: Debian's place, else where an `llvm-config` of that version says.
fn llvm_prefix(major: u32) -> Option<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}"));
    if debian.join("include/llvm-c/Core.h").exists() {
        return Some(debian);
    }
    ["llvm-config", &format!("llvm-config-{major}")]
        .into_iter()
        .filter_map(find_program)
        .find_map(|config| {
            let version = ask(Command::new(&config).arg("--version"))?;
            let prefix = ask(Command::new(&config).arg("--prefix"))?;
            (major_minor(&version)?.0 == major).then(|| PathBuf::from(prefix.trim()))
        })
}

/// The clippy of that compiler, installing it where it is missing.
pub(crate) fn clippy(settings: Settings, compiler: &Compiler) -> Result<PathBuf> {
    let clippy = compiler.program("cargo-clippy");
    if clippy.exists() {
        return Ok(clippy);
    }
    if compiler.is_system() {
        packages::ensure(settings, "clippy for BPF", &["rust-web-clippy"])?;
    } else if let Some(name) = &compiler.rustup_name {
        settings.install(
            "clippy for BPF",
            Command::new("rustup").args(["component", "add", "clippy", "--toolchain", name]),
        )?;
    }
    if !clippy.exists() {
        bail!("{} has no clippy; install it", compiler.sysroot.display());
    }
    Ok(clippy)
}

/// A program of the toolchain, free of what the cargo that runs us put into the environment.
pub(crate) fn program(toolchain: &Toolchain, path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .current_dir(workspace::root())
        .env("RUSTC", toolchain.compiler.program("rustc"))
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("RUSTUP_TOOLCHAIN");
    command
}

#[cfg(test)]
#[path = "toolchain_tests.rs"]
mod tests;
