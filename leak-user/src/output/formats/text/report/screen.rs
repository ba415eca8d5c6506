//! The answer on one screen: what is the case, what fails, what is nearest to a limit, and a block for each problem, the
//! worst first. Each line fits the width, and all of them the height.

mod headline;
mod pressure;

use std::io;

use super::{finding, problem::Problems};
use crate::{
    model::{
        escape::{escape, shorten_end, shorten_middle, width},
        frames::place,
        problem::Problem,
        report::{Finding, Frame, Process, Report, Verdict},
    },
    output::formats::{
        TextOptions,
        text::{
            amounts::{bytes, counted, duration, growth},
            frames::shorten_function,
            names,
            page::Page,
        },
    },
};

/// Lines of a block: what, who, where.
const BLOCK: usize = 3;

/// Fewer lines than this hold no answer.
const LEAST_HEIGHT: usize = 12;

/// Writes the answer.
pub(super) fn write(
    report: &Report,
    problems: &Problems<'_>,
    options: &TextOptions,
    page: &mut Page,
) -> io::Result<()> {
    // One line is for the prompt of the shell.
    let height = options.height.max(LEAST_HEIGHT) - 1;
    let mut used = headline::write(report, problems, page)?;
    used += pressure::write(report, problems, page)?;
    let footer = footer(report, problems, options);
    // The footer, and the line that says how many are left out.
    let room = height.saturating_sub(used + 2 + footer.len());
    let all = problems.all.len();
    let fitting = match room / BLOCK {
        fitting if fitting >= all => all,
        fitting => fitting.max(1),
    }
    .min(options.top);
    if all > 0 {
        page.blank()?;
    }
    // With room to spare, blocks stand apart.
    let apart = fitting * BLOCK + fitting.saturating_sub(1) <= room;
    for (number, problem) in problems.all.iter().take(fitting).enumerate() {
        if apart && number > 0 {
            page.blank()?;
        }
        block(report, number + 1, problem, page)?;
    }
    if let left @ 1.. = all.saturating_sub(fitting) {
        let left = counted(left as u64, "more problem", "more problems");
        page.fitted(&format!("... and {left}"))?;
    }
    for line in footer {
        page.fitted(&line)?;
    }
    Ok(())
}

/// How to see more.
fn footer(report: &Report, problems: &Problems<'_>, options: &TextOptions) -> Vec<String> {
    let steady = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Steady);
    let steady = steady.count() as u64;
    let mut ways = Vec::new();
    if !problems.all.is_empty() {
        ways.extend([
            "-v".to_owned(),
            "--stack full".to_owned(),
            "-f html -o FILE".to_owned(),
        ]);
    }
    if steady > 0 && !options.all {
        let sites = counted(steady, "steady site", "steady sites");
        ways.push(format!("--all ({sites})"));
    }
    match ways.is_empty() {
        true => Vec::new(),
        false => vec![format!("More: {}", ways.join(", "))],
    }
}

/// What, who and where, a line each.
fn block(report: &Report, number: usize, problem: &Problem, page: &mut Page) -> io::Result<()> {
    let Some(first) = problem
        .findings
        .first()
        .and_then(|&at| report.findings.get(at))
    else {
        return Ok(());
    };
    let (ink, label) = finding::verdict(problem.verdict);
    let start = format!("{number}. ");
    let room = page.width().saturating_sub(width(&start) + label.len() + 1);
    let what = shorten_end(&what(report, problem, first), room);
    page.line(&format!("{start}{} {what}", page.painted(ink, label)))?;
    let room = page.width().saturating_sub(8);
    page.fitted(&format!("  who   {}", who(report, problem, first, room)))?;
    let told = problem
        .findings
        .iter()
        .filter_map(|&at| report.findings.get(at));
    let stack = told
        .map(|finding| finding.stack.as_slice())
        .find(|stack| !stack.is_empty());
    let place = match stack {
        Some(stack) => place_line(stack, page),
        None if first.acquired == 0 => "not seen: acquired before the trace".to_owned(),
        None => "not seen: no stack was taken".to_owned(),
    };
    page.line(&format!("  where {place}"))
}

/// What leaks, how many, how fast, and when it hits which limit.
fn what(report: &Report, problem: &Problem, first: &Finding) -> String {
    let process = report.process_of(first);
    let mut text = amount(problem, first) + &beside(report, problem);
    let size: u64 = problem.parts.first().map_or(0, |part| part.bytes);
    if size > 0 {
        text += &format!(" ({})", bytes(size));
    }
    let is_at_exit = process.is_some_and(|process| process.exited);
    match growth(problem.growth_per_second) {
        _ if is_at_exit => text += " held at exit",
        Some(pace) => text += &format!(", {pace}"),
        None => text += ", not growing",
    }
    // Which of its findings, and of its processes, is full first.
    let all = problem
        .findings
        .iter()
        .filter_map(|&at| report.findings.get(at));
    let mut fullest =
        all.filter(|finding| finding.exhaustion_seconds == problem.exhaustion_seconds);
    let limit = fullest.find_map(|finding| finding::limit_of(finding, report.process_of(finding)?));
    let name = limit.map_or_else(String::new, |limit| {
        format!(" ({} {})", escape(&limit.resource), limit.soft)
    });
    match problem.exhaustion_seconds {
        _ if is_at_exit => {}
        None => {}
        Some(0.0) => text += &format!(", full{name}"),
        Some(seconds) => text += &format!(", full in {}{name}", duration(seconds)),
    }
    let before: u64 = problem
        .parts
        .iter()
        .map(|part| part.preexisting)
        .fold(0, u64::saturating_add);
    if before > 0 {
        text += &format!(", {before} from before the trace");
    }
    text
}

