//! Exit codes, as the help documents them.

/// Success; without `--fail-on` also if there are findings.
pub const FINE: u8 = 0;
/// An error.
pub const ERROR: u8 = 1;
/// Wrong usage. clap uses this number too.
pub const USAGE: u8 = 2;
/// Leaks were found, and `--fail-on` makes that a failure.
pub const LEAKS: u8 = 3;
/// The kernel lacks something that is needed.
pub const KERNEL: u8 = 4;
/// A privilege is missing.
pub const PRIVILEGE: u8 = 5;
