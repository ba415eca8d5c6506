//! Who holds what, when processes and threads share, come and go.

mod processes;
mod races;
