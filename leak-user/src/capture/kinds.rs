//! Numbers of the records that state their length. Part of the format: never reuse
//! one.

/// A part of a record that is longer than a segment.
pub(super) const PART: u8 = 1;

pub(super) const SITE: u8 = 2;
pub(super) const RANGE_RELEASED: u8 = 3;
pub(super) const REMAPPED: u8 = 4;
pub(super) const FORKED: u8 = 5;
pub(super) const EXECUTED: u8 = 6;
pub(super) const EXITED: u8 = 7;
pub(super) const UNCOVERED: u8 = 8;
pub(super) const CODE_MAPPED: u8 = 9;
pub(super) const INTERPRETED: u8 = 10;
pub(super) const SNAPSHOT: u8 = 11;
pub(super) const UNFINISHED: u8 = 12;
pub(super) const FAILED: u8 = 13;

/// From here on: what is no event.
pub(super) const FIRST_OTHER: u8 = 32;
/// Above this a first byte is that of an acquisition or a release.
pub(super) const LAST: u8 = 127;
