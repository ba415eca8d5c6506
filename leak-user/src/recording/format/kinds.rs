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
pub(super) const STACK_SAMPLE: u8 = 11;
pub(super) const UNFINISHED: u8 = 12;
pub(super) const FAILED: u8 = 13;

pub(super) const BASELINE: u8 = 32;
pub(super) const COMPARED: u8 = 33;
pub(super) const GONE: u8 = 34;
pub(super) const LOST: u8 = 35;
pub(super) const HORIZON: u8 = 36;
pub(super) const COUNTED: u8 = 37;
pub(super) const SAMPLE: u8 = 38;
pub(super) const FACTS: u8 = 39;
pub(super) const STACK: u8 = 40;
pub(super) const DESCRIBED: u8 = 41;
pub(super) const LIMITS: u8 = 42;
pub(super) const SHARED_LIMITS: u8 = 43;
pub(super) const HEALTH: u8 = 44;
pub(super) const ENDED: u8 = 45;
pub(super) const FIRST_FAILURE: u8 = 46;
pub(super) const SHARED: u8 = 47;
pub(super) const OBSERVED: u8 = 48;
pub(super) const RESTORED: u8 = 49;

// Above 127 a first byte is that of an acquisition or a release.
