//! Limits that processes share and will have used up: of the host, of control groups.

use std::io;

use super::finding::owner;
use crate::{
    model::{
        escape::escape,
        report::{Report, SharedLimit},
    },
    output::formats::text::{
        amounts::{bytes, counted, duration, growth},
        page::Page,
    },
};

/// Whether a limit concerns what was traced: it is the host's, or a process of the report is below it.
pub(super) fn concerns(report: &Report, limit: &SharedLimit) -> bool {
    if !limit.scope.starts_with('/') && !limit.scope.starts_with("user:") {
        return true;
    }
    report.processes.is_empty()
        || report.processes.iter().any(|process| {
            let within = process.cgroup.strip_prefix(limit.scope.as_str());
            process.cgroup.is_empty()
                || within.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || process.limits.iter().any(|own| own.scope == limit.scope)
        })
}

pub(super) fn write(report: &Report, top: usize, page: &mut Page) -> io::Result<()> {
    let mut ending: Vec<(f64, &SharedLimit)> = report
        .shared_limits
        .iter()
        .filter(|limit| concerns(report, limit))
        .filter_map(|limit| Some((limit.exhaustion_seconds?, limit)))
        .collect();
    if ending.is_empty() {
        return Ok(());
    }
    ending.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    page.blank()?;
    page.paragraph(0, "Shared limits that will be reached at this pace")?;
    for (seconds, limit) in ending.iter().take(top) {
        page.paragraph(2, &line(limit, *seconds))?;
    }
    match ending.len().saturating_sub(top) {
        0 => Ok(()),
        left => {
            let left = counted(left as u64, "more", "more");
            page.paragraph(2, &format!("... and {left}"))
        }
    }
}

fn line(limit: &SharedLimit, seconds: f64) -> String {
    let amount = |number: u64| match limit.resource.as_str() {
        "memory" => bytes(number),
        _ => number.to_string(),
    };
    let pace = match limit.resource.as_str() {
        "memory" if limit.growth_per_second >= 1.0 => {
            format!(", +{}/s", bytes(limit.growth_per_second as u64))
        }
        _ => growth(limit.growth_per_second).map_or(String::new(), |pace| format!(", {pace}")),
    };
    let of = owner(&limit.scope);
    let full = match seconds {
        0.0 => "full".to_owned(),
        seconds => format!("full in {}", duration(seconds)),
    };
    format!(
        "{} of {of}: {} of {} used{pace}, {full}",
        escape(&limit.resource),
        amount(limit.used),
        amount(limit.limit)
    )
}
