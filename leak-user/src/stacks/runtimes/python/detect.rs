//! Finds an interpreter in a file.

use super::{
    Interpreter, eval,
    layout::{self, minor_of},
};
use crate::stacks::runtimes::elf::{Elf, Stands, Symbol, Table};

/// Finds the interpreter of CPython in an ELF file, if there is one whose layout is
/// known: 3.9 to 3.14 for 64-bit little-endian machines, with a global lock.
///
/// Told by the symbol `_PyRuntime` or the section of that name; other files are
/// declined after a look at their sections and the names of their dynamic data symbols.
#[must_use]
pub fn detect(elf: &[u8]) -> Option<Interpreter> {
    let elf = Elf::parse(elf)?;
    let exports = Exports::read(&elf);
    let runtime = exports
        .runtime
        .or_else(|| Some(elf.section(".PyRuntime")?.0))?;

    let own = elf.bytes_at(runtime).and_then(layout::of_runtime);
    let (minor, layout, names) = match own {
        Some((version, layout, names)) => (minor_of(version)?, layout, names),
        None => {
            let minor = minor_by_symbols(&elf, &exports).or_else(|| minor_by_text(&elf))?;
            let (layout, names) = layout::of_version(minor)?;
            (minor, layout, names)
        }
    };
    let eval = eval::find(&elf);
    let base = elf.code_base(eval.first().map(|range| range.start))?;
    Some(Interpreter {
        version: (3, minor),
        runtime_offset: runtime.wrapping_sub(base),
        layout,
        names,
        eval_ranges: eval
            .iter()
            .filter_map(|range| {
                let start = elf.file_offset(range.start)?;
                Some(start..start.checked_add(range.length())?)
            })
            .collect(),
    })
}

/// What an interpreter shows of itself.
#[derive(Default)]
struct Exports {
    runtime: Option<u64>,
    version: Option<u64>,
}

impl Exports {
    fn read(elf: &Elf<'_>) -> Exports {
        let mut exports = Exports::default();
        for Symbol { name, address, .. } in elf.symbols(Table::Dynamic, Stands::Data) {
            match name {
                b"_PyRuntime" => exports.runtime = Some(address),
                b"Py_Version" => exports.version = Some(address),
                _ => {}
            }
        }
        exports
    }
}

/// By `Py_Version` (3.11 on), or by what 3.10 and 3.9 were the first to have.
fn minor_by_symbols(elf: &Elf<'_>, exports: &Exports) -> Option<u8> {
    if let Some(version) = exports.version {
        return minor_of(elf.word_at(version)?);
    }
    let mut minor = None;
    for Symbol { name, .. } in elf.symbols(Table::Dynamic, Stands::Code) {
        match name {
            b"PyModule_AddObjectRef" => return Some(10),
            b"PyFrame_GetCode" => minor = Some(9),
            _ => {}
        }
    }
    minor
}

/// By the version in the constant data, where no symbols are shown: a text of its own,
/// and the only one that looks like a version of ours.
fn minor_by_text(elf: &Elf<'_>) -> Option<u8> {
    let (_, constants) = elf.section(".rodata")?;
    let mut found = None;
    for text in constants.split(|byte| *byte == 0) {
        if let Some(minor) = version_text(text) {
            if found.is_some_and(|other| other != minor) {
                return None;
            }
            found = Some(minor);
        }
    }
    found
}

/// The minor number of a text like `3.11.2`.
fn version_text(text: &[u8]) -> Option<u8> {
    if text.len() > 8 {
        return None;
    }
    let mut parts = std::str::from_utf8(text)
        .ok()?
        .strip_prefix("3.")?
        .split('.');
    let (minor, patch) = (parts.next()?, parts.next()?.trim_end_matches('+'));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten()
    };
    number(patch)?;
    let minor = number(minor).filter(|minor| (9..=14).contains(minor))?;
    parts.next().is_none().then_some(minor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_files_are_declined() {
        let own = std::fs::read("/proc/self/exe").expect("the test's own file");
        assert_eq!(detect(&own), None);
        assert_eq!(detect(b""), None);
        assert_eq!(detect(b"\x7fELF"), None);
    }

    #[test]
    fn only_texts_that_are_a_version_tell_one() {
        assert_eq!(version_text(b"3.11.2"), Some(11));
        assert_eq!(version_text(b"3.10.13+"), Some(10));
        for other in [
            &b"3.40.1"[..],
            b"3.11",
            b"3.11.2.1",
            b"3.8.18",
            b"3.+1.2",
            b"3.11.x",
            b"",
        ] {
            assert_eq!(version_text(other), None, "{other:?}");
        }
    }

    #[test]
    fn previews_have_no_known_layout() {
        assert_eq!(minor_of(0x030b_07f0), Some(11));
        assert_eq!(minor_of(0x030c_00c2), Some(12));
        assert_eq!(minor_of(0x030c_00b2), None);
        assert_eq!(minor_of(0x0207_12f0), None);
    }

    proptest! {
        #[test]
        fn damaged_files_do_no_harm(at in 0usize..4096, bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            static OWN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
                std::fs::read("/proc/self/exe").expect("the test's own file")
            });
            let mut file = OWN[..OWN.len().min(1 << 16)].to_vec();
            let end = (at + bytes.len()).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
            let _ = detect(&file);
        }
    }
}
