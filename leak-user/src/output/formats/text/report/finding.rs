//! One finding: headline, evidence, stack, examples.

use std::io;

use super::failures::holders;
use crate::{
    model::{
        escape::{escape, shorten_end, shorten_middle, width},
        report::{Example, Finding, Holder, Limit, Process, Report, Socket, Verdict},
    },
    output::formats::{
        TextOptions,
        text::{
            amounts::{bytes, duration, growth, rest},
            frames, names,
            page::{Ink, Page},
        },
    },
};

/// Examples that are shown at most.
const EXAMPLES: usize = 3;

/// Other holders of an example that are shown at most.
const HOLDERS: usize = 3;

/// Writes a finding. `number` is that of its problem on the first screen.
pub(super) fn write(
    report: &Report,
    finding: &Finding,
    number: Option<usize>,
    options: &TextOptions,
    page: &mut Page,
) -> io::Result<()> {
    let process = report.process_of(finding);
    let (ink, label) = verdict(finding.verdict);
    let headline = format!(
        " {} in {}: {}",
        escape(&finding.kind),
        names::heading(report, (finding.pid, finding.start_time), &finding.comm),
        numbers(finding, process)
    );
    let label = match number {
        Some(number) => format!("{number}. {label}"),
        None => label.to_owned(),
    };
    page.headline(ink, &label, &headline)?;
    for sentence in &finding.evidence {
        page.paragraph(4, &format!("- {}", escape(sentence)))?;
    }
    if let Some(more) = &finding.waits_for {
        page.paragraph(4, &format!("waits for: {}", escape(more)))?;
    }
    if let Some(hint) = &finding.hint {
        page.paragraph(4, &format!("hint: {}", escape(hint)))?;
    }
    if finding.stack.is_empty() {
        page.paragraph(4, "no stack: the acquisition, or its stack, was not seen")?;
    } else {
        page.line("    acquired at")?;
        frames::write(&finding.stack, options.stacks, page)?;
    }
    if !finding.last_user.is_empty() {
        page.line("    last used at")?;
        frames::write(&finding.last_user, options.stacks, page)?;
    }
    examples(finding, page)
}

/// How a verdict is called and coloured.
pub(super) fn verdict(verdict: Verdict) -> (Ink, &'static str) {
    match verdict {
        Verdict::Leak => (Ink::Leak, "LEAK"),
        Verdict::Suspect => (Ink::Suspect, "SUSPECT"),
        Verdict::Steady => (Ink::Fine, "STEADY"),
    }
}

/// How many, how fast, since when, and which limit is hit.
fn numbers(finding: &Finding, process: Option<&Process>) -> String {
    let exited = process.is_some_and(|process| process.exited);
    let held = if exited { "held at exit" } else { "held" };
    let mut text = match (finding.acquired, finding.preexisting) {
        // Acquired before the trace, or out of its sight.
        (0, _) => format!("{} {held}", finding.outstanding),
        (acquired, 0) => format!("{} of {acquired} {held}", finding.outstanding),
        (_, before) => format!(
            "{} {held} ({before} from before the trace)",
            finding.outstanding
        ),
    };
    if finding.bytes > 0 {
        text += &format!(" ({})", bytes(finding.bytes));
    }
    text += &rest(finding.young, finding.unaccounted);
    text += ", ";
    text += &match growth(finding.growth_per_second) {
        Some(pace) if finding.rule == "watches" => format!("{pace} watches"),
        Some(pace) => pace,
        None => "not growing".to_owned(),
    };
    text += &format!(", oldest {}", duration(finding.oldest_age_seconds));
    if let Some(seconds) = finding.exhaustion_seconds.filter(|_| !exited) {
        let limit = process.and_then(|process| limit_of(finding, process));
        text += &format!("; {}", limit_reached(limit, seconds));
    }
    text + &format!("; confidence {:.0}%", finding.confidence * 100.0)
}

/// The limit of its process that a finding runs into.
pub(super) fn limit_of<'a>(finding: &Finding, process: &'a Process) -> Option<&'a Limit> {
    let mut limits = process.limits.iter();
    limits.find(|limit| limit.resource == finding.limit)
}

