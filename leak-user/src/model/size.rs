//! Sizes, as people write them.

use std::str::FromStr;

/// A number with an optional unit of 1024, its square or its cube, such as `512`, `64K` or `2GiB`.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|unit: char| !unit.is_ascii_digit());
    let factor: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    u64::from_str(digits).ok()?.checked_mul(factor)
}
