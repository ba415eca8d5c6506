//! The formats that `-f` chooses from: each is a file or a folder here with a [`Format`] in it, and a line in
//! [`FORMATS`]. The command line's values, their help and all writing come from that list.
//!
//! A format is pure: what it writes goes in, bytes come out. It knows no files, clock or environment;
//! [`output`](crate::output) opens the places that the bytes go to.

mod ci;
mod flamegraph;
mod folded;
mod html;
pub mod json;
mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;
mod pprof;
mod text;

use std::{fmt, io};

use crate::{
    event::row::EventRow,
    model::{
        diff::Diff,
        doctor::{Check, DoctorReport},
        event_totals::EventTotals,
        report::{Host, Report},
    },
};

/// All formats, in the order in which the help shows them. The first is the default.
pub static FORMATS: &[&Format] = &[
    &text::FORMAT,
    &json::FORMAT,
    &jsonl::FORMAT,
    &folded::FORMAT,
    &flamegraph::FORMAT,
    &pprof::FORMAT,
    &perfetto::FORMAT,
    &html::FORMAT,
    &ci::junit::FORMAT,
    &ci::github::FORMAT,
    #[cfg(feature = "parquet")]
    &parquet::FORMAT,
];

/// Names of formats that this program was built without, so that a message can say how to get them.
pub const NOT_BUILT: &[&str] = &[
    #[cfg(not(feature = "parquet"))]
    "parquet",
];

/// A format: its name, where it can go, and what it can hold.
pub struct Format {
    /// As `-f` takes it.
    pub name: &'static str,
    pub medium: Medium,
    /// Whether it shows only the worst of a report: as many findings as `-n` says, without those that are steady and
    /// young. All other formats have every finding.
    pub is_selective: bool,
    /// How it writes a report, a comparison, and the doctor's checks; `None` where it does not.
    pub report: Option<Writer<Report>>,
    pub diff: Option<Writer<Diff>>,
    pub doctor: Option<Writer<DoctorReport>>,
    /// How it writes the doctor's checks while they are made; `None` where it writes only the whole.
    pub checks: Option<ChecksWriter>,
    /// How it writes single events while they come; `None` where it does not.
    pub events: Option<StartEvents>,
}

/// What a format is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// It is text: it can go to a file, a pipe or a terminal.
    Text,
    /// It is text that a program shows, such as a browser: on a terminal it is of no use, and goes there only if `-o -`
    /// says so.
    Page,
    /// It is binary: it can go to a file or a pipe. A terminal would take some of its bytes for commands.
    Binary,
    /// It is many binary files in a directory, which `-o` must name.
    Directory,
}

/// How a format writes a whole document.
pub struct Writer<T> {
    /// One line for the help.
    pub help: &'static str,
    pub write: fn(&T, &TextOptions, &mut dyn io::Write) -> io::Result<()>,
}

/// Writes the doctor's checks one by one. Together it is what the [`Writer`] of the whole writes.
pub struct ChecksWriter {
    pub check: fn(&Check, &TextOptions, &mut dyn io::Write) -> io::Result<()>,
    /// What comes of all of them.
    pub result: fn(&DoctorReport, &TextOptions, &mut dyn io::Write) -> io::Result<()>,
}

/// Begins to write the events of a host.
pub type StartEvents =
    for<'a> fn(&Host, Box<dyn io::Write + Send + 'a>) -> io::Result<Box<dyn EventWriter + 'a>>;

/// Events on their way to one place. What was written is complete only after [`finish`](Self::finish).
pub trait EventWriter {
    /// Takes the next event.
    ///
    /// # Errors
    ///
    /// Those of the place.
    fn push(&mut self, row: EventRow) -> io::Result<()>;