/// Which limit is reached and when. Of one that a process shares, its own number tells nothing:
/// so it is told whose it is and how much of it is used.
fn limit_reached(limit: Option<&Limit>, seconds: f64) -> String {
    let Some(limit) = limit else {
        return match seconds {
            0.0 => "its limit is reached".to_owned(),
            seconds => format!("hits its limit in {}", duration(seconds)),
        };
    };
    let name = escape(&limit.resource);
    if limit.scope.is_empty() {
        return match seconds {
            0.0 => format!("limit {name} ({}) is reached", limit.soft),
            seconds => format!(
                "hits limit {name} ({}) in {}",
                limit.soft,
                duration(seconds)
            ),
        };
    }
    let of = owner(&limit.scope);
    let full = match seconds {
        0.0 => "full".to_owned(),
        seconds => format!("full in {}", duration(seconds)),
    };
    let counted = counted_by(&limit.resource).map_or_else(
        || format!("limit {name}"),
        |counted| format!("{counted} ({name})"),
    );
    format!(
        "{counted} of {of}: {} of {}, {full}",
        limit.used, limit.soft
    )
}

/// Whose a limit is that is shared.
pub(super) fn owner(scope: &str) -> String {
    match scope {
        "host" => "the host".to_owned(),
        scope => escape(scope).replacen("user:", "user ", 1),
    }
}

/// What a limit counts, in plain words.
pub(super) fn counted_by(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "inotify.max_user_instances" => "inotify instances",
        "inotify.max_user_watches" => "inotify watches",
        "pty.max" => "pseudo terminals",
        "shmmni" => "shared memory segments",
        "nproc" | "pids" | "threads-max" | "pid_max" => "processes and threads",
        "file-max" => "open files",
        "nofile" => "descriptors",
        "max_map_count" => "mappings",
        "keys.maxkeys" => "keys",
        "keys.maxbytes" => "bytes of keys",
        "sigpending" => "queued signals and timers",
        _ => return None,
    })
}

fn examples(finding: &Finding, page: &mut Page) -> io::Result<()> {
    let shown: Vec<([String; 3], &[Holder])> = finding
        .examples
        .iter()
        .take(EXAMPLES)
        .map(|example| {
            let cells = [
                shorten_end(&escape(&example.handle), 36.min(page.width() / 2 - 8)),
                duration(example.age_seconds),
                describe(example),
            ];
            (cells, example.held_by.as_slice())
        })
        .collect();
    if shown.is_empty() {
        return Ok(());
    }
    page.line("    held")?;
    let widest = |column: usize| shown.iter().map(|(row, _)| width(&row[column])).max();
    let (handle, age) = (widest(0).unwrap_or(0), widest(1).unwrap_or(0));
    for ([name, held, description], others) in &shown {
        let start = format!(
            "      {name}{:pad$}  {held:>age$}  ",
            "",
            pad = handle - width(name)
        );
        let room = page.width().saturating_sub(width(&start));
        let line = format!("{start}{}", shorten_middle(description, room));
        page.line(&shorten_end(&line, page.width()))?;
        if !others.is_empty() {
            let others = holders(others, HOLDERS);
            page.paragraph(8, &format!("also held by {others}"))?;
        }
    }
    match finding.outstanding.saturating_sub(shown.len() as u64) {
        0 => Ok(()),
        left => page.fitted(&format!("      ... and {left} more")),
    }
}

/// What an example is: its socket, or what else is known.
fn describe(example: &Example) -> String {
    escape(&match &example.socket {
        Some(socket) => addresses(socket, &example.description),
        None => example.description.clone(),
    })
}

fn addresses(socket: &Socket, description: &str) -> String {
    let ends = match (socket.local.as_str(), socket.peer.as_str()) {
        // Then the description says all there is.
        ("", "") if !description.is_empty() => return description.to_owned(),
        ("", "") => String::new(),
        (local, "") => local.to_owned(),
        ("", peer) => format!("-> {peer}"),
        (local, peer) => format!("{local} -> {peer}"),
    };
    [socket.family.as_str(), ends.as_str(), socket.state.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
