//! What makes two sites the same in two reports: the kind, the program, and the functions of the stack.
//!
//! Addresses, lines, process ids and paths are no part of it, for they change from run to run and from build to build.
//! Of a module its file's name counts, not its build id: that differs between the builds that are to be compared. A
//! frame without a function's name has only its offset to be known by, which means something in one build alone; such
//! stacks are compared by build id and offset first, and what is left by the rest of the stack ([`Precision`]).

use std::borrow::Cow;

use leak_common::Kind;

use crate::model::refusal::Refusal;
use crate::model::report::{Finding, Frame, Report};

/// Bytes of a process's name, which are all that is known of a program without its path.
const COMM_BYTES: usize = 15;

/// Frames that are compared: no writer of reports takes more.
const FRAMES: usize = 256;

/// How much of a frame without name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// Its offset in the module of that build id.
    Exact,
    /// Its module's name.
    Rough,
}

/// What tells a site from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) kind: String,
    pub(super) program: String,
    /// Module and function, innermost first.
    frames: Vec<(String, String)>,
}

impl Identity {
    pub(super) fn of(report: &Report, finding: &Finding, precision: Precision) -> Identity {
        let mut frames: Vec<(String, String)> = finding
            .stack
            .iter()
            .take(FRAMES)
            .map(|frame| place(frame, precision))
            .collect();
        // How deep a recursion went is chance.
        frames.dedup();
        Identity {
            kind: finding.kind.clone(),
            program: program(report, finding),
            frames,
        }
    }
}

/// Why the kernel refused more of a site's kind to its program in a report, if it did.
pub(super) fn refused(report: &Report, identity: &Identity) -> Option<String> {
    let class = Kind::from_name(&identity.kind)?.class();
    let of_it = report.failures.iter().find(|failure| {
        let process = report
            .processes
            .iter()
            .find(|process| (process.pid, process.start_time) == (failure.pid, failure.start_time));
        let file = process.map_or("", |process| process.exe.as_str());
        let bounds = Refusal::from_name(&failure.error).is_some_and(|error| error.bounds(class));
        bounds && program_name(file, &failure.comm) == identity.program
    });
    of_it.map(|failure| failure.error.clone())
}

/// The program of a finding.
fn program(report: &Report, finding: &Finding) -> String {
    let file = report
        .process_of(finding)
        .map(|process| process.exe.as_str())
        .unwrap_or_default();
    program_name(file, &finding.comm)
}

/// A program: the name of its file as far as a process's name would have it, or else that name.
fn program_name(file: &str, comm: &str) -> String {
    let file = file.strip_suffix(" (deleted)").unwrap_or(file);
    let name = match module_name(file) {
        "" => comm,
        name => name,
    };
    let end = name.floor_char_boundary(COMM_BYTES);
    name[..end].to_owned()
}

fn place(frame: &Frame, precision: Precision) -> (String, String) {
    let module = module_name(frame.module_name()).to_owned();
    if !frame.symbol.is_empty() {
        return (module, function_name(&frame.symbol).into_owned());
    }
    match (&frame.module_offset, precision) {
        (Some(offset), Precision::Exact) => {
            let build = frame.build_id.as_deref().unwrap_or(&module);
            (build.to_owned(), format!("+{offset}"))
        }
        _ => (module, String::new()),
    }
}

/// The last part of a path, without the hash that cargo gives to what it builds.
fn module_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('-') {
        Some((stem, hash)) if hash.len() == 16 && is_hexadecimal(hash) => stem,
        _ => name,
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The function without what a compiler adds to its name: hashes, and parts and copies that it made.
pub(super) fn function_name(symbol: &str) -> Cow<'_, str> {
    let mut name = symbol;
    // As C++ is demangled: `f(int) [clone .isra.0]`.
    if let Some(start) = name.find(" [clone ") {
        name = &name[..start];
    }
    // The version of a library's function.
    if let Some((plain, _)) = name.split_once('@')
        && !plain.is_empty()
    {
        name = plain;
    }
    loop {
        let shorter = without_rust_hash(without_suffix(name));
        if shorter.len() == name.len() || shorter.is_empty() {
            return name.into();
        }
        name = shorter;
    }
}

fn without_suffix(name: &str) -> &str {
    const NUMBERED: [&str; 6] = ["llvm", "constprop", "isra", "part", "lto_priv", "cold"];
    let (rest, last) = match name.rsplit_once('.') {
        Some((rest, "cold")) => return rest,
        Some(split) => split,
        None => return name,
    };
    let numbered = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    match rest.rsplit_once('.') {
        Some((stem, word)) if numbered && NUMBERED.contains(&word) => stem,
        _ => name,
    }
}

fn without_rust_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((stem, hash)) if hash.len() == 16 && is_hexadecimal(hash) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_compilers_add_to_names_does_not_count() {
        for (symbol, function) in [
            ("open_log", "open_log"),
            ("demo::run::h0123456789abcdef", "demo::run"),
            ("demo::run::h0123456789abcdef.llvm.1234567890", "demo::run"),
            ("read_all.constprop.0", "read_all"),
            ("read_all.isra.0.constprop.12.cold", "read_all"),
            ("read_all.part.0.cold.3", "read_all"),
            ("f(int) [clone .isra.0] [clone .cold]", "f(int)"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            // These belong to the name.
            ("demo::h0123", "demo::h0123"),
            ("main.open.0", "main.open.0"),
            ("main.(*Server).serve.func1", "main.(*Server).serve.func1"),
            (".cold", ".cold"),
            ("@", "@"),
            ("", ""),
        ] {
            assert_eq!(function_name(symbol), function, "{symbol}");
        }
    }

    #[test]
    fn cargos_hashes_and_directories_do_not_count() {
        assert_eq!(module_name("/a/deps/worker-0123456789abcdef"), "worker");
        assert_eq!(module_name("/usr/lib/libc.so.6"), "libc.so.6");
        assert_eq!(module_name("pre-commit"), "pre-commit");
    }

    proptest! {
        #[test]
        fn a_name_made_short_stays_as_it_is(name in "[a-z.:@]{0,8}(::h0123456789abcdef)?(\\.(cold|isra\\.0)){0,2}") {
            let once = function_name(&name).into_owned();
            prop_assert_eq!(function_name(&once), once.as_str());
        }

        #[test]
        fn no_name_is_too_odd(name in any::<String>()) {
            let _ = function_name(&name);
            let _ = module_name(&name);
        }
    }
}