/// How many of what: `412 sockets in CLOSE_WAIT`, `600 descriptors (pipe, eventfd)`.
fn amount(problem: &Problem, first: &Finding) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    let of_class = problem
        .parts
        .iter()
        .filter(|part| super::same_class(&part.kind, &problem.kind));
    for part in of_class {
        if !kinds.contains(&part.kind.as_str()) {
            kinds.push(&part.kind);
        }
    }
    let count = problem.outstanding;
    match kinds.as_slice() {
        [] | [_] => {
            let noun = noun(&problem.kind, count);
            match state(first) {
                Some(state) => format!("{count} {noun} in {state}"),
                None if first.rule == "zombies" => counted(count, "zombie", "zombies"),
                None => format!("{count} {noun}"),
            }
        }
        kinds => {
            let kinds: Vec<String> = kinds.iter().take(3).map(|kind| escape(kind)).collect();
            format!("{count} descriptors ({})", kinds.join(", "))
        }
    }
}

/// What else it holds that runs into another limit, as `, 90 zombies`. The memory of threads says nothing new.
fn beside(report: &Report, problem: &Problem) -> String {
    let others = problem
        .parts
        .iter()
        .filter(|part| !super::same_class(&part.kind, &problem.kind));
    let mut told = others.filter_map(|part| {
        let finding = part
            .findings
            .first()
            .and_then(|&at| report.findings.get(at))?;
        let noun = match finding.rule.as_str() {
            "zombies" => if part.outstanding == 1 {
                "zombie"
            } else {
                "zombies"
            }
            .to_owned(),
            _ => noun(&part.kind, part.outstanding),
        };
        finding
            .part_of
            .is_none()
            .then(|| format!(", {} {noun}", part.outstanding))
    });
    told.next().unwrap_or_default()
}

/// The state that all examples are in, where it says that the other end is gone.
fn state(finding: &Finding) -> Option<String> {
    let mut states = finding
        .examples
        .iter()
        .map(|example| example.socket.as_ref().map_or("", |socket| &socket.state));
    let first = states.next()?;
    (first == "CLOSE_WAIT" && states.all(|state| state == first)).then(|| escape(first))
}

/// What people call resources of a kind.
pub(super) fn noun(kind: &str, count: u64) -> String {
    let (one, many) = match kind {
        "directory" => ("directory", "directories"),
        "anon" => ("other descriptor", "other descriptors"),
        "epoll" => ("epoll descriptor", "epoll descriptors"),
        "inotify" => ("inotify descriptor", "inotify descriptors"),
        "shm" => ("shared memory segment", "shared memory segments"),
        "heap" => ("heap block", "heap blocks"),
        "process" => ("child process", "child processes"),
        kind => {
            let kind = escape(kind);
            return if count == 1 { kind } else { kind + "s" };
        }
    };
    if count == 1 { one } else { many }.to_owned()
}

/// The command line, what it belongs to and its pids, in at most `room` columns: what it belongs to gives way, then the
/// command line.
fn who(report: &Report, problem: &Problem, first: &Finding, room: usize) -> String {
    /// Columns of a command line that say who it is.
    const ENOUGH: usize = 16;
    let process: Option<&Process> = names::find(report, first.pid, first.start_time, &first.comm);
    let pids = match problem.pids.as_slice() {
        [] | [_] => format!(" pid {}", first.pid),
        [one, other] => format!(" pids {one}, {other}"),
        [one, other, rest @ ..] => format!(" pids {one}, {other} and {} more", rest.len()),
    };
    let command = names::command(process, &first.comm, room);
    let mut belongs = process.map(names::belongs).unwrap_or_default();
    loop {
        let end = match belongs.as_slice() {
            [] => pids.clone(),
            belongs => format!(" ({}){pids}", belongs.join(", ")),
        };
        let left = room.saturating_sub(width(&end));
        if left >= width(&command).min(ENOUGH) || belongs.pop().is_none() {
            return shorten_end(&command, left.max(4)) + &end;
        }
    }
}

/// The user's line and what it called, of a stack that is known. The file and line stay whole; what follows them gives
/// way.
pub(super) fn place_line(stack: &[Frame], page: &Page) -> String {
    let room = page.width().saturating_sub(8);
    let Some(place) = place::place(stack) else {
        return "code without a name".to_owned();
    };
    let own = escape(&place::line(place.own));
    let mut text = match own.split_once(' ') {
        Some((source, function)) if place::source(place.own).is_some() => {
            let left = room.saturating_sub(width(source) + 1);
            shorten_end(
                &format!("{source} {}", shorten_function(function, left)),
                room,
            )
        }
        _ => shorten_middle(&own, room),
    };
    let mut used = width(&text);
    text = page.bold(&text);
    let mut add = |word: &str, name: &str, least: usize| {
        let left = room.saturating_sub(used + word.len());
        if name.is_empty() || left < least {
            return;
        }
        let part = format!("{word}{}", shorten_function(name, left));
        used += width(&part);
        text += &part;
    };
    // A few letters of a name say nothing.
    add(" via ", &escape(place.via), 12);
    if let Some(from) = place.from {
        let from = escape(&place::line(from));
        let source = width(from.split(' ').next().unwrap_or_default());
        add(", from ", &from, source + 8);
    }
    text
}
