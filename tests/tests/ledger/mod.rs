//! Who holds what, when processes and threads share, come and go.

mod amounts;
mod processes;
mod races;