    /// Passes on what can be read so far, for people who watch: the next event may take a while.
    ///
    /// # Errors
    ///
    /// Those of the place.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes the end. `totals` are those of all events, as far as they are known.
    ///
    /// # Errors
    ///
    /// Those of the place.
    fn finish(self: Box<Self>, totals: &EventTotals) -> io::Result<()>;
}

/// How to write for people and build servers; other formats do not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of the terminal; fewer than 40 or more than 120 are not used.
    pub width: usize,
    /// Lines of the terminal. The answer takes no more, and stands at the end again where the rest is longer.
    pub height: usize,
    /// Whether to colour.
    pub color: bool,
    /// Findings, processes or sites to show at most.
    pub top: usize,
    /// Whether to show what is steady too, and of a comparison what is the same.
    pub all: bool,
    /// For build servers: whether a suspect fails the build as a leak does.
    pub suspects_fail: bool,
    /// Whether to show each finding of a problem, and not only the one that tells most.
    pub each: bool,
    /// How much of a stack to show.
    pub stacks: Stacks,
}

impl Default for TextOptions {
    fn default() -> TextOptions {
        TextOptions {
            width: 80,
            height: 24,
            color: false,
            top: 10,
            all: false,
            suspects_fail: false,
            each: false,
            stacks: Stacks::default(),
        }
    }
}

/// How much of a stack to show in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stacks {
    /// The frames that a person can change, and the one that acquires.
    Short,
    /// These, and how many frames of what are between them.
    #[default]
    Folded,
    /// Every frame.
    Full,
}

/// What is written as a whole.
pub trait Document: Sized + 'static {
    /// How a format writes it; `None` where it does not.
    fn writer(format: &Format) -> Option<&Writer<Self>>;
}

impl Document for Report {
    fn writer(format: &Format) -> Option<&Writer<Report>> {
        format.report.as_ref()
    }
}

impl Document for Diff {
    fn writer(format: &Format) -> Option<&Writer<Diff>> {
        format.diff.as_ref()
    }
}

impl Document for DoctorReport {
    fn writer(format: &Format) -> Option<&Writer<DoctorReport>> {
        format.doctor.as_ref()
    }
}

/// The format of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|format| format.name == name)
}

impl Format {
    /// A format of text that has everything, and writes nothing yet.
    const fn new(name: &'static str) -> Format {
        Format {
            name,
            medium: Medium::Text,
            is_selective: false,
            report: None,
            diff: None,
            doctor: None,
            checks: None,
            events: None,
        }
    }

    /// Writes a document.
    ///
    /// # Errors
    ///
    /// Those of `out`, and where the format does not write such documents.
    pub fn write<T: Document>(
        &self,
        document: &T,
        options: &TextOptions,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        match T::writer(self) {
            Some(writer) => (writer.write)(document, options, out),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{} has no form for this", self.name),
            )),
        }
    }
}

/// Names tell formats apart.
impl PartialEq for Format {
    fn eq(&self, other: &Format) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_format_has_a_name_of_its_own_and_writes_reports() {
        let names: BTreeSet<&str> = FORMATS.iter().map(|format| format.name).collect();
        assert_eq!(names.len(), FORMATS.len());
        for format in FORMATS {
            assert_eq!(named(format.name), Some(*format));
            assert!(format.report.is_some(), "{format:?}");
        }
    }

    #[test]
    fn what_goes_to_a_directory_is_reports_and_events_alone() {
        for format in FORMATS {
            let whole = format.diff.is_some() || format.doctor.is_some();
            assert!(
                format.medium != Medium::Directory || !whole,
                "{format:?} has no place there for a comparison"
            );
        }
    }

    #[test]
    fn a_document_without_a_form_is_an_error() {
        let folded = named("folded").expect("it is in the list");
        let diff = Diff::between(&Report::default(), &Report::default());
        let options = TextOptions::default();
        let error = folded.write(&diff, &options, &mut Vec::new());
        let error = error.expect_err("there is no such form");
        assert_eq!(error.to_string(), "folded has no form for this");
    }
}
