//! A directory of tables in a format such as Parquet, partitioned by day and host in the way of Hive, which DuckDB,
//! Spark and others read as one table: `date=2026-01-02/host=web1/outstanding-*.parquet`.
//!
//! Files appear whole or not at all, with mode 0600; the same report or events written
//! again replace their files.

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io::{self, BufWriter},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

use super::{
    Output, Style,
    formats::{EventWriter, Format, StartEvents},
    shown, sync_directory, temporary,
};
use crate::{
    event::row::EventRow,
    model::{
        event_totals::EventTotals,
        file_name::expand,
        report::{Host, Report},
        time::{date, stamp, unix_nanos},
    },
};

/// Longest host name: `HOST_NAME_MAX` (include/uapi/linux/utsname.h).
const MAX_HOST: usize = 64;

/// Days whose files are written at the same time: events around midnight come in any
/// order.
const OPEN_DAYS: usize = 2;

/// Most files of one table of events. A recording that is not damaged has fewer days, and fewer jumps between them.
const MAX_FILES: usize = 400;

/// A directory that can be written.
#[derive(Debug)]
pub(super) struct Partitions {
    /// Its name is the extension of the files.
    format: &'static Format,
    root: PathBuf,
}

impl Partitions {
    /// Makes the directory where there is none, and finds out whether it can be written.
    ///
    /// # Errors
    ///
    /// Where it cannot, or is something else than a directory.
    fn open(format: &'static Format, root: &Path) -> anyhow::Result<Partitions> {
        if root.exists() && !root.is_dir() {
            bail!(
                "cannot write tables to {}: it is not a directory; name one with -o",
                shown(root)
            );
        }
        make(root)?;
        // The file is removed again at once: it only proves that one can be made.
        temporary(root).with_context(|| format!("cannot write into {}", shown(root)))?;
        Ok(Partitions {
            format,
            root: root.to_owned(),
        })
    }

    /// Opens what `--output` names, with its `%` fields filled in.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and where it names no directory.
    pub(super) fn named(
        format: &'static Format,
        path: Option<&Path>,
        host: &str,
    ) -> anyhow::Result<Partitions> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            bail!(
                "{} is written to a directory: name it with -o DIRECTORY",
                format.name
            );
        };
        let now = SystemTime::now();
        let root = PathBuf::from(expand(path.as_os_str(), host, std::process::id(), now));
        Partitions::open(format, &root)
    }

    /// Writes the findings of a report.
    ///
    /// # Errors
    ///
    /// Where the place is full or fails.
    pub(super) fn write(&self, report: &Report, style: Style) -> anyhow::Result<()> {
        let end = unix_nanos(&report.window.end).unwrap_or(0);
        let directory = self.partition(end, &report.host.hostname)?;
        let path = directory.join(format!("outstanding-{}.{}", stamp(end), self.format.name));
        Output::file(&path)?.write_document(self.format, report, style)
    }

    /// Begins a table of the events of a host.
    pub(super) fn events(self, start: StartEvents, host: Host) -> EventFiles {
        EventFiles {
            partitions: self,
            start,
            host,
            open: BTreeMap::new(),
            files: 0,
        }
    }

    /// The directory of a day and host, made where there is none.
    fn partition(&self, unix_nanos: i64, hostname: &str) -> anyhow::Result<PathBuf> {
        let date = format!("date={}", date(unix_nanos));
        let host = format!("host={}", component(hostname));
        let directory = self.root.join(date).join(host);
        make(&directory)?;
        Ok(directory)
    }
}

/// Events on their way into files, one for each day. The file of a day appears when the day is over, the others at
/// [`finish`](Self::finish).
pub(super) struct EventFiles {
    partitions: Partitions,
    start: StartEvents,
    host: Host,
    /// By day.
    open: BTreeMap<String, EventFile>,
    files: usize,
}

struct EventFile {
    path: PathBuf,
    file: NamedTempFile,
    writer: Box<dyn EventWriter>,
}

impl EventFiles {
    /// Takes an event. `totals` are those so far.
    ///
    /// # Errors
    ///
    /// Where the place is full or fails, or the events jump between days without end.
    pub(super) fn push(&mut self, row: EventRow, totals: &EventTotals) -> anyhow::Result<()> {
        let day = date(row.ts_ns);
        if !self.open.contains_key(&day) {
            if self.open.len() == OPEN_DAYS
                && let Some((_, oldest)) = self.open.pop_first()
            {
                oldest.finish(totals)?;
            }
            let file = self.create(row.ts_ns)?;
            self.open.insert(day.clone(), file);
        }
        let file = self.open.get_mut(&day).expect("it is there or was made");
        file.writer
            .push(row)
            .with_context(|| format!("cannot write events to {}", shown(&file.path)))
    }

    /// Completes all files.
    ///
    /// # Errors
    ///
    /// Where the place is full or fails.
    pub(super) fn finish(self, totals: &EventTotals) -> anyhow::Result<()> {
        let mut files = self.open.into_values();
        files.try_for_each(|file| file.finish(totals))
    }

