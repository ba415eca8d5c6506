//! `cargo xtask compare-stacks`: stacks walked in the kernel against those of another unwinder, on programs that people
//! run, as a table that anyone can make again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{self, Settings, as_root, ask, cargo, find_program};
use crate::{bpf, packages, workspace};

/// Where the table goes, in the checkout.
const DOCUMENT: &str = "leak-user/docs/stacks-compared.md";

/// Debian keeps the programs of its PostgreSQL apart, by version.
const POSTGRES: &str = "/usr/lib/postgresql";

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Seconds that each program works for
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Compare with these alone, and print the table without writing it
    programs: Vec<String>,
}

/// A program to compare with: what must be there for it, and how it tells its version.
struct Program {
    name: &'static str,
    /// Programs, each with the package that has it.
    needs: &'static [(&'static str, &'static str)],
    version: &'static str,
}

const fn program(
    name: &'static str,
    needs: &'static [(&'static str, &'static str)],
    version: &'static str,
) -> Program {
    Program {
        name,
        needs,
        version,
    }
}

const PROGRAMS: [Program; 10] = [
    program("bash", &[("bash", "bash")], "--version"),
    program("python3", &[("python3", "python3")], "--version"),
    program("node", &[("node", "nodejs")], "--version"),
    program(
        "java",
        &[
            ("java", "default-jre-headless"),
            ("javac", "default-jdk-headless"),
        ],
        "--version",
    ),
    program("nginx", &[("nginx", "nginx-light")], "-v"),
    program(
        "postgres",
        &[
            ("postgres", "postgresql"),
            ("initdb", "postgresql"),
            ("pgbench", "postgresql-contrib"),
        ],
        "--version",
    ),
    program("redis", &[("redis-server", "redis-server")], "--version"),
    program("gcc", &[("gcc", "gcc")], "--version"),
    program("git", &[("git", "git")], "--version"),
    program("cargo", &[("cargo", "cargo")], "--version"),
];

impl Program {
    /// The program that tells the version.
    fn main(&self) -> &'static str {
        self.needs[0].0
    }
}

/// Builds and installs what is needed, compares, and writes the table where it is of all programs.
pub(crate) fn run(settings: Settings, options: &Options) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("compare-stacks knows the registers of x86_64 alone; run it on such a machine");
    }
    let chosen = chosen(&options.programs)?;
    for program in &chosen {
        for &(needed, package) in program.needs {
            if find(needed).is_none() {
                packages::ensure(settings, needed, &[package])?;
            }
        }
    }
    bpf::build(settings)?;
    command::run(cargo().args([
        "build",
        "--release",
        "--package",
        "tests",
        "--bin",
        "compare_stacks",
    ]))?;

    let mut compare = as_root("env");
    compare.arg(format!("PATH={}", path(&chosen)));
    compare.arg(workspace::host_binary("compare_stacks", true));
    compare.args(["--seconds", &options.seconds.to_string()]);
    compare.args(chosen.iter().map(|program| program.name));
    let table = output(&mut compare)?;
    print!("{table}");
    if options.programs.is_empty() {
        let document = document(options.seconds, &table)?;
        let file = workspace::root().join(DOCUMENT);
        fs::write(&file, document).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("xtask: written to {}", file.display());
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Program>> {
    static ALL: &[Program] = &PROGRAMS;
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let named = |name: &String| {
        let known = || ALL.iter().map(|program| program.name).collect::<Vec<_>>();
        ALL.iter()
            .find(|program| program.name == name)
            .with_context(|| format!("{name:?} is none of {}", known().join(", ")))
    };
    names.iter().map(named).collect()
}

/// A program on PATH, or where servers are.
fn find(name: &str) -> Option<PathBuf> {
    let postgres = fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    let apart = postgres.map(|version| version.path().join("bin"));
    find_program(name).or_else(|| {
        apart
            .chain([PathBuf::from("/usr/sbin")])
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
    })
}

/// PATH with the directories of what was found elsewhere.
fn path(programs: &[&Program]) -> String {
    let mut directories = std::env::var("PATH").unwrap_or_default();
    let needs = programs.iter().flat_map(|program| program.needs);
    for directory in needs.filter_map(|(name, _)| find(name)?.parent().map(Path::to_path_buf)) {
        let directory = directory.to_string_lossy();
        if !directories.split(':').any(|known| known == directory) {
            let _ = write!(directories, ":{directory}");
        }
    }
    directories
}

/// What the comparison prints.
fn output(compare: &mut Command) -> Result<String> {
    eprintln!("$ {}", command::show(compare));
    let output = compare
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the comparison")?;
    if !output.status.success() {
        bail!("the comparison failed: {}", output.status);
    }
    String::from_utf8(output.stdout).context("the comparison printed no text")
}

fn document(seconds: u32, table: &str) -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut text = format!(
        "# Stacks compared\n\
         \n\
         Written by `cargo xtask compare-stacks --seconds {seconds}`; run it for the table of another machine. \
         Linux {}.\n\
         \n{table}\n\
         Versions:\n\n",
        kernel.trim()
    );
    for program in &PROGRAMS {
        let _ = writeln!(text, "- {}: {}", program.name, version(program));
    }
    Ok(text)
}

fn version(program: &Program) -> String {
    let Some(path) = find(program.main()) else {
        return "not installed".to_owned();
    };
    // nginx tells it on stderr.
    let told = ask(Command::new("sh")
        .args(["-c", r#""$0" "$1" 2>&1"#])
        .arg(path)
        .arg(program.version));
    let told = told.unwrap_or_default();
    told.lines().next().unwrap_or("unknown").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_named_with_what_is() {
        let error = chosen(&["zsh".to_owned()])
            .err()
            .map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("\"zsh\"") && error.contains("postgres")));
        let one = chosen(&["git".to_owned()]).expect("git is known");
        assert_eq!(one.len(), 1);
        assert_eq!(chosen(&[]).expect("all are known").len(), PROGRAMS.len());
    }
}
