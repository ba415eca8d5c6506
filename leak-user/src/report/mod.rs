//! The report and its writers, one per format. All of it is pure: a report and
//! options go in, bytes come out.

pub mod doctor;
pub mod escape;
pub mod json;
pub mod model;
pub mod text;

pub use doctor::DoctorReport;
pub use model::Report;
pub use text::TextOptions;

use model::Verdict;

impl Report {
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

#[cfg(test)]
mod sample;

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
