//! Where batches of records come from.

mod ring;

pub use ring::RingReader;
