//! Writes what differs for people: a summary, then each site that tells something, with its stack.

use std::io;

use super::{
    super::Stacks,
    TextOptions,
    amounts::{bytes, counted, duration, growth, rest},
    frames,
    page::{Ink, Page},
};
use crate::model::{
    diff::{Amounts, Change, Counts, Diff, Origin, Site},
    escape::escape,
    report::Verdict,
    time::to_the_second,
};

/// Writes what differs.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(diff: &Diff, options: &TextOptions, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(out, options.width, options.color);
    headline(diff, &mut page)?;
    page.paragraph(0, &format!("base: {}", origin(&diff.base)))?;
    page.paragraph(0, &format!("new:  {}", origin(&diff.new)))?;
    doubts(diff, &mut page)?;
    let tells = |site: &&Site| {
        options.all || site.change != Change::Same && site.worst() != Verdict::Steady
    };
    let shown: Vec<&Site> = diff.sites.iter().filter(tells).collect();
    for site in shown.iter().take(options.top) {
        page.blank()?;
        write_site(site, &mut page)?;
    }
    let left = shown.len().saturating_sub(options.top);
    let quiet = diff.sites.len() - shown.len();
    if left > 0 || quiet > 0 {
        page.blank()?;
    }
    if left > 0 {
        let left = counted(left as u64, "more site", "more sites");
        page.paragraph(0, &format!("... and {left} (-n shows more)"))?;
    }
    if quiet > 0 {
        page.paragraph(0, &format!("{} (--all shows them).", not_shown(diff)))?;
    }
    Ok(())
}

/// The sites that are the same, and those that are steady in both reports.
fn not_shown(diff: &Diff) -> String {
    let changed = diff.sites.iter().filter(|site| site.change != Change::Same);
    let steady = changed
        .filter(|site| site.worst() == Verdict::Steady)
        .count() as u64;
    let same = counted(diff.counts.same, "site is the same", "sites are the same");
    match (diff.counts.same, steady) {
        (_, 0) => format!("{same} and not shown"),
        (0, _) => format!(
            "{} not shown",
            counted(
                steady,
                "steady site changed and is",
                "steady sites changed and are"
            )
        ),
        (_, _) => format!(
            "{same}, and {} not shown",
            counted(steady, "steady site changed:", "steady sites changed:")
        ),
    }
}

fn headline(diff: &Diff, page: &mut Page) -> io::Result<()> {
    let Counts {
        new,
        grew,
        shrank,
        gone,
        ..
    } = diff.counts;
    let (ink, label) = match diff.worst_news() {
        Some(Verdict::Leak) => (Ink::Leak, "More leaks"),
        Some(Verdict::Suspect) => (Ink::Suspect, "More suspects"),
        Some(Verdict::Steady) | None if new + grew + shrank + gone == 0 => {
            (Ink::Fine, "No difference")
        }
        Some(Verdict::Steady) | None => (Ink::Fine, "Nothing worse"),
    };
    let same = diff.counts.same;
    page.headline(
        ink,
        label,
        &format!(
            ": of the sites {new} new, {grew} grew, {shrank} shrank, {gone} gone, {same} the same."
        ),
    )
}

fn origin(origin: &Origin) -> String {
    format!(
        "{}, {} until {}; {}",
        escape(&origin.host.hostname),
        duration(origin.window.seconds),
        escape(&to_the_second(&origin.window.end)),
        counted(origin.findings, "finding", "findings"),
    )
}

/// What makes the comparison less sure.
fn doubts(diff: &Diff, page: &mut Page) -> io::Result<()> {
    for (name, origin) in [("base", &diff.base), ("new", &diff.new)] {
        if origin.lost > 0 {
            let text = format!(
                " {}: a site may be missing there.",
                counted(origin.lost, "record was lost", "records were lost")
            );
            page.headline(Ink::Suspect, &format!("{name}:"), &text)?;
        }
        if origin.events == 0 {
            page.headline(
                Ink::Suspect,
                &format!("{name}:"),
                " nothing was seen there.",
            )?;
        }
    }
    let (base, new) = (diff.base.window.seconds, diff.new.window.seconds);
    if base > 2.0 * new || new > 2.0 * base {
        page.headline(
            Ink::Suspect,
            "The windows differ much:",
            " a shorter one sees fewer sites, and is less sure of them.",
        )?;
    }
    Ok(())
}

fn write_site(site: &Site, page: &mut Page) -> io::Result<()> {
    let (ink, label) = match site.change {
        Change::New => (ink(site.worst()), "NEW"),
        Change::Grew => (ink(site.worst()), "GREW"),
        Change::Shrank => (Ink::Fine, "SHRANK"),
        Change::Gone => (Ink::Fine, "GONE"),
        Change::Same => (Ink::Bold, "SAME"),
    };
    let text = format!(
        " {} in {}: {}",
        escape(&site.kind),
        escape(&site.program),
        verdicts(site)
    );
    page.headline(ink, label, &text)?;
    if let Some(error) = &site.refused {
        let text = format!(
            "no better for holding less: the kernel refused it more ({})",
            escape(error)
        );
        page.paragraph(4, &text)?;
    }
    for (name, amounts) in [("base", &site.base), ("new ", &site.new)] {
        if let Some(amounts) = amounts {
            page.hanging(4, 10, &format!("{name}  {}", numbers(amounts)))?;
        }
    }
    if let Some(hint) = site.hint.as_ref().filter(|_| site.is_news()) {
        page.paragraph(4, &format!("hint: {}", escape(hint)))?;
    }
    if site.stack.is_empty() {
        page.paragraph(4, "no stack: the acquisition, or its stack, was not seen")
    } else {
        page.line("    acquired at")?;
        frames::write(&site.stack, Stacks::Full, page)
    }
}

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Leak => Ink::Leak,
        Verdict::Suspect => Ink::Suspect,
        Verdict::Steady => Ink::Bold,
    }
}

fn verdicts(site: &Site) -> String {
    match (&site.base, &site.new) {
        (Some(base), Some(new)) if base.verdict != new.verdict => {
            format!("{} -> {}", word(base.verdict), word(new.verdict))
        }
        _ => word(site.worst()).to_owned(),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Leak => "leak",
        Verdict::Suspect => "suspect",
        Verdict::Steady => "steady",
    }
}

fn numbers(amounts: &Amounts) -> String {
    let mut text = format!("{} of {} held", amounts.outstanding, amounts.acquired);
    if amounts.bytes > 0 {
        text += &format!(" ({})", bytes(amounts.bytes));
    }
    text += &rest(amounts.young, amounts.unaccounted);
    text += ", ";
    text += growth(amounts.growth_per_second)
        .as_deref()
        .unwrap_or("not growing");
    text += &format!(
        ", {} acquired",
        growth(amounts.acquired_per_second).map_or("0/s".to_owned(), |rate| rate[1..].to_owned())
    );
    if amounts.findings > 1 {
        text += &format!(", summed over {} findings", amounts.findings);
    }
    text
}

#[cfg(test)]
mod tests;
