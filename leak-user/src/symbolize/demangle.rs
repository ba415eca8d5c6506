//! Readable names of C++ and Rust functions. The names come from files of the
//! traced: a short one can stand for a text of any length, so what is written
//! is bounded.

use std::fmt::{self, Write};

/// Most bytes of a name, before and after.
const MAX_NAME: usize = 4096;

/// The name as its author wrote it, where it is mangled; cut at 4 KiB.
pub(super) fn demangle(name: &str) -> String {
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
        ];
        for (mangled, readable) in names {
            assert_eq!(demangle(mangled), readable);
        }
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
