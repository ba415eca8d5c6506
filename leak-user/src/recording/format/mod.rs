//! The capture file: what a trace learned, in the order in which it learned it. Pure:
//! bytes go to a [`Write`](std::io::Write) and come from a [`Read`](std::io::Read), no
//! clock, no files.
//!
//! A capture is a sequence of frames, each with a CRC of its header and of its payload,
//! a number, and a link of a chain of hashes. Frames of records are segments: compressed
//! each by itself, decoded each by itself. So whatever happens to a part of the file,
//! the rest can be read, and what is missing is known. The format is described byte by
//! byte in `docs/capture.md`.

mod damage;
mod events;
mod fields;
mod frame;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod hot;
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
pub use index::{Entry, Index};
pub use reader::{Item, Reader};
pub use segment::{Encoder, MAX_RECORD, Segment, TooLong};
pub use verify::{Verified, verify};
pub use writer::{Finished, LEVEL, WriteError, Writer};
