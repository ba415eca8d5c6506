#![allow(clippy::unwrap_used, reason = "tests")]

use quick_xml::{Reader, events::Event};

use super::*;
use crate::{model::sample, output::formats::Stacks};

const OPTIONS: TextOptions = TextOptions {
    width: 80,
    color: false,
    top: 10,
    all: false,
    height: 24,
    each: false,
    stacks: Stacks::Folded,
    suspects_fail: false,
};

const STRICT: TextOptions = TextOptions {
    suspects_fail: true,
    ..OPTIONS
};

fn written(
    format: &crate::output::formats::Format,
    report: &Report,
    options: &TextOptions,
) -> String {
    sample::text(|out| format.write(report, options, out))
}

/// Names of the elements, with the attributes of each.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) | Event::Empty(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    (key, String::from_utf8(attribute.value.to_vec()).unwrap())
                });
                let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
                found.push((name, attributes.collect()));
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn attribute<'a>(element: &'a (String, Vec<(String, String)>), name: &str) -> Option<&'a str> {
    let mut attributes = element.1.iter();
    let found = attributes.find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

#[test]
fn a_leak_is_a_failed_test_and_a_suspect_a_skipped_one() {
    let report = sample::leaking();
    let xml = written(&junit::FORMAT, &report, &OPTIONS);
    let elements = elements(&xml);
    let suite = elements
        .iter()
        .find(|(name, _)| name == "testsuite")
        .unwrap();
    assert_eq!(attribute(suite, "tests"), Some("2"), "{xml}");
    assert_eq!(attribute(suite, "failures"), Some("1"), "{xml}");
    assert_eq!(attribute(suite, "skipped"), Some("1"), "{xml}");
    let names: Vec<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "testsuites",
            "testsuite",
            "testcase",
            "failure",
            "testcase",
            "skipped"
        ],
        "{xml}"
    );
    // The same name in the next build.
    let case = elements
        .iter()
        .find(|(name, _)| name == "testcase")
        .unwrap();
    let pid = report.findings[0].pid.to_string();
    assert!(!attribute(case, "name").unwrap().contains(&pid), "{xml}");
}

#[test]
fn a_suspect_fails_where_suspects_fail_the_build() {
    let xml = written(&junit::FORMAT, &sample::leaking(), &STRICT);
    assert!(
        xml.contains("failures=\"2\"") && xml.contains("skipped=\"0\""),
        "{xml}"
    );
    let notes = written(&github::FORMAT, &sample::leaking(), &STRICT);
    assert_eq!(notes.matches("::error ").count(), 2, "{notes}");
}

#[test]
fn where_nothing_leaks_one_test_has_passed() {
    let xml = written(&junit::FORMAT, &sample::empty(), &OPTIONS);
    let elements = elements(&xml);
    let cases: Vec<_> = elements
        .iter()
        .filter(|(name, _)| name == "testcase")
        .collect();
    assert_eq!(cases.len(), 1, "{xml}");
    assert!(!elements.iter().any(|(name, _)| name == "failure"), "{xml}");
    assert_eq!(written(&github::FORMAT, &sample::empty(), &OPTIONS), "");
}

#[test]
fn a_note_is_one_line_at_the_innermost_line_of_the_programs_own() {
    let mut report = sample::leaking();
    let frame = |symbol: &str, file: Option<&str>, line| Frame {
        symbol: symbol.to_owned(),
        file: file.map(str::to_owned),
        line,
        ..Frame::default()
    };
    let mut stack = vec![
        frame("open", Some("./io/../sysdeps/open.c"), Some(41)),
        frame(
            "fetch",
            Some("/usr/lib/python3/dist-packages/requests/api.py"),
            Some(7),
        ),
        frame("load, all: 5%", Some("/home/me/app/load,a.py"), Some(12)),
        frame("main", Some("/home/me/app/main.py"), Some(3)),
    ];
    report.findings.truncate(1);
    report.findings[0].stack = stack.clone();
    let notes = written(&github::FORMAT, &report, &OPTIONS);
    assert_eq!(notes.lines().count(), 1, "{notes}");
    assert!(
        notes.starts_with(
            "::error file=/home/me/app/load%2Ca.py,line=12,title=leak of socket in nginx%3A "
        ),
        "{notes}"
    );
    assert!(
        notes.contains("%0A  #2 load, all: 5%25 at /home/me/app/load,a.py:12"),
        "{notes}"
    );

    // Where all lines are a library's, the innermost is better than none.
    stack.truncate(2);
    report.findings[0].stack = stack;
    let notes = written(&github::FORMAT, &report, &OPTIONS);
    assert!(
        notes.contains("file=./io/../sysdeps/open.c,line=41,"),
        "{notes}"
    );

    report.findings[0].stack.clear();
    let notes = written(&github::FORMAT, &report, &OPTIONS);
    assert!(notes.starts_with("::error title="), "{notes}");
}

#[test]
fn names_from_outside_cannot_end_a_note_or_an_element() {
    let hostile = "x\n::error file=/etc/passwd::]]></failure><evil a=\"1\">\x1b[2J\u{0}%0A";
    let mut report = sample::failing();
    report.host.hostname = hostile.to_owned();
    report.health.uncovered = vec![hostile.to_owned()];
    for failure in &mut report.failures {
        failure.comm = hostile.to_owned();
        failure.meaning = hostile.to_owned();
    }
    for finding in &mut report.findings {
        finding.comm = hostile.to_owned();
        finding.kind = hostile.to_owned();
        finding.evidence = vec![hostile.to_owned()];
        finding.hint = Some(hostile.to_owned());
        for frame in &mut finding.stack {
            frame.symbol = hostile.to_owned();
            frame.file = Some(hostile.to_owned());
            frame.line = Some(1);
        }
    }
    let xml = written(&junit::FORMAT, &report, &STRICT);
    let known = [
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "system-out",
        "system-err",
    ];
    for (name, _) in elements(&xml) {
        assert!(known.contains(&name.as_str()), "{name}: {xml}");
    }
    let notes = written(&github::FORMAT, &report, &STRICT);
    assert_eq!(notes.lines().count(), 2, "{notes}");
    for text in [&xml, &notes] {
        assert!(!text.contains('\x1b') && !text.contains('\0'), "{text}");
    }
}

#[test]
fn a_part_of_a_finding_is_told_with_it() {
    let mut report = sample::leaking();
    report.findings[1].part_of = Some("socket".to_owned());
    let xml = written(&junit::FORMAT, &report, &OPTIONS);
    assert_eq!(xml.matches("<testcase ").count(), 1, "{xml}");
}
