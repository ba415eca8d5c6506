//! Whole stacks: every frame of a finding held against a list, innermost first.
//!
//! An entry of the list is a function's name, or one of
//! - `[libc]`: one or more frames in the C library or the loader, whose names depend
//!   on what symbols a distribution ships;
//! - `[one]`: any single frame;
//! - `[any]`: any number of frames, also none.

use std::fmt::Write;

use crate::Report;
use crate::report::{Finding, Frame};

/// Whether the frames are these, from the first to the last.
#[must_use]
pub fn matches(frames: &[Frame], expected: &[&str]) -> bool {
    let Some((first, others)) = expected.split_first() else {
        return frames.is_empty();
    };
    match *first {
        "[any]" => {
            matches(frames, others) || (!frames.is_empty() && matches(&frames[1..], expected))
        }
        "[libc]" => frames.split_first().is_some_and(|(frame, rest)| {
            is_libc(&frame.module) && (matches(rest, others) || matches(rest, expected))
        }),
        _ => frames.split_first().is_some_and(|(frame, rest)| {
            (*first == "[one]" || bare(&frame.symbol) == *first) && matches(rest, others)
        }),
    }
}

/// Whether a module is the C library or its loader.
fn is_libc(module: &str) -> bool {
    let file = module.rsplit('/').next().unwrap_or(module);
    ["libc.", "libc-", "ld-", "ld.", "libpthread", "libdl"]
        .iter()
        .any(|prefix| file.starts_with(prefix))
}

/// A function's name without what compilers add: parameters, and the suffixes of
/// clones and of Go's assembly.
#[must_use]
pub fn bare(symbol: &str) -> &str {
    let symbol = symbol.split('(').next().unwrap_or(symbol);
    [
        ".isra",
        ".constprop",
        ".part",
        ".cold",
        ".abi0",
        ".abiinternal",
    ]
    .iter()
    .filter_map(|suffix| symbol.find(suffix))
    .min()
    .map_or(symbol, |end| &symbol[..end])
}

/// Asserts that resources of this kind were acquired and kept so often with exactly
/// this stack, counted over all processes; returns the findings.
///
/// # Panics
/// Where it were more or fewer: the stacks of that kind are shown.
pub fn assert_stack<'a>(
    report: &'a Report,
    kind: &str,
    count: u64,
    expected: &[&str],
) -> Vec<&'a Finding> {
    let found: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|finding| finding.kind == kind && matches(&finding.stack, expected))
        .collect();
    let outstanding: u64 = found.iter().map(|finding| finding.outstanding).sum();
    assert!(
        outstanding == count,
        "{outstanding} instead of {count} of kind {kind} have the stack {expected:?};\n\
         health: {}\n{}{}",
        report.document["health"],
        shown(report, kind),
        report.stderr,
    );
    found
}

/// The stacks of a kind, for messages.
fn shown(report: &Report, kind: &str) -> String {
    let mut text = String::new();
    for finding in report.findings.iter().filter(|f| f.kind == kind) {
        let _ = writeln!(
            text,
            "{} outstanding in {} {}, {} frames:",
            finding.outstanding,
            finding.comm,
            finding.pid,
            finding.stack.len()
        );
        for frame in finding.stack.iter().take(40) {
            let inlined = if frame.inlined { " (inlined)" } else { "" };
            let _ = writeln!(text, "    {}{inlined} in {}", frame.symbol, frame.module);
        }
    }
    text
}

/// Asserts the file and the line of each of these functions in a stack, each the
/// first of its name.
///
/// # Panics
/// Where one differs or is missing.
pub fn assert_lines(finding: &Finding, file: &str, lines: &[(&str, u32)]) {
    for (function, line) in lines {
        let frame = finding
            .stack
            .iter()
            .find(|frame| bare(&frame.symbol) == *function)
            .unwrap_or_else(|| panic!("{function} is not in {:?}", finding.stack));
        let named = frame.file.as_deref().unwrap_or_default();
        assert!(
            named.ends_with(file),
            "{function} is in {named:?}: {frame:?}"
        );
        assert_eq!(frame.line, Some(*line), "{frame:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(symbol: &str, module: &str) -> Frame {
        Frame {
            symbol: symbol.to_owned(),
            module: module.to_owned(),
            file: None,
            line: None,
            inlined: false,
        }
    }

    #[test]
    fn a_stack_is_compared_to_its_end() {
        let libc = "/lib/x86_64-linux-gnu/libc.so.6";
        let stack = [
            frame("open64", libc),
            frame("leak", "victim"),
            frame("call(int)", "victim"),
            frame("", libc),
            frame("", libc),
            frame("_start", "victim"),
        ];
        let whole = ["[libc]", "leak", "call", "[libc]", "_start"];
        assert!(matches(&stack, &whole));
        assert!(!matches(&stack[1..], &whole), "the innermost is missing");
        assert!(!matches(&stack[..5], &whole), "the outermost is missing");
        assert!(!matches(&stack[..2], &whole[..4]));
        assert!(!matches(&stack, &["[libc]", "leak", "[libc]", "_start"]));
        assert!(matches(&stack, &["[any]", "leak", "[one]", "[any]"]));
        assert!(!matches(&stack, &["[libc]", "leak", "[any]", "main"]));
    }

    #[test]
    fn names_lose_what_compilers_add() {
        for (symbol, name) in [
            ("space::open(char const*)", "space::open"),
            ("leak.constprop.0", "leak"),
            ("main.cold", "main"),
            ("runtime.goexit.abi0", "runtime.goexit"),
            ("main.main", "main.main"),
        ] {
            assert_eq!(bare(symbol), name);
        }
    }

    #[test]
    fn the_c_library_is_told_by_its_file() {
        for module in [
            "/usr/lib/libc.so.6",
            "/lib/ld-musl-x86_64.so.1",
            "/lib64/ld-2.31.so",
        ] {
            assert!(is_libc(module), "{module}");
        }
        for module in [
            "/usr/lib/libcrypto.so.3",
            "/usr/lib/libcurl.so.4",
            "chain",
            "",
        ] {
            assert!(!is_libc(module), "{module}");
        }
    }
}
