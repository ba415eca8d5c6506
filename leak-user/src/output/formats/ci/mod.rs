//! What a build server shows of a report: test results that it counts ([`junit`]), and notes beside the lines of a
//! change ([`github`]). Both tell of leaks and suspects, each with the line that acquired what leaks.

pub(super) mod github;
pub(super) mod junit;

use crate::{
    model::{
        escape::escape,
        report::{Finding, Frame, Report, Verdict},
    },
    output::formats::{
        TextOptions,
        text::amounts::{growth, rest},
    },
};

/// Frames of a stack that are shown at most. A build's log is no place for more.
const FRAMES: usize = 12;

/// A finding that a build is told of.
struct Notice<'a> {
    finding: &'a Finding,
    /// Whether the build fails of it.
    fails: bool,
}

/// Leaks and suspects, worst first. What is a part of another finding is told there.
fn notices<'a>(report: &'a Report, options: &TextOptions) -> Vec<Notice<'a>> {
    let all = report.findings.iter();
    all.filter(|finding| finding.part_of.is_none())
        .filter_map(|finding| {
            let fails = match finding.verdict {
                Verdict::Leak => true,
                Verdict::Suspect => options.suspects_fail,
                Verdict::Steady => return None,
            };
            Some(Notice { finding, fails })
        })
        .collect()
}

impl Notice<'_> {
    fn verdict(&self) -> &'static str {
        match self.finding.verdict {
            Verdict::Leak => "leak",
            Verdict::Suspect => "suspect",
            Verdict::Steady => "steady",
        }
    }

    /// One line: what, how many and how fast.
    fn title(&self) -> String {
        let finding = self.finding;
        let growth = growth(finding.growth_per_second).map_or(String::new(), |g| format!(", {g}"));
        format!(
            "{} of {} in {}: {} held{}{growth}",
            self.verdict(),
            escape(&finding.kind),
            escape(&finding.comm),
            finding.outstanding,
            rest(finding.young, finding.unaccounted),
        )
    }

    /// Evidence, hint and stack, a line each.
    fn lines(&self) -> Vec<String> {
        let finding = self.finding;
        let mut lines: Vec<String> = finding.evidence.iter().map(|line| escape(line)).collect();
        let told = |what: &str, text: &Option<String>| {
            text.as_ref()
                .map(|text| format!("{what}: {}", escape(text)))
        };
        lines.extend(told("waits for", &finding.waits_for));
        lines.extend(told("hint", &finding.hint));
        if finding.stack.is_empty() {
            lines.push("no stack: the acquisition, or its stack, was not seen".to_owned());
            return lines;
        }
        lines.push("acquired at:".to_owned());
        let frames = finding.stack.iter().enumerate().take(FRAMES);
        lines.extend(frames.map(|(number, frame)| format!("  #{number} {}", described(frame))));
        if let left @ 1.. = finding.stack.len().saturating_sub(FRAMES) {
            lines.push(format!("  ... {left} more"));
        }
        lines
    }

    /// The line to look at, of the frame to look at.
    fn line(&self) -> Option<Line<'_>> {
        self.frame().and_then(Line::of)
    }

    /// The function to look at; `None` without a stack.
    fn function(&self) -> Option<String> {
        self.frame().map(|frame| escape(&frame.name()))
    }

    /// The innermost frame of the program's own, else the innermost with a line, else the innermost.
    fn frame(&self) -> Option<&Frame> {
        let stack = &self.finding.stack;
        let own = |frame: &&Frame| Line::of(frame).is_some_and(|line| !line.is_library());
        let lined = |frame: &&Frame| Line::of(frame).is_some();
        let mut frames = stack.iter();
        frames
            .find(own)
            .or_else(|| stack.iter().find(lined))
            .or_else(|| stack.first())
    }
}

/// Function, place and module.
fn described(frame: &Frame) -> String {
    let place = match Line::of(frame) {
        Some(line) => format!(" at {}:{}", escape(line.file), line.number),
        None if frame.module.is_empty() => String::new(),
        None => format!(" in {}", escape(frame.module_name())),
    };
    format!("{}{place}", escape(&frame.name()))
}

/// A line of a source file.
struct Line<'a> {
    file: &'a str,
    number: u32,
}

impl<'a> Line<'a> {
    fn of(frame: &'a Frame) -> Option<Line<'a>> {
        let (file, number) = (frame.file.as_deref()?, frame.line?);
        Some(Line { file, number })
    }
}

impl Line<'_> {
    /// Whether it is of a library or a runtime: installed by a package, or built elsewhere.
    fn is_library(&self) -> bool {
        // The C library's files are named from the directory where its distribution built it.
        !self.file.starts_with('/') && self.file.starts_with("./")
            || ["/usr/", "/lib/", "/rustc/", "/build/"]
                .iter()
                .any(|start| self.file.starts_with(start))
            || ["/site-packages/", "/node_modules/", "/.cargo/registry/"]
                .iter()
                .any(|part| self.file.contains(part))
    }
}

#[cfg(test)]
mod tests;
