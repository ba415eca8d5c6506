//! Writes folded stacks, the input of flame graph tools: `comm;frame;frame COUNT`, a line
//! for each stack, outermost frame first, with how many resources are outstanding from it.
//!
//! The form has no escapes. What would break it is written here as a backslash and a number, as in the text: `;`, line
//! ends, what a terminal obeys, and a space that the tools would cut off or take for the one before the count.

use std::{collections::BTreeMap, io};

use super::{Format, Writer};
use crate::model::{
    escape::escape,
    report::{Finding, Report},
};

/// Stands in the place of a stack where the acquisition was not seen.
const NO_STACK: &str = "[no stack]";

pub(super) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "Stacks as flame graph tools read them, counted by what is outstanding",
        write: |report, _, out| write(report, out),
    }),
    ..Format::new("folded")
};

/// Writes a report.
///
/// # Errors
///
/// Those of `out`.
fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    for (stack, count) in stacks(report) {
        writeln!(out, "{stack} {count}")?;
    }
    Ok(())
}

/// What is outstanding by folded stack, in the order of stacks. Sites that differ only in their process id or their
/// kind are added up.
pub(super) fn stacks(report: &Report) -> BTreeMap<String, u64> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for finding in report.findings.iter().filter(|f| f.outstanding > 0) {
        let count = stacks.entry(fold(finding)).or_default();
        *count = count.saturating_add(finding.outstanding);
    }
    stacks
}

fn fold(finding: &Finding) -> String {
    let mut folded = frame(&finding.comm);
    if finding.stack.is_empty() {
        folded += ";";
        folded += NO_STACK;
    }
    for inner in finding.stack.iter().rev() {
        folded += ";";
        folded += &frame(&inner.name());
    }
    folded
}

/// A name as part of a line.
fn frame(name: &str) -> String {
    let name = escape(name).replace(';', "\\x3b");
    if name.is_empty() {
        return "?".to_owned();
    }
    let trimmed = name.trim();
    // "# " at a line's beginning is a comment; a number at its end is the count, and a
    // second one before it the count to compare with.
    let number = trimmed.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let plain = name.len() == trimmed.len()
        && !name.starts_with('#')
        && (number.len() == name.len() || !number.ends_with(char::is_whitespace));
    if plain {
        return name;
    }
    let shown = |c: char| match c {
        ' ' => "\\x20".to_owned(),
        c if c.is_whitespace() => format!("\\u{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    name.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::model::{escape::is_unsafe, sample};

    fn written(report: &Report) -> String {
        sample::text(|out| write(report, out))
    }

    #[test]
    fn a_line_is_a_stack_from_its_outermost_frame_and_its_count() {
        assert_eq!(
            written(&sample::leaking()),
            "\
nginx;0x7f1234567890;libplugin.so+0x1a2b;worker_process_cycle;\
ngx_event_accept_with_a_name_that_is_rather_long_for_a_function<T>;take_connection;__accept4 412
nginx;open_log 3
worker;[no stack] 20
"
        );
    }

    #[test]
    fn equal_stacks_are_added() {
        let mut report = sample::empty();
        report.findings = vec![sample::socket_leak(), sample::socket_leak()];
        report.findings[1].pid = 4321;
        let text = written(&report);
        assert!(
            text.ends_with(";__accept4 824\n") && text.lines().count() == 1,
            "{text}"
        );
    }

    #[test]
    fn nothing_outstanding_is_nothing_written() {
        assert_eq!(written(&sample::empty()), "");
    }

    #[test]
    fn names_that_the_form_has_a_meaning_for_are_escaped() {
        for (name, shown) in [
            ("a;b", r"a\x3bb"),
            ("a b", "a b"),
            ("operator new(unsigned long)", "operator new(unsigned long)"),
            ("kworker 12", r"kworker\x2012"),
            ("a 1.5", r"a\x201.5"),
            ("7", "7"),
            ("v2", "v2"),
            ("# a", r"#\x20a"),
            (" a", r"\x20a"),
            ("a\u{2003}", r"a\u{2003}"),
            ("a\nb 1", r"a\nb\x201"),
            ("", "?"),
        ] {
            assert_eq!(frame(name), shown, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_names_change_neither_lines_nor_frames_nor_counts(
            name in "(\\PC|\\pC|[a-z ;0-9#.\n]){0,40}",
        ) {
            let report = sample::named(&name);
            let text = written(&report);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)));
            prop_assert_eq!(text.lines().count(), stacks(&report).len());
            let total: u64 = report.findings.iter().map(|f| f.outstanding).sum();
            let mut sum = 0;
            for line in text.lines() {
                prop_assert!(!line.starts_with("# "));
                prop_assert_eq!(line.trim(), line);
                let (stack, count) = line.rsplit_once(' ').unwrap();
                sum += count.parse::<u64>().unwrap();
                // What tools would take for another count.
                let second = stack.rsplit_once(char::is_whitespace).map(|(_, end)| end);
                prop_assert!(second.is_none_or(|end| end.parse::<f64>().is_err()), "{}", line);
            }
            prop_assert_eq!(sum, total);
            let frames = report.findings[0].stack.len() + 1;
            let fitting = |line: &str| line.matches(';').count() + 1 == frames;
            prop_assert!(text.lines().any(fitting), "{}", text);
        }
    }
}
