//! The table of processes: what each holds, and the limit it is nearest to.

use std::{cmp::Reverse, collections::BTreeMap, io};

use super::problem::Problems;
use crate::{
    model::{
        escape::{escape, shorten_end, width},
        problem::Problem,
        report::{Limit, Process, Report},
    },
    output::formats::text::{
        amounts::{bytes, counted, duration},
        names,
        page::{Page, wrap},
    },
};

/// Columns of pid and name, and between columns.
const PID: usize = 7;
const COMM: usize = 16;
const GAP: usize = 2;

/// Columns below which a table has no room.
const NARROW: usize = 64;

/// A space at which a cell is not wrapped: a no-break space until it is written.
const UNBROKEN: char = '\u{a0}';

pub(super) fn write(
    report: &Report,
    problems: &Problems<'_>,
    top: usize,
    page: &mut Page,
) -> io::Result<()> {
    if report.processes.is_empty() && report.exited_programs.is_empty() {
        return Ok(());
    }
    let concerned = |process: &Process| {
        let of = |problem: &Problem| problem.pids.contains(&process.pid);
        problems.all.iter().any(of)
            || report
                .failures
                .iter()
                .any(|failure| failure.pid == process.pid)
    };
    // What exited and is part of no problem left nothing that a person has to look at.
    let (mut processes, gone): (Vec<&Process>, Vec<&Process>) = report
        .processes
        .iter()
        .partition(|process| !process.exited || concerned(process));
    processes.sort_by(|a, b| {
        nearness(report, a)
            .total_cmp(&nearness(report, b))
            .then_with(|| {
                let held =
                    |process: &Process| (sum(&process.outstanding), sum(&process.preexisting));
                held(b).cmp(&held(a)).then(a.pid.cmp(&b.pid))
            })
    });
    page.blank()?;
    if !processes.is_empty() {
        page.paragraph(0, "Processes (BEFORE: held since before the trace)")?;
        row(
            &["PID", "COMMAND", "HELD", "BEFORE", "NEAREST LIMIT"].map(str::to_owned),
            page,
        )?;
    }
    for process in processes.iter().take(top) {
        row(&cells(process), page)?;
    }
    if let left @ 1.. = processes.len().saturating_sub(top) {
        let left = counted(left as u64, "more process", "more processes");
        page.paragraph(0, &format!("... and {left}"))?;
    }
    let folded = report
        .exited_programs
        .iter()
        .map(|program| program.processes);
    let gone_before: u64 = folded.fold(0, u64::saturating_add);
    match gone_before.saturating_add(gone.len() as u64) {
        0 => Ok(()),
        count => {
            let exited = counted(count, "process exited", "processes exited");
            page.paragraph(
                0,
                &format!(
                    "{exited} and left nothing of importance{}.",
                    names_of(report, &gone)
                ),
            )
        }
    }
}

/// Names of processes that are told at most.
const NAMES: usize = 5;

/// What most of the processes are called: `: 40 git, 3 sh`.
fn names_of(report: &Report, processes: &[&Process]) -> String {
    let folded = report.exited_programs.iter();
    let mut counts: BTreeMap<&str, u64> = folded
        .map(|program| (program.comm.as_str(), program.processes))
        .collect();
    for process in processes {
        *counts.entry(process.comm.as_str()).or_default() += 1;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|&(name, count)| (Reverse(count), name));
    let list: Vec<String> = counts
        .iter()
        .take(NAMES)
        .map(|(name, count)| format!("{count} {}", escape(name)))
        .collect();
    let more = if counts.len() > NAMES { ", ..." } else { "" };
    format!(": {}{more}", list.join(", "))
}

/// How soon a process is at a limit: those that will be first by when, then by the share that is left, then those that
/// exited.
fn nearness(report: &Report, process: &Process) -> f64 {
    /// More than any time to a limit, in seconds.
    const NEVER: f64 = 1e15;
    if process.exited {
        return 4.0 * NEVER;
    }
    let growth: f64 = report
        .findings
        .iter()
        .filter(|finding| (finding.pid, finding.start_time) == (process.pid, process.start_time))
        .map(|finding| finding.growth_per_second.max(0.0))
        .sum();
    match nearest(&process.limits) {
        Some(limit) => match limit.exhaustion_seconds {
            Some(seconds) => seconds.min(NEVER),
            None => {
                let share = (limit.used as f64 / limit.soft.max(1) as f64).min(1.0);
                // Of equal shares, what grows comes first.
                NEVER * (2.0 - share) - growth.min(1e9)
            }
        },
        None => 3.0 * NEVER - growth.min(1e9),
    }
}

fn cells(process: &Process) -> [String; 5] {
    let mut held = kinds(&process.outstanding, usize::MAX);
    if process.exited {
        held += " at exit";
    }
    let limit = if process.exited {
        "exited".to_owned()
    } else {
        nearest(&process.limits).map_or("-".to_owned(), limit)
    };
    [
        process.pid.to_string(),
        names::command(Some(process), &process.comm, 2 * COMM),
        held,
        before(&process.preexisting),
        limit,
    ]
}

