//! The bytes of a recording's file: what a trace learned, in the order in which it
//! learned it. Pure: bytes go to a [`Write`](std::io::Write) and come from a
//! [`Read`](std::io::Read) that the caller opened. There is no clock here and no path;
//! [`writer`](super::writer) and [`reader`](super::reader) have those.
//!
//! A file is a sequence of frames. Each has a CRC of its header and one of its payload,
//! a number, and a link of a chain of hashes. A frame of records is a segment, which is
//! compressed and decoded by itself. So damage costs the segment that it hits: all
//! others can be read, and how much is missing is known. For example, one flipped bit in
//! the third of five segments loses the records of the third. The format is described
//! byte by byte in `docs/capture.md`.
//!
//! From the outside in: [`Writer`] and [`Reader`] have whole files, `frames` and `frame`
//! the frames, [`Encoder`] (`segment`) and `records` the segments, `compact`, `events`
//! and `inputs` the records, `fields` and `wire` what is in a record. An event or input
//! that is added must be given its record in `events::put` or `inputs::put`, which match
//! without `_`, and a number in `kinds`; tests see that it is read again.

mod compact;
mod damage;
mod events;
mod fields;
mod frame;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod index;
mod inputs;
mod kinds;
mod reader;
mod records;
mod segment;
mod verify;
mod window;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use damage::{Cause, Damage, ReadError, Unknown};
pub use frame::{Chain, MARKER, MAX_RAW, MAX_STORED, Version, hexadecimal};
pub use index::{Index, IndexEntry};
pub use reader::{Item, Reader};
pub use segment::{Encoder, MAX_RECORD, Segment, TooLong};
pub use verify::{Verified, verify};
pub use writer::{Finished, LEVEL, WriteError, Writer};
