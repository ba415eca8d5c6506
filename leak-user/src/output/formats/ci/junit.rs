//! Test results in JUnit's XML, which build servers read (Jenkins, GitLab, Azure, Buildkite; there is no standard, only
//! the form that all of them take: github.com/testmoapp/junitxml).
//!
//! Each leak is a test that failed. Its name has no pid and no number, so that a server sees the same leak in the next
//! build. A suspect is a test that was skipped, or one that failed where suspects fail the build. Where nothing leaks,
//! one test has passed: some servers take a file without tests for an error.

use std::io;

use quick_xml::{
    Writer as Xml,
    events::{BytesDecl, BytesText, Event},
};

use super::{Notice, notices};
use crate::{
    model::{escape::escape, report::Report},
    output::formats::{Format, TextOptions, Writer},
};

pub(in crate::output::formats) static FORMAT: Format = Format {
    report: Some(Writer {
        help: "Test results for build servers, JUnit's XML: a leak is a test that failed",
        write,
    }),
    ..Format::new("junit")
};

fn write(report: &Report, options: &TextOptions, out: &mut dyn io::Write) -> io::Result<()> {
    let notices = notices(report, options);
    let failed = notices.iter().filter(|notice| notice.fails).count();
    let counts = [
        ("tests", notices.len().max(1).to_string()),
        ("failures", failed.to_string()),
        ("errors", "0".to_owned()),
        ("skipped", (notices.len() - failed).to_string()),
        ("time", format!("{:.3}", report.window.seconds)),
    ];
    let counts = || counts.iter().map(|(name, value)| (*name, value.as_str()));
    let host = escape(&report.host.hostname);
    let start = escape(&report.window.start);

    let mut xml = Xml::new_with_indent(&mut *out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites")
        .with_attribute(("name", "leaktrace"))
        .with_attributes(counts())
        .write_inner_content(|xml| {
            xml.create_element("testsuite")
                .with_attribute(("name", "leaktrace"))
                .with_attributes(counts())
                .with_attribute(("timestamp", start.as_str()))
                .with_attribute(("hostname", host.as_str()))
                .write_inner_content(|xml| suite(report, &notices, xml))?;
            Ok(())
        })?;
    writeln!(out)
}

fn suite<W: io::Write>(report: &Report, notices: &[Notice], xml: &mut Xml<W>) -> io::Result<()> {
    for notice in notices {
        case(notice, xml)?;
    }
    if notices.is_empty() {
        xml.create_element("testcase")
            .with_attribute(("classname", "leaktrace"))
            .with_attribute(("name", "nothing leaks"))
            .write_empty()?;
    }
    let refused = failures(report);
    if !refused.is_empty() {
        text("system-out", &refused.join("\n"), xml)?;
    }
    if !report.health.uncovered.is_empty() {
        text("system-err", &escaped(&report.health.uncovered), xml)?;
    }
    Ok(())
}

fn case<W: io::Write>(notice: &Notice, xml: &mut Xml<W>) -> io::Result<()> {
    let finding = notice.finding;
    let class = format!("leaktrace.{}", escape(&finding.comm));
    let line = notice.line();
    let place = notice.function();
    let place = place.map_or("without a stack".to_owned(), |name| format!("in {name}"));
    let name = format!("{} {place}", escape(&finding.kind));
    let mut element = xml
        .create_element("testcase")
        .with_attribute(("classname", class.as_str()))
        .with_attribute(("name", name.as_str()));
    if let Some(line) = &line {
        element = element
            .with_attribute(("file", escape(line.file).as_str()))
            .with_attribute(("line", line.number.to_string().as_str()));
    }
    element.write_inner_content(|xml| {
        let title = notice.title();
        let result = match notice.fails {
            true => xml
                .create_element("failure")
                .with_attribute(("type", notice.verdict())),
            false => xml.create_element("skipped"),
        };
        let content = notice.lines().join("\n");
        result
            .with_attribute(("message", title.as_str()))
            .write_text_content(BytesText::new(&content))?;
        Ok(())
    })?;
    Ok(())
}

/// Calls that failed at a limit: no leaks by themselves, but what a leak leads to.
fn failures(report: &Report) -> Vec<String> {
    let failures = report.failures.iter();
    failures
        .map(|failure| {
            format!(
                "{} ({}): {} failed {} times with {}: {}",
                escape(&failure.comm),
                failure.pid,
                escape(&failure.call),
                failure.count,
                escape(&failure.error),
                escape(&failure.meaning),
            )
        })
        .collect()
}

fn text<W: io::Write>(element: &str, content: &str, xml: &mut Xml<W>) -> io::Result<()> {
    xml.create_element(element)
        .write_text_content(BytesText::new(content))?;
    Ok(())
}

fn escaped(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
    lines.join("\n")
}
