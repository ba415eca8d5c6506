//! Times: nanoseconds of the kernel's clock, and the calendar's. RFC 3339 in the model, nanoseconds since 1970 in
//! formats for machines.

use std::time::Duration;

use leak_common::ProcessId;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub type Nanos = u64;

/// A time's length in seconds.
#[must_use]
pub fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// When a process began, in nanoseconds since boot. Ticks are hundredths of a second
/// (`USER_HZ`); time that the machine slept makes a process seem younger.
#[must_use]
pub fn born(process: ProcessId) -> Nanos {
    u64::from(process.start_ticks()).saturating_mul(10_000_000)
}

/// A time in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After its start.
    After(Duration),
    /// Nanoseconds since the Unix epoch.
    Wall(u64),
}

/// Nanoseconds since 1970; `None` where the text is no RFC 3339 time, or one that does
/// not fit (before 1677, after 2262).
#[must_use]
pub fn unix_nanos(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

/// The time as RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(unix_nanos: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanos))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// An RFC 3339 time without its fraction of a second, for people; other text as it is.
#[must_use]
pub fn to_the_second(text: &str) -> String {
    match OffsetDateTime::parse(text, &Rfc3339).map(|time| time.replace_nanosecond(0)) {
        Ok(Ok(time)) => time.format(&Rfc3339).unwrap_or_else(|_| text.to_owned()),
        Ok(Err(_)) | Err(_) => text.to_owned(),
    }
}

/// The day as `2026-01-02`, UTC.
#[must_use]
pub fn date(unix_nanos: i64) -> String {
    let text = rfc3339(unix_nanos);
    let (date, _) = text.split_once('T').unwrap_or_default();
    date.to_owned()
}

/// The time as part of a file name: `20260102T030405.000000006`, UTC.
#[must_use]
pub fn stamp(unix_nanos: i64) -> String {
    let second = rfc3339(unix_nanos - unix_nanos.rem_euclid(SECOND));
    let digits: String = second.chars().filter(|c| !"-:Z".contains(*c)).collect();
    format!("{digits}.{:09}", unix_nanos.rem_euclid(SECOND))
}

const SECOND: i64 = 1_000_000_000;

/// How the kernel's monotonic clock relates to the calendar: its zero in nanoseconds
/// since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    pub monotonic_zero: i64,
}

impl Calendar {
    /// A time of an event, in nanoseconds since 1970.
    #[must_use]
    pub fn unix_nanos(self, time: crate::model::time::Nanos) -> i64 {
        self.monotonic_zero.saturating_add_unsigned(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let nanos = unix_nanos("2026-01-02T04:04:05.25+01:00");
        assert_eq!(nanos, Some(1_767_323_045_250_000_000));
        let nanos = nanos.unwrap_or(0);
        assert_eq!(rfc3339(nanos), "2026-01-02T03:04:05.25Z");
        assert_eq!(date(nanos), "2026-01-02");
        assert_eq!(stamp(nanos + 6), "20260102T030405.250000006");
        assert_eq!(
            to_the_second("2026-01-02T03:04:05.999Z"),
            "2026-01-02T03:04:05Z"
        );
        assert_eq!(to_the_second("soon.5"), "soon.5");
        assert_eq!(stamp(-1), "19691231T235959.999999999");
        for text in ["", "yesterday", "9999-01-01T00:00:00Z"] {
            assert_eq!(unix_nanos(text), None, "{text}");
        }
    }

    #[test]
    fn every_time_of_the_monotonic_clock_has_a_date() {
        let calendar = Calendar {
            monotonic_zero: 1_767_323_045_000_000_000,
        };
        assert_eq!(calendar.unix_nanos(1), 1_767_323_045_000_000_001);
        assert!(!rfc3339(calendar.unix_nanos(u64::MAX)).is_empty());
        assert!(!rfc3339(i64::MIN).is_empty());
    }
}
