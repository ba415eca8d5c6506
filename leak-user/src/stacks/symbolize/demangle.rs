//! Readable names of C++, Rust and Go functions. The names come from files of the
//! traced: a short one can stand for a text of any length, so what is written
//! is bounded.

use std::fmt::{self, Write};

/// Most bytes of a name, before and after.
const MAX_NAME: usize = 4096;

/// Which rules a name follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Go,
    Other,
}

/// The name as its author wrote it; cut at 4 KiB.
pub(super) fn readable(name: &str, language: Language) -> String {
    match language {
        Language::Go => unescape(name),
        Language::Other => demangle(without_clone(name)),
    }
}

/// Without what a compiler appends to the name of a part or a copy of a function
/// that it made: `.cold`, `.part.0`, `.constprop.1`, `.isra.0`, `.llvm.123`.
fn without_clone(name: &str) -> &str {
    let mut rest = name;
    while let Some((before, last)) = rest.rsplit_once('.') {
        let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let (before, kind) = match is_number.then(|| before.rsplit_once('.')).flatten() {
            Some((before, kind)) => (before, kind),
            None => (before, last),
        };
        let is_kind = match kind {
            "cold" | "localalias" => true,
            "part" | "constprop" | "isra" | "llvm" | "lto_priv" | "clone" => is_number,
            _ => false,
        };
        if !is_kind || before.is_empty() {
            break;
        }
        rest = before;
    }
    rest
}

/// Go writes some characters of import paths as `%` and two digits, of which the
/// dots behind the last slash matter.
fn unescape(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(MAX_NAME)];
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    text.truncate(text.floor_char_boundary(MAX_NAME));
    text
}

/// Demangled where it is mangled.
fn demangle(name: &str) -> String {
    let mut text = Bounded(String::new());
    if name.len() > MAX_NAME || !is_mangled(name) {
        // Cut or not: what was written is the answer.
        let _ = text.write_str(name);
        return text.0;
    }
    let written = match rustc_demangle::try_demangle(name) {
        Ok(rust) => Some(write!(text, "{rust:#}")),
        Err(_) => cpp_demangle::Symbol::new(name.as_bytes())
            .ok()
            .map(|cpp| cpp.structured_demangle(&mut text, &cpp_demangle::DemangleOptions::new())),
    };
    match written {
        Some(Ok(())) => text.0,
        // Full: the beginning says most.
        Some(Err(_)) if text.0.len() + 4 > MAX_NAME => text.0,
        _ => name.to_owned(),
    }
}

fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R") || name.starts_with("__Z")
}

/// A text that takes no more than [`MAX_NAME`] bytes.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_NAME - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        let names = [
            ("_ZN5space3fooEibc", "space::foo(int, bool, char)"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("main", "main"),
            ("_Znonsense", "_Znonsense"),
            ("", ""),
            ("_ZN5space3fooEibc.cold", "space::foo(int, bool, char)"),
            ("_ZN5space3fooEv.part.0.constprop.1", "space::foo()"),
            (
                "_ZN4core3fmt5write17h0123456789abcdefE.llvm.12345",
                "core::fmt::write",
            ),
            ("_RNvC6_123foo3bar.llvm.1", "123foo::bar"),
            ("parse.isra.0.cold", "parse"),
            ("parse.cold.12", "parse"),
            ("part.0", "part.0"),
            ("parse.part", "parse.part"),
            ("counter.5", "counter.5"),
            (".cold", ".cold"),
            ("main.main.func1", "main.main.func1"),
            ("a%2eb", "a%2eb"),
        ];
        for (mangled, expected) in names {
            assert_eq!(readable(mangled, Language::Other), expected);
        }
    }

    #[test]
    fn names_of_go_functions_have_the_import_path_as_written() {
        let names = [
            (
                "gopkg.in/yaml%2ev2.(*Decoder).Decode",
                "gopkg.in/yaml.v2.(*Decoder).Decode",
            ),
            ("main.cold", "main.cold"),
            ("main.Map[go.shape.int]", "main.Map[go.shape.int]"),
            ("a%2", "a%2"),
            ("a%zzb%", "a%zzb%"),
            ("a%+1", "a%+1"),
            ("%ff", "\u{fffd}"),
            ("", ""),
        ];
        for (name, expected) in names {
            assert_eq!(readable(name, Language::Go), expected);
        }
        assert!(readable(&"%ff".repeat(5000), Language::Go).len() <= MAX_NAME);
    }

    #[test]
    fn a_name_that_doubles_with_every_letter_is_cut() {
        // Each template has its predecessor twice for arguments.
        let mut name = "_Z1fI1aIiiE".to_owned();
        for digit in '0'..='9' {
            name.push_str(&format!("1aIS{digit}_S{digit}_E"));
        }
        for letter in 'A'..='Z' {
            name.push_str(&format!("1aIS{letter}_S{letter}_E"));
        }
        name.push_str("EvT_");
        assert!(demangle(&name).len() <= MAX_NAME);
        assert_eq!(demangle(&"x".repeat(10_000)).len(), MAX_NAME);
        assert!(demangle(&"é".repeat(10_000)).len() <= MAX_NAME);
    }
}