    fn create(&mut self, first: i64) -> anyhow::Result<EventFile> {
        if self.files == MAX_FILES {
            bail!(
                "the times of these events jump: {MAX_FILES} files were written; is the recording damaged?"
            );
        }
        let directory = self.partitions.partition(first, &self.host.hostname)?;
        let extension = self.partitions.format.name;
        let name = format!("events-{}-{}.{extension}", stamp(first), self.files);
        let path = directory.join(name);
        self.files += 1;
        let file =
            temporary(&directory).with_context(|| format!("cannot make {}", shown(&path)))?;
        // The writer has a descriptor of its own; this one is kept to give the file its name.
        let start = || {
            (self.start)(
                &self.host,
                Box::new(BufWriter::new(file.as_file().try_clone()?)),
            )
        };
        let writer = start().with_context(|| format!("cannot write events to {}", shown(&path)))?;
        Ok(EventFile { path, file, writer })
    }
}

impl EventFile {
    fn finish(self, totals: &EventTotals) -> anyhow::Result<()> {
        let path = self.path;
        let finish = || -> io::Result<()> {
            self.writer.finish(totals)?;
            self.file.as_file().sync_all()?;
            self.file.persist(&path).map_err(|error| error.error)?;
            sync_directory(&path)
        };
        finish().with_context(|| format!("cannot write events to {}", shown(&path)))
    }
}

/// Makes a directory and those above it. Only the owner may read them, as the files in them.
fn make(directory: &Path) -> anyhow::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make the directory {}", shown(directory)))
}

/// A host's name as one part of a path. Any other character than a letter, digit, `-`, `_` or `.` becomes a percent sign
/// and two digits, which readers of partitions decode.
fn component(hostname: &str) -> String {
    if hostname.is_empty() {
        return "unknown".to_owned();
    }
    hostname
        .bytes()
        .take(MAX_HOST)
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;
    use crate::{
        event::sample::CALENDAR,
        model::sample::{self},
    };
    use proptest::prelude::*;

    fn format() -> &'static Format {
        crate::output::formats::named("parquet").unwrap()
    }

    /// Files below a directory, by their paths in it.
    fn files(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![root.to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let path = path.strip_prefix(root).unwrap();
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_report_goes_to_its_day_and_host_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("new/tables");
        let partitions = Partitions::open(format(), &root).unwrap();
        for _ in 0..2 {
            partitions
                .write(&sample::leaking(), Style::default())
                .unwrap();
        }
        assert_eq!(
            files(&root),
            ["date=2026-01-02/host=web1/outstanding-20260102T030415.000000000.parquet"]
        );
    }

    #[test]
    fn events_go_to_their_days_also_around_midnight() {
        const DAY: i64 = 86_400_000_000_000;
        let directory = tempfile::tempdir().unwrap();
        let partitions = Partitions::open(format(), directory.path()).unwrap();
        let mut table = partitions.events(format().events.unwrap(), sample::empty().host);
        let noon = CALENDAR.monotonic_zero;
        for day in [0, 1, 0, 1, 2, 1] {
            let row = EventRow {
                event: "exited",
                ts_ns: noon + day * DAY,
                ..EventRow::default()
            };
            table.push(row, &EventTotals::default()).unwrap();
        }
        table.finish(&EventTotals::default()).unwrap();
        assert_eq!(
            files(directory.path()),
            [0, 1, 2].map(|day| format!(
                "date=2026-01-0{}/host=web1/events-2026010{}T030405.000000000-{day}.parquet",
                day + 2,
                day + 2
            ))
        );
    }

    #[test]
    fn events_that_jump_for_ever_are_an_error() {
        const DAY: i64 = 86_400_000_000_000;
        let directory = tempfile::tempdir().unwrap();
        let partitions = Partitions::open(format(), directory.path()).unwrap();
        let mut table = partitions.events(format().events.unwrap(), sample::empty().host);
        table.files = MAX_FILES - 5;
        let mut rows = (0_i64..).map(|day| EventRow {
            event: "exited",
            ts_ns: day * DAY,
            ..EventRow::default()
        });
        let error = rows
            .find_map(|row| table.push(row, &EventTotals::default()).err())
            .unwrap();
        assert!(error.to_string().contains("jump"), "{error}");
    }

    #[test]
    fn a_file_is_no_place_for_tables() {
        let file = NamedTempFile::new().unwrap();
        let error = Partitions::open(format(), file.path()).unwrap_err();
        assert!(error.to_string().contains("not a directory"), "{error}");
    }

    #[test]
    fn a_host_name_is_one_harmless_part_of_a_path() {
        for (name, shown) in [
            ("web1.example.org", "web1.example.org"),
            ("../../etc", "..%2F..%2Fetc"),
            ("a=b c", "a%3Db%20c"),
            ("", "unknown"),
        ] {
            assert_eq!(component(name), shown, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_host_name_leaves_the_partition(name in any::<String>()) {
            let name = component(&name);
            prop_assert!(name.len() <= 3 * MAX_HOST && !name.is_empty());
            prop_assert!(name.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
        }
    }
}
