//! Amounts as people read them.

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Seconds as `250ms`, `3.2s`, `45s`, `3m 20s`, `2h 5m` or `3d 4h`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds.is_nan() || seconds < 0.0 {
        return "?".to_owned();
    }
    // Each step by what the number will look like: 9.96 is 10s, not 10.0s.
    if seconds < 0.9995 {
        return format!("{:.0}ms", seconds * 1e3);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64; // Saturates.
    let (large, small) = match whole {
        ..MINUTE => return format!("{whole}s"),
        MINUTE..HOUR => ((MINUTE, "m"), (1, "s")),
        HOUR..DAY => ((HOUR, "h"), (MINUTE, "m")),
        _ if whole > 365 * DAY => return "over a year".to_owned(),
        _ => ((DAY, "d"), (HOUR, "h")),
    };
    let rest = whole % large.0 / small.0;
    match rest {
        0 => format!("{}{}", whole / large.0, large.1),
        _ => format!("{}{} {rest}{}", whole / large.0, large.1, small.1),
    }
}

/// Bytes as `4096 B` or `12.3 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 10 * 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Growth in the unit that gives a number one can read; `None` where there is none.
pub(in crate::output::formats) fn growth(per_second: f64) -> Option<String> {
    let (value, unit) = match per_second {
        rate if rate >= 1.0 => (rate, "s"),
        rate if rate * 60.0 >= 1.0 => (rate * 60.0, "min"),
        rate if rate * 3600.0 >= 0.05 => (rate * 3600.0, "h"),
        _ => return None,
    };
    if value < 9.95 {
        Some(format!("+{value:.1}/{unit}"))
    } else {
        Some(format!("+{value:.0}/{unit}"))
    }
}

/// What is neither held nor released: how much of it is too young to count, and how much is not
/// known.
pub(in crate::output::formats) fn rest(young: u64, unaccounted: u64) -> String {
    let mut text = String::new();
    if young > 0 {
        text += &format!(", {young} too young to count");
    }
    if unaccounted > 0 {
        text += &format!(", {unaccounted} unaccounted for");
    }
    text
}

/// A number with its noun.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        for (seconds, shown) in [
            (0.0, "0ms"),
            (0.25, "250ms"),
            (0.9999, "1.0s"),
            (3.21, "3.2s"),
            (9.96, "10s"),
            (59.4, "59s"),
            (59.6, "1m"),
            (200.0, "3m 20s"),
            (3600.0, "1h"),
            (7530.0, "2h 5m"),
            (273_600.0, "3d 4h"),
            (1e9, "over a year"),
            (f64::INFINITY, "over a year"),
            (f64::NAN, "?"),
            (-1.0, "?"),
        ] {
            assert_eq!(duration(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (count, shown) in [
            (4096, "4096 B"),
            (10 * 1024, "10.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (12_897_485, "12.3 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
        }
    }

    #[test]
    fn slow_growth_is_told_per_minute_or_hour() {
        for (rate, shown) in [
            (120.4, Some("+120/s")),
            (4.12, Some("+4.1/s")),
            (0.5, Some("+30/min")),
            (0.001, Some("+3.6/h")),
            (0.0, None),
            (-2.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(growth(rate).as_deref(), shown, "{rate}");
        }
    }
}
