//! Victims of `victims/unwind/`, compiled in the many ways that programs are: each
//! once per test run, from what compilers this machine has.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::victim::target_directory;

/// The path of a program, if it is installed; else a line that says what is skipped.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// The compiler that belongs to the cargo that runs the tests.
#[must_use]
pub fn rustc() -> PathBuf {
    std::env::var_os("CARGO")
        .map(|cargo| Path::new(&cargo).with_file_name("rustc"))
        .filter(|rustc| rustc.is_file())
        .unwrap_or_else(|| PathBuf::from("rustc"))
}

/// Gives a compiler of Go a place for what it keeps, where there is no home for that.
pub fn go_cache(command: &mut Command) -> &mut Command {
    let places = ["GOCACHE", "XDG_CACHE_HOME", "HOME"];
    if places.map(std::env::var_os).iter().all(Option::is_none) {
        command.env("GOCACHE", target_directory().join("go-cache"));
    }
    command
}

/// The path of a source.
#[must_use]
pub fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("victims/unwind")
        .join(file)
}

/// The line of a source that bears a mark: `@` and this word.
///
/// # Panics
/// Where no line or more than one does.
#[must_use]
pub fn line_of(file: &str, word: &str) -> u32 {
    let text = fs::read_to_string(source(file)).expect("the source can be read");
    let mark = format!("@{word} ");
    let lines: Vec<usize> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.contains(&mark))
        .map(|(number, _)| number)
        .collect();
    let [line] = lines[..] else {
        panic!("{file} bears {mark:?} on lines {lines:?}");
    };
    u32::try_from(line).expect("a source is short")
}

/// A victim to compile.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Name of what results, one for each recipe.
    pub name: &'a str,
    /// File in `victims/unwind/`.
    pub source: &'a str,
    /// Its name or path.
    pub compiler: &'a str,
    pub flags: &'a [&'a str],
    /// Flags that go behind the source: libraries.
    pub libraries: &'a [&'a str],
}

/// What gcc is given for each victim: functions have frames of their own and lines.
pub const C_FLAGS: [&str; 4] = ["-g", "-Wall", "-Wextra", "-fno-optimize-sibling-calls"];

impl Recipe<'_> {
    /// A C program of gcc's.
    #[must_use]
    pub const fn gcc<'a>(name: &'a str, source: &'a str, flags: &'a [&'a str]) -> Recipe<'a> {
        Recipe {
            name,
            source,
            compiler: "gcc",
            flags,
            libraries: &["-ldl", "-pthread"],
        }
    }

    /// The program.
    ///
    /// # Panics
    /// Where the compiler is missing or refuses.
    #[must_use]
    pub fn program(self) -> PathBuf {
        built(self.name, |program| {
            let mut command = Command::new(self.compiler);
            if self.source.ends_with(".c") || self.source.ends_with(".cpp") {
                command.args(C_FLAGS);
            } else if self.source.ends_with(".go") {
                go_cache(&mut command).arg("build");
            }
            command.args(self.flags).arg("-o").arg(program);
            succeed(command.arg(source(self.source)).args(self.libraries));
        })
    }

    /// The program without symbols, its debug information in a file beside it that
    /// it names.
    ///
    /// # Panics
    /// As [`program`](Recipe::program), and where objcopy is missing or refuses.
    #[must_use]
    pub fn stripped(self) -> PathBuf {
        let whole = self.program();
        built(&format!("{}-stripped", self.name), |program| {
            let debug = program.with_extension("debug");
            objcopy(&[
                OsStr::new("--only-keep-debug"),
                whole.as_ref(),
                debug.as_ref(),
            ]);
            let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
            link.push(&debug);
            objcopy(&[
                OsStr::new("--strip-all"),
                link.as_ref(),
                whole.as_ref(),
                program.as_ref(),
            ]);
        })
    }
}

fn objcopy(arguments: &[&OsStr]) {
    succeed(Command::new("objcopy").args(arguments));
}

fn built(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(program) = built.get(name) {
        return program.clone();
    }
    let directory = target_directory().join("victims/unwind");
    fs::create_dir_all(&directory).expect("a target directory is writable");
    let program = directory.join(name);
    // An older one may still be running.
    let _ = fs::remove_file(&program);
    make(&program);
    built.insert(name.to_owned(), program.clone());
    program
}

fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} fails:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