/// The kinds of which there are most, with their numbers.
fn kinds(counts: &BTreeMap<String, u64>, most: usize) -> String {
    let mut held: Vec<(&String, &u64)> = counts.iter().collect();
    held.retain(|(_, count)| **count > 0);
    held.sort_by_key(|(_, count)| Reverse(**count));
    let mut list: Vec<String> = held
        .iter()
        .take(most)
        .map(|(kind, count)| format!("{count}{UNBROKEN}{}", escape(kind)))
        .collect();
    let rest = held
        .iter()
        .skip(most)
        .fold(0_u64, |sum, (_, count)| sum.saturating_add(**count));
    if rest > 0 {
        list.push(format!("{rest}{UNBROKEN}more"));
    }
    match list.as_slice() {
        [] => "-".to_owned(),
        list => list.join(", "),
    }
}

/// What is from before the trace: the two kinds of which there is most.
fn before(counts: &BTreeMap<String, u64>) -> String {
    kinds(counts, 2)
}

/// The limit that is hit first, or of which the largest share is used. Those of the host and of
/// an IPC name space are the same for all, and told apart where they come near.
pub(super) fn nearest(limits: &[Limit]) -> Option<&Limit> {
    let is_for_all = |scope: &str| scope == "host" || scope.starts_with("ipcns:");
    let key = |limit: &Limit| {
        let free = 1.0 - limit.used as f64 / limit.soft.max(1) as f64;
        (limit.exhaustion_seconds.unwrap_or(f64::INFINITY), free)
    };
    let own = limits.iter().filter(|limit| !is_for_all(&limit.scope));
    own.min_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

fn limit(limit: &Limit) -> String {
    let amount = |number: u64| match limit.resource.as_str() {
        "memory" | "as" => bytes(number).replace(' ', ""),
        _ => number.to_string(),
    };
    let mut text = format!("{} {}", escape(&limit.resource), amount(limit.used));
    // RLIM_INFINITY
    if limit.soft == u64::MAX {
        text += ", unlimited";
    } else {
        text += &format!("/{}", amount(limit.soft));
    }
    if limit.exhaustion_seconds == Some(0.0) {
        text += ", full";
    } else if let Some(seconds) = limit.exhaustion_seconds {
        text += &format!(
            ", full{UNBROKEN}in{UNBROKEN}{}",
            duration(seconds).replace(' ', "\u{a0}")
        );
    }
    text
}

/// A row; the cells of no fixed width share what the line has left, and wrap. On a narrow page a row is a paragraph.
fn row([pid, comm, held, before, limit]: &[String; 5], page: &mut Page) -> io::Result<()> {
    if page.width() < NARROW {
        let text = format!("{pid} {comm}: {held}; {before}; {limit}");
        return page.paragraph(0, &text.replace(UNBROKEN, " "));
    }
    let comm_width = if page.width() > 100 { 2 * COMM } else { COMM };
    let flexible = page.width() - PID - comm_width - 4 * GAP;
    let before_width = flexible / 4;
    let held_width = (flexible - before_width) / 2;
    let limit_width = flexible - before_width - held_width;
    let held = wrap(held, held_width, held_width);
    let before = wrap(before, before_width, before_width);
    let limit = wrap(limit, limit_width, limit_width);
    for line in 0..held.len().max(limit.len()).max(before.len()) {
        let once = |text: &str| {
            if line == 0 {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let part = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
        let line = format!(
            "{}  {}  {}  {}  {}",
            right(&once(pid), PID),
            left(&once(&shorten_end(comm, comm_width)), comm_width),
            left(&part(&held), held_width),
            left(&part(&before), before_width),
            part(&limit),
        );
        page.line(&line.replace(UNBROKEN, " "))?;
    }
    Ok(())
}

// The standard library pads by characters, a terminal counts columns.
fn left(text: &str, columns: usize) -> String {
    format!(
        "{text}{:pad$}",
        "",
        pad = columns.saturating_sub(width(text))
    )
}

fn right(text: &str, columns: usize) -> String {
    format!(
        "{:pad$}{text}",
        "",
        pad = columns.saturating_sub(width(text))
    )
}

fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts
        .values()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(resource: &str, used: u64, soft: u64, exhaustion_seconds: Option<f64>) -> Limit {
        Limit {
            resource: resource.to_owned(),
            used,
            soft,
            exhaustion_seconds,
            ..Limit::default()
        }
    }

    #[test]
    fn the_limit_hit_first_is_nearest_then_the_fullest() {
        let limits = [
            of("a", 1, 100, None),
            of("b", 99, 100, None),
            of("c", 0, 0, None),
        ];
        assert_eq!(nearest(&limits).map(|l| l.resource.as_str()), Some("b"));
        let mut host = of("pid_max", 99, 100, Some(1.0));
        host.scope = "host".to_owned();
        assert_eq!(nearest(&[host]), None);
        let mut segments = of("shmmni", 99, 100, None);
        segments.scope = "ipcns:[4026531839]".to_owned();
        assert_eq!(nearest(&[segments]), None);
        let limits = [of("a", 99, 100, Some(9.0)), of("b", 1, 100, Some(5.0))];
        assert_eq!(nearest(&limits).map(|l| l.resource.as_str()), Some("b"));
    }

    #[test]
    fn memory_is_told_in_bytes_and_no_limit_as_none() {
        assert_eq!(
            limit(&of("memory", 50 << 20, 1 << 30, None)),
            "memory 50.0MiB/1.0GiB"
        );
        assert_eq!(
            limit(&of("nofile", 7, u64::MAX, None)),
            "nofile 7, unlimited"
        );
    }
}
