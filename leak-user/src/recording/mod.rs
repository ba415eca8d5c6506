//! Recordings: what is in the file ([`mod@format`]), what writes it beside a trace
//! ([`writer`]), and what makes a report or a list of events of it ([`reader`]).
//!
//! # Terms
//!
//! | term | what it is |
//! |---|---|
//! | recording | what one trace learned: the [inputs](crate::analysis::Input) of the analysis, in their order |
//! | part | one file of a recording, or as much as would be one while the past is kept in memory. It begins with all that was known, so that it can be read without the parts before it. Without `--rotate` a recording has one part |
//! | frame | a piece of the file with a checksum and a number of its own: a beginning, a segment or the end. A frame of a *stack* is [`model::report::Frame`](crate::model::report::Frame) |
//! | segment | the records of one frame. They are compressed together, and need nothing from other segments |
//! | record | one input as it stands in a segment |
//! | compact record | the record of an acquisition or a release: a few bytes, by far the most frequent |
//! | fragment | a slice of a record that is too long for one segment |
//! | capture | the file of a recording. An old word: it is left in the names that others rely on (`docs/capture.md`, the causes `capture_damaged` and `capture_unknown` of a report, the benchmark), and is not used for anything new |
//!
//! A record of the kernel's ring is another thing: [`kernel::decode`](crate::kernel::decode)
//! makes events of those, and a recording has the events.

pub mod format;
pub mod reader;
pub mod writer;
