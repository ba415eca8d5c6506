//! How single values are read. Every message says what would be right.

use std::{str::FromStr, time::Duration};

use crate::{
    model::{size::bytes, time::Moment},
    output::{
        Color,
        formats::{self, Document, FORMATS, Format, NOT_BUILT, Stacks},
    },
    recording::writer::PartLimit,
};
use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use leak_common::{Kind, KindSet};

/// The largest pid: `PID_MAX_LIMIT` (include/linux/threads.h).
const MAX_PID: u32 = 1 << 22;

/// Longest name of a process: `TASK_COMM_LEN` (include/linux/sched.h) without
/// the zero at its end.
const MAX_COMM_BYTES: usize = 15;

/// Longest duration that is accepted, so that sums of a few cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Largest ring. The kernel maps a ring twice in a row, so this takes twice the addresses.
const MAX_RING_BYTES: u64 = 1 << 30;

/// The kinds that this version traces.
pub(super) const TRACED: KindSet = KindSet::ALL.without(Kind::Heap);

/// One value of `--kinds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindChoice {
    /// All kinds that this version traces.
    All,
    One(Kind),
}

/// A parser of one value of `--kinds`; the values go into help and completions.
pub(super) fn kind() -> impl TypedValueParser<Value = KindChoice> {
    let names = std::iter::once(PossibleValue::new("all")).chain(
        // Accepted here, so that it gets a message of its own, but not offered.
        Kind::ALL.map(|kind| PossibleValue::new(kind.name()).hide(kind == Kind::Heap)),
    );
    PossibleValuesParser::new(names).try_map(|name| match Kind::from_name(&name) {
        None => Ok(KindChoice::All),
        Some(Kind::Heap) => Err("the heap is not traced in this version; leave `heap` out"),
        Some(kind) => Ok(KindChoice::One(kind)),
    })
}

/// A parser of `--format`: the formats that a document can be written in. It says what a format takes that this program
/// was built without.
pub(super) fn format<T: Document>() -> impl TypedValueParser<Value = &'static Format> {
    let offered = FORMATS.iter().filter_map(|format| {
        let help = T::writer(format)?.help;
        Some(PossibleValue::new(format.name).help(help))
    });
    let hidden = NOT_BUILT
        .iter()
        .map(|name| PossibleValue::new(*name).hide(true));
    PossibleValuesParser::new(offered.chain(hidden)).try_map(|name| {
        formats::named(&name).ok_or(
            "this leaktrace was built without it; build it with --features parquet, as \
             `cargo xtask build --release` does",
        )
    })
}

/// The values of `--color`.
impl ValueEnum for Color {
    fn value_variants<'a>() -> &'a [Color] {
        &[Color::Auto, Color::Always, Color::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Color::Auto => PossibleValue::new("auto").help("On a terminal"),
            Color::Always => PossibleValue::new("always"),
            Color::Never => PossibleValue::new("never"),
        })
    }
}

/// The values of `--stack`.
impl ValueEnum for Stacks {
    fn value_variants<'a>() -> &'a [Stacks] {
        &[Stacks::Short, Stacks::Folded, Stacks::Full]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Stacks::Short => {
                PossibleValue::new("short").help("Your frames, and the one that acquires")
            }
            Stacks::Folded => PossibleValue::new("folded")
                .help("These, and how many frames of what are between them"),
            Stacks::Full => PossibleValue::new("full").help("Every frame"),
        })
    }
}

/// The chosen kinds.
pub(super) fn kinds(choices: &[KindChoice]) -> KindSet {
    let all = choices.contains(&KindChoice::All);
    TRACED
        .iter()
        .filter(|&kind| all || choices.contains(&KindChoice::One(kind)))
        .collect()
}

pub(super) fn pid(text: &str) -> Result<u32, String> {
    match u32::from_str(text) {
        Ok(pid @ 1..=MAX_PID) => Ok(pid),
        _ => Err(format!("a process id is a number from 1 to {MAX_PID}")),
    }
}

pub(super) fn comm(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a process name is not empty".to_owned());
    }
    if text.len() > MAX_COMM_BYTES {
        return Err(format!(
            "the kernel keeps {MAX_COMM_BYTES} bytes of a process name (see /proc/PID/comm), \
             this is {}",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

/// A duration, zero included. A number alone is seconds, as for sleep(1).
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let seconds = u64::from_str(text).map(Duration::from_secs);
    let duration = seconds
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|_| "a duration is a number with a unit, such as 10s, 500ms or 2m".to_owned())?;
    if duration > MAX_DURATION {
        return Err("a duration is at most 365 days".to_owned());
    }
    Ok(duration)
}

/// A duration that is not zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match age(text)? {
        Duration::ZERO => Err("a duration of zero would see nothing".to_owned()),
        duration => Ok(duration),
    }
}

/// The ring's size: what the kernel takes is a power of two that is a multiple
/// of the page size.
pub(super) fn ring_size(text: &str) -> Result<u32, String> {
    let page = page_size();
    let bytes = bytes(text).ok_or("a size is a number of bytes, such as 16777216, 512K or 16M")?;
    if !bytes.is_power_of_two() || bytes % page != 0 || bytes > MAX_RING_BYTES {
        return Err(format!(
            "the size must be a power of two from {page} (one page) to {MAX_RING_BYTES}"
        ));
    }
    u32::try_from(bytes).map_err(|error| error.to_string())
}

/// Memory for unwind tables: it is allocated at the start, and addressed by 32 bits.
pub(super) fn stack_memory(text: &str) -> Result<u64, String> {
    match bytes(text) {
        Some(bytes @ MIN_STACK_BYTES..=MAX_STACK_BYTES) => Ok(bytes),
        Some(_) => Err("the size must be from 4M to 1G".to_owned()),
        None => Err("a size is a number of bytes, such as 33554432 or 32M".to_owned()),
    }
}

const MIN_STACK_BYTES: u64 = 4 << 20;
const MAX_STACK_BYTES: u64 = 1 << 30;

fn page_size() -> u64 {
    // SAFETY: sysconf only reads its argument.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).expect("the page size is known on Linux")
}

/// A size of a recording, or of memory for one.
pub(super) fn recording_size(text: &str) -> Result<u64, String> {
    match bytes(text) {
        Some(bytes @ MIN_RECORDING_BYTES..) => Ok(bytes),
        Some(_) => Err("the size must be at least 64K".to_owned()),
        None => Err("a size is a number of bytes, such as 512K, 64M or 2G".to_owned()),
    }
}

const MIN_RECORDING_BYTES: u64 = 64 << 10;

/// When a part of a recording is full: a size or an age.
pub(super) fn part(text: &str) -> Result<PartLimit, String> {
    // `10m` are minutes; sizes have large letters, as everywhere, or none.
    if text.ends_with(|last: char| last.is_ascii_lowercase()) {
        return match duration(text)? {
            short if short < MIN_PART => Err("the age must be at least 1s".to_owned()),
            age => Ok(PartLimit::Age(age)),
        };
    }
    recording_size(text)
        .map(PartLimit::Bytes)
        .map_err(|error| format!("{error}; or an age, such as 10m or 1h"))
}

const MIN_PART: Duration = Duration::from_secs(1);

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(after) = age(text) {
        return Ok(Moment::After(after));
    }
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .ok()
        .and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok())
        .map(Moment::Wall)
        .ok_or_else(|| {
            "a time is a duration after the start, such as 10s or 2m, or RFC 3339, such as \
             2026-01-31T12:00:00Z"
                .to_owned()
        })
}
