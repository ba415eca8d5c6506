//! What is read from `/proc`.

mod sharing;
