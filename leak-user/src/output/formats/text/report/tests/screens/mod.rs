//! The answer on a screen, as it looks: eight incidents, each on three terminals. Read a changed one as someone would who
//! was woken by it: does it say what is wrong, whose it is, which line does it, and how long there is?
//!
//! To write the screens anew: `LEAKTRACE_WRITE_SCREENS=1 cargo test -p leak-user --lib screens`.

mod incidents;

use std::{env, fs, path::Path};

use super::{PLAIN, written};
use crate::{
    model::{escape::width, report::Report},
    output::formats::TextOptions,
};

/// Holds a text against the one that was read and found right, which is in a file beside this one.
pub(super) fn compare(name: &str, text: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = directory.join("src/output/formats/text/report/tests/screens");
    let path = directory.join(format!("{name}.txt"));
    if env::var_os("LEAKTRACE_WRITE_SCREENS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{name} is now\n{text}\nand was\n{expected}"
    );
}

/// The first screen, as far as a terminal of that height shows it.
fn first(report: &Report, columns: usize, height: usize, color: bool) -> String {
    let options = TextOptions {
        width: columns,
        height,
        color,
        ..PLAIN
    };
    let text = written(report, &options);
    let lines: Vec<&str> = text.lines().collect();
    // A report that is longer ends with the answer: that is what a terminal shows.
    let start = lines
        .iter()
        .rposition(|line| !line.is_empty() && line.chars().all(|c| c == '-'));
    let start = start.map_or(0, |rule| rule + 1);
    lines[start..].join("\n") + "\n"
}

#[test]
fn the_answer_is_on_one_screen() {
    for (name, report) in incidents::all() {
        let mut shown = String::new();
        for (columns, height) in [(80, 24), (120, 40), (40, 24)] {
            let screen = first(&report, columns, height, false);
            assert!(screen.lines().count() < height, "{name}\n{screen}");
            for line in screen.lines() {
                assert!(width(line) <= columns, "{name} {columns}: {line}");
            }
            shown += &format!("=== {columns}x{height}\n{screen}");
        }
        compare(name, &shown);
    }
}

#[test]
fn colours_change_no_letter_of_the_answer() {
    for (name, report) in incidents::all() {
        let plain = first(&report, 80, 24, false);
        let mut colored = first(&report, 80, 24, true);
        if name == "busy_host" {
            compare("busy_host_in_colour", &colored.replace('\x1b', "ESC"));
        }
        for code in ["1;31m", "1;33m", "32m", "1m", "0m"] {
            colored = colored.replace(&format!("\x1b[{code}"), "");
        }
        assert_eq!(colored, plain, "{name}");
    }
}

#[test]
fn the_whole_report_of_an_incident_reads_well() {
    let all = incidents::all();
    for wanted in ["file_leak_at_emfile_in_python", "close_wait_in_workers"] {
        let (name, report) = all.iter().find(|(name, _)| *name == wanted).unwrap();
        let options = TextOptions {
            height: 24,
            ..PLAIN
        };
        compare(&format!("{name}_whole"), &written(report, &options));
    }
}

#[test]
fn the_answer_stands_first_and_last() {
    for (name, report) in incidents::all() {
        let text = written(
            &report,
            &TextOptions {
                height: 24,
                ..PLAIN
            },
        );
        let last = first(&report, 80, 24, false);
        assert!(text.starts_with(&last) || text == last, "{name}\n{text}");
        assert!(text.ends_with(&last), "{name}\n{text}");
    }
}
