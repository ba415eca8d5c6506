//! The report and its writers, one per format. All of it is pure: a report and
//! options go in, bytes come out.

pub mod diff;
pub mod doctor;
pub mod escape;
pub mod flamegraph;
pub mod folded;
pub mod handle;
pub mod html;
pub mod json;
pub mod jsonl;
pub mod model;
pub mod moment;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod perfetto;
pub mod pprof;
pub mod read;
pub mod row;
pub mod text;

pub use doctor::DoctorReport;
pub use model::Report;
pub use text::TextOptions;
pub(crate) use text::meaning_of_loss;

use model::{Finding, Frame, Process, Verdict};

impl Report {
    /// The process that a finding is about. Of those that had its pid one after the
    /// other, its start tells, or where that is not known its name.
    #[must_use]
    pub fn process_of(&self, finding: &Finding) -> Option<&Process> {
        let like = |process: &&Process| {
            process.pid == finding.pid
                && match finding.start_time {
                    0 => process.comm == finding.comm,
                    start => process.start_time == start,
                }
        };
        let of_pid = || self.processes.iter().find(|p| p.pid == finding.pid);
        self.processes.iter().find(like).or_else(of_pid)
    }

    /// Drops steady findings with nothing older than `min_age_seconds`. Leaks and
    /// suspects stay, however young.
    pub fn drop_young_steady(&mut self, min_age_seconds: f64) {
        self.findings.retain(|finding| {
            finding.verdict != Verdict::Steady || finding.oldest_age_seconds >= min_age_seconds
        });
    }

    /// The worst verdict of any finding.
    #[must_use]
    pub fn worst(&self) -> Option<Verdict> {
        self.findings.iter().map(|finding| finding.verdict).min()
    }
}

impl Frame {
    /// The function, or where it has no name, the way to find it: `libx.so+0x1a2b`, or
    /// its address.
    #[must_use]
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        if !self.symbol.is_empty() {
            return self.symbol.as_str().into();
        }
        match (&self.module_offset, self.module_name()) {
            (Some(offset), module) if !module.is_empty() => format!("{module}+{offset}").into(),
            _ => self.address.as_str().into(),
        }
    }

    /// The last part of the module's path.
    #[must_use]
    pub fn module_name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_young_steady_findings_are_dropped() {
        let mut report = sample::leaking();
        let young_leak = report.findings[0].clone();
        report.findings[0].oldest_age_seconds = 0.5;
        let before = report.findings.len();
        report.drop_young_steady(1.0);
        assert_eq!(report.findings.len(), before);
        report.drop_young_steady(1e9);
        assert!(report.findings.iter().all(|f| f.verdict != Verdict::Steady));
        assert_eq!(report.findings[0].pid, young_leak.pid);
    }

    #[test]
    fn the_worst_verdict_is_found() {
        assert_eq!(sample::leaking().worst(), Some(Verdict::Leak));
        assert_eq!(sample::empty().worst(), None);
    }
}
