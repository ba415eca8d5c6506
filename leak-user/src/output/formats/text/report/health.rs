//! How far the report can be trusted: what was lost, corrected or not seen.

use std::io;

use crate::{
    model::{
        escape::escape,
        loss::{meaning_of_end, meaning_of_loss, meaning_of_losses},
        report::{Health, Report, Suppressed},
        time::to_the_second,
    },
    output::formats::text::{
        amounts::{counted, duration},
        page::{Ink, Page},
    },
};

/// Reasons of suppressions that are shown at most.
const REASONS: usize = 10;

/// What weakens the result so much that it belongs beside it.
pub(super) fn doubt(health: &Health, nothing_found: bool, page: &mut Page) -> io::Result<()> {
    if health.events == 0 {
        let (label, rest) = match nothing_found {
            true => (
                "Nothing was seen:",
                " not one acquisition or release, so this says nothing about leaks.",
            ),
            false => (
                "Nothing happened:",
                " not one acquisition or release, so what is found is from before the trace.",
            ),
        };
        page.headline(Ink::Suspect, label, rest)?;
    }
    if health.lost > 0 {
        let records = counted(health.lost, "record was", "records were");
        let meaning = if nothing_found {
            "a leak may have gone unseen."
        } else {
            "see below what that means."
        };
        page.headline(
            Ink::Suspect,
            &format!("{records} lost:"),
            &format!(" {meaning}"),
        )?;
    }
    Ok(())
}

pub(super) fn write(report: &Report, page: &mut Page) -> io::Result<()> {
    let (host, window, health) = (&report.host, &report.window, &report.health);
    page.blank()?;
    page.paragraph(
        0,
        &format!(
            "{}, Linux {} {}, {} until {}; {} seen.",
            escape(&host.hostname),
            escape(&host.kernel),
            escape(&host.arch),
            duration(window.seconds),
            escape(&to_the_second(&window.end)),
            counted(health.events, "event", "events"),
        ),
    )?;
    suppressed(&report.suppressed, page)?;
    loss(health, page)?;
    let notes = [
        (
            health.reconciled,
            "resource was dropped because /proc did not show it any more.",
            "resources were dropped because /proc did not show them any more.",
        ),
        (
            health.adopted,
            "resource was found in /proc without its acquisition; it has no stack.",
            "resources were found in /proc without their acquisition; they have no stack.",
        ),
        (
            health.stacks_truncated,
            "stack ends before its outermost frame.",
            "stacks end before their outermost frame.",
        ),
    ];
    for (count, one, many) in notes {
        if count > 0 {
            page.paragraph(0, &counted(count, one, many))?;
        }
    }
    for (reason, count) in &health.stacks_truncated_by_reason {
        let text = match meaning_of_end(reason) {
            Some(meaning) => format!("- {reason} {count}: {meaning}"),
            None => format!("- {} {count}", escape(reason)),
        };
        page.paragraph(2, &text)?;
    }
    if !health.uncovered.is_empty() {
        page.line("Not covered:")?;
        for sentence in &health.uncovered {
            page.paragraph(2, &format!("- {}", escape(sentence)))?;
        }
    }
    Ok(())
}

/// Findings that the report does not show, by the reason given.
fn suppressed(suppressed: &[Suppressed], page: &mut Page) -> io::Result<()> {
    let findings = |count| counted(count, "finding is", "findings are");
    let sum = |of: fn(&Suppressed) -> u64| {
        let counts = suppressed.iter().map(of);
        counts.fold(0, |sum: u64, count| sum.saturating_add(count))
    };
    let all = sum(|one| one.findings);
    if all == 0 {
        return Ok(());
    }
    page.paragraph(
        0,
        &format!(
            "{} suppressed, with {} outstanding:",
            findings(all),
            counted(sum(|one| one.outstanding), "resource", "resources")
        ),
    )?;
    for one in suppressed.iter().take(REASONS) {
        let origin = if one.built_in { " (built in)" } else { "" };
        page.paragraph(
            2,
            &format!("- {} {}{origin}", one.findings, escape(&one.why)),
        )?;
    }
    match suppressed.len().saturating_sub(REASONS) {
        0 => Ok(()),
        left => page.paragraph(
            2,
            &format!(
                "... and {}",
                counted(left as u64, "more reason", "more reasons")
            ),
        ),
    }
}

fn loss(health: &Health, page: &mut Page) -> io::Result<()> {
    let causes = health.lost_by_cause.iter().filter(|(_, count)| **count > 0);
    if health.lost == 0 && causes.clone().count() == 0 {
        return page.line("Nothing was lost.");
    }
    let records = counted(health.lost, "record", "records");
    let meaning = meaning_of_losses(causes.clone().map(|(cause, _)| cause.as_str()));
    page.paragraph(0, &format!("Lost {records}. {meaning}"))?;
    for (cause, count) in causes {
        let text = match meaning_of_loss(cause) {
            Some(meaning) => format!("- {cause} {count}: {meaning}"),
            None => format!("- {} {count}", escape(cause)),
        };
        page.paragraph(2, &text)?;
    }
    Ok(())
}
