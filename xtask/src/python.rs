//! Packages of Python's that tests need, in an environment of their own: the system's Python stays as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::{Settings, ask};
use crate::{packages, workspace};

/// The DuckDB that reads the tables which leaktrace writes.
const DUCKDB: &str = "2.0.0";

/// Makes sure of a Python that has DuckDB; returns its path.
pub(crate) fn ensure_duckdb(settings: Settings) -> Result<PathBuf> {
    let environment = workspace::tools().join("duckdb");
    let python = environment.join("bin/python3");
    if version(&python).is_some_and(|version| version.trim() == DUCKDB) {
        return Ok(python);
    }
    if !can_make_environments() {
        packages::ensure(settings, "Python's venv", &["python3", "python3-venv"])?;
    }
    settings.install(
        "an environment for DuckDB's Python package",
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    settings.install(
        "DuckDB",
        Command::new(&python)
            .args(["-m", "pip", "--disable-pip-version-check", "install"])
            .args(["--only-binary", ":all:"])
            .arg(format!("duckdb=={DUCKDB}")),
    )?;
    Ok(python)
}

/// The version of DuckDB that a Python has.
fn version(python: &Path) -> Option<String> {
    ask(Command::new(python).args(["-c", "import duckdb; print(duckdb.__version__)"]))
}

/// Whether the system's Python can make environments: Debian's needs a package for it.
fn can_make_environments() -> bool {
    ask(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_some()
}
