//! Processes that are full, and what they hold: nothing else in a report tells of what was acquired before the trace
//! and does not grow.

use std::io;

use super::finding::{counted_by, owner};
use crate::{
    model::{
        escape::{escape, shorten_middle, width},
        report::{Full, FullGroup, Report},
    },
    output::formats::text::{
        amounts::counted,
        names,
        page::{Ink, Page},
    },
};

/// Groups of a process that are shown at most.
const GROUPS: usize = 6;

pub(super) fn write(report: &Report, top: usize, page: &mut Page) -> io::Result<()> {
    let all = &report.full;
    for full in all.iter().take(top) {
        page.blank()?;
        write_one(report, full, page)?;
    }
    match all.len().saturating_sub(top) {
        0 => Ok(()),
        left => {
            let left = counted(
                left as u64,
                "more process is full",
                "more processes are full",
            );
            page.blank()?;
            page.paragraph(0, &format!("... and {left} (-n shows more)"))
        }
    }
}

fn write_one(report: &Report, full: &Full, page: &mut Page) -> io::Result<()> {
    let refused = match full.refused {
        0 => String::new(),
        times => format!(", and {} refused", counted(times, "more was", "more were")),
    };
    let of = match full.scope.as_str() {
        "" => String::new(),
        scope => format!(" of {}", owner(scope)),
    };
    let headline = format!(
        " {}: {} of {} {}{of} are in use ({}){refused}",
        names::heading(report, (full.pid, full.start_time), &full.comm),
        full.used,
        full.limit,
        counted_by(&full.resource).unwrap_or("units"),
        escape(&full.resource)
    );
    page.headline(Ink::Leak, "FULL", &headline)?;
    let shown = &full.groups[..full.groups.len().min(GROUPS)];
    let widest = |of: &dyn Fn(&FullGroup) -> String| shown.iter().map(|g| width(&of(g))).max();
    let count = widest(&|group| group.count.to_string()).unwrap_or(0);
    let kind = widest(&|group| escape(&group.kind)).unwrap_or(0);
    for group in shown {
        let name = escape(&group.kind);
        let start = format!(
            "    {:>count$}  {name}{:pad$}  ",
            group.count,
            "",
            pad = kind - width(&name)
        );
        let end = [&group.state, &group.oldest]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| format!("  {}", escape(part)))
            .collect::<String>();
        let room = page.width().saturating_sub(width(&start) + width(&end));
        let what = shorten_middle(&escape(&group.what), room.max(8));
        let line = format!("{start}{what}{end}");
        page.line(&shorten_middle(line.trim_end(), page.width()))?;
    }
    let told = shown
        .iter()
        .fold(0_u64, |sum, group| sum.saturating_add(group.count));
    match full.used.saturating_sub(told) {
        0 => Ok(()),
        left => page.fitted(&format!("    ... and {left} more")),
    }
}
