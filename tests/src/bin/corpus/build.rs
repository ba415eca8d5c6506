//! Compiles the sources of the corpus, each once: what is newer than its sources stays.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use harness::compile::{go_cache, installed, rustc};

use crate::table::{Language, Program, directory};

/// Where compiled programs and the last reports are kept.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/corpus")
}

/// The programs, compiled.
pub(crate) struct Built {
    target: PathBuf,
    python: PathBuf,
}

impl Built {
    /// Compiles what the programs need.
    pub(crate) fn of(programs: &[Program]) -> Result<Built, String> {
        let target = target();
        fs::create_dir_all(&target)
            .map_err(|error| format!("cannot create {}: {error}", target.display()))?;
        let target = target
            .canonicalize()
            .map_err(|error| format!("{}: {error}", target.display()))?;
        let built = Built {
            target,
            python: python(),
        };
        let sources: BTreeSet<(Language, PathBuf)> = programs
            .iter()
            .map(|program| (program.language(), program.source()))
            .collect();
        for (language, source) in sources {
            built.compile(language, &source)?;
        }
        Ok(built)
    }

    /// The command that runs a program.
    pub(crate) fn command(&self, program: &Program) -> Command {
        let source = program.source();
        let script = directory().join(&source);
        let mut command = match program.language() {
            Language::C | Language::Cpp | Language::Rust | Language::Go => {
                Command::new(self.output(program.language(), &source))
            }
            Language::Java => {
                let mut java = Command::new("java");
                // Small and quiet: there are several of them at a time.
                java.args([
                    "-Xmx64m",
                    "-Xss512k",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                ]);
                java.args(["-XX:+PreserveFramePointer", "-cp"])
                    .arg(&self.target);
                java.arg(source.file_stem().unwrap_or_default());
                java
            }
            Language::Python => with_script(&self.python, &script),
            Language::Node => with_script(Path::new("node"), &script),
            Language::Php => with_script(Path::new("php"), &script),
            Language::Shell => with_script(Path::new("bash"), &script),
        };
        command.args(program.arguments());
        command
    }

    fn output(&self, language: Language, source: &Path) -> PathBuf {
        let stem = source.file_stem().unwrap_or_default();
        match language {
            Language::Java => self.target.join(stem).with_extension("class"),
            _ => self.target.join(stem),
        }
    }

    fn compile(&self, language: Language, source: &Path) -> Result<(), String> {
        let output = self.output(language, source);
        let source = directory().join(source);
        if is_newer(&output, language) {
            return Ok(());
        }
        let mut command = match language {
            Language::C => compiler("gcc", &["-O1", "-g", "-pthread"]),
            Language::Cpp => compiler("g++", &["-O1", "-g", "-std=c++17", "-pthread"]),
            Language::Rust => compiler(
                &rustc().to_string_lossy(),
                &["--edition", "2024", "-O", "-g"],
            ),
            Language::Go => {
                let mut go = compiler("go", &["build"]);
                go_cache(&mut go);
                go
            }
            Language::Java => compiler("javac", &["-g", "-d"]),
            Language::Python | Language::Node | Language::Php | Language::Shell => return Ok(()),
        };
        eprintln!("building {} ...", source.display());
        match language {
            Language::Java => command.arg(&self.target).arg(&source),
            // An older one may still be running.
            _ => {
                let _ = fs::remove_file(&output);
                command.arg("-o").arg(&output).arg(&source)
            }
        };
        if language == Language::C {
            command.arg("-lm");
        }
        let ended = command
            .output()
            .map_err(|error| format!("cannot start {command:?}: {error}"))?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        Err(format!("{} does not compile:\n{said}", source.display()))
    }
}

fn compiler(name: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(flags);
    command
}

fn with_script(interpreter: &Path, script: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(script);
    command
}

/// Whether a program is newer than all that its language's directory, and the header
/// that C and C++ share, contain.
fn is_newer(output: &Path, language: Language) -> bool {
    let Some(built) = changed(output) else {
        return false;
    };
    let sources = fs::read_dir(directory().join(language.directory()));
    let newest = sources
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| changed(&entry.path()))
        .chain(changed(&directory().join("c/corpus.h")))
        .max();
    newest.is_some_and(|newest| newest < built)
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// The interpreter itself: version managers put a script in its place.
fn python() -> PathBuf {
    let asked = installed("python3").and_then(|python| {
        let output = Command::new(python)
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .ok()?;
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!path.is_empty()).then(|| PathBuf::from(path))
    });
    asked.unwrap_or_else(|| PathBuf::from("python3"))
}
