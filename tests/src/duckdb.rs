//! DuckDB, to read tables as their users do. `cargo xtask test` installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tracer::run;

/// A Python that has DuckDB; without one, a line says what is skipped.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/duckdb/bin/python3");
    let found = std::env::var_os("LEAKTRACE_DUCKDB").map_or(own, PathBuf::from);
    if found.is_file() {
        return Some(found);
    }
    eprintln!("skipped: there is no DuckDB; `cargo xtask test` installs it");
    None
}

/// The rows that a query gives, in which `$1` is the text `parameter`; times are shown as
/// text.
///
/// # Panics
/// Where the query fails.
#[must_use]
pub fn rows(python: &Path, query: &str, parameter: &str) -> Vec<Vec<Value>> {
    let script = "import duckdb, json, sys; \
                  print(json.dumps(duckdb.execute(sys.argv[1], [sys.argv[2]]).fetchall(), default=str))";
    let ran = run(Command::new(python).args(["-c", script, query, parameter]));
    assert_eq!(ran.code, 0, "{query}:\n{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("rows are printed as JSON")
}
