//! Brings the eBPF object into the binary, as `$OUT_DIR/leaktrace.o`.
//!
//! It is the file that `LEAKTRACE_BPF_OBJECT` names, else the one that `cargo xtask build` made. Where there is none it
//! is empty, so that checking and unit tests need no eBPF toolchain; such a binary cannot trace, and says so.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

fn main() {
    println!("cargo::rerun-if-env-changed=LEAKTRACE_BPF_OBJECT");
    println!("cargo::rerun-if-changed=build.rs");

    let object = match env::var_os("LEAKTRACE_BPF_OBJECT") {
        Some(path) => PathBuf::from(path),
        None => built_by_xtask(),
    };
    println!("cargo::rerun-if-changed={}", object.display());
    let bytes = fs::read(&object).unwrap_or_else(|error| {
        panic!("cannot read the eBPF object {}: {error}", object.display())
    });

    let embedded = Path::new(&variable("OUT_DIR")).join("leaktrace.o");
    fs::write(&embedded, bytes)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", embedded.display()));
}

/// Where xtask puts the object for the architecture that is built for.
fn built_by_xtask() -> PathBuf {
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let object = workspace.join(format!("target/bpf/leaktrace-{arch}.o"));
    // Cargo runs this script at every build as long as a file it watches is missing. An empty one stands in for it, to
    // be overwritten by xtask.
    if !object.exists() && stand_in(&object).is_err() {
        return empty_object();
    }
    object
}

/// Makes an empty file that is older than this build, so that it is no reason for the next one.
fn stand_in(object: &Path) -> io::Result<()> {
    fs::create_dir_all(object.parent().expect("the object is in a directory"))?;
    fs::File::create(object)?.set_modified(SystemTime::UNIX_EPOCH)
}

/// The empty object for a checkout that cannot be written to.
fn empty_object() -> PathBuf {
    let empty = Path::new(&variable("OUT_DIR")).join("empty.o");
    fs::write(&empty, []).expect("cargo gives a directory to write to");
    empty
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
