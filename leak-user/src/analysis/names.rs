//! How a report writes names, times and counts.

use std::collections::BTreeMap;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Wall;
use crate::{
    ledger::Counts,
    model::{
        report::Point,
        time::{Nanos, seconds},
    },
};

/// A name as the kernel keeps it, without its padding.
pub(super) fn text(comm: &[u8; 16]) -> String {
    let end = comm
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

/// What there is any of, by the names of kinds.
pub(super) fn by_name(counts: &Counts) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(kind, count)| (kind.name().to_owned(), count))
        .collect()
}

/// A history as seconds from `start`; what was before it is left out. It ends with the
/// exit of its process, and with what was held then, if that is given.
pub(super) fn points(
    history: &[(Nanos, u64)],
    start: Nanos,
    at_exit: Option<(Nanos, u64)>,
) -> Vec<Point> {
    let before = |time: Nanos| at_exit.is_none_or(|(exit, _)| time < exit);
    let history = history.iter().filter(|(time, _)| before(*time));
    history
        .chain(&at_exit)
        .filter(|(time, _)| *time >= start)
        .map(|&(time, outstanding)| Point {
            seconds: seconds(time - start),
            outstanding,
        })
        .collect()
}

/// A time as RFC 3339 in UTC; empty where it has no date.
pub(super) fn rfc3339(wall: Wall) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(wall))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_what_is_gone_ends_with_its_exit() {
        let ends = |history: &[(Nanos, u64)], at_exit| {
            let points = points(history, 1_000_000_000, at_exit);
            let points = points.iter().map(|p| (p.seconds, p.outstanding));
            points.collect::<Vec<_>>()
        };
        let sampled = [(0, 1), (2_000_000_000, 5), (4_000_000_000, 0)];
        assert_eq!(ends(&sampled, None), [(1.0, 5), (3.0, 0)]);
        assert_eq!(
            ends(&sampled, Some((3_000_000_000, 7))),
            [(1.0, 5), (2.0, 7)]
        );
        assert_eq!(ends(&[], Some((3_000_000_000, 7))), [(2.0, 7)]);
        assert_eq!(ends(&[], Some((0, 7))), []);
    }

    #[test]
    fn a_full_name_has_no_padding() {
        assert_eq!(text(b"nginx\0\0\0\0\0\0\0\0\0\0\0"), "nginx");
        assert_eq!(text(&[b'x'; 16]), "x".repeat(16));
    }

    #[test]
    fn a_wall_time_reads_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.5Z");
        assert!(!rfc3339(u64::MAX).is_empty());
    }
}
