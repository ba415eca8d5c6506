//! What a trace covers: which processes, and from when on.

mod baseline;
mod filters;
mod full;
