//! What a recording keeps, and what becomes of it when its file is damaged.
#![allow(clippy::unwrap_used, reason = "tests")]

mod damaged;
mod golden;
mod hostile;
mod made;
mod round_trip;
mod written;
