//! The report and its writers, one per format. All of it is pure: a report and
//! options go in, bytes come out.

pub mod diff;
pub mod doctor;
pub mod flamegraph;
pub mod folded;
pub mod html;
pub mod json;
pub mod jsonl;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod perfetto;
pub mod pprof;
pub mod text;

pub use doctor::DoctorReport;
pub use text::TextOptions;
