//! The table of processes: what each holds, and the limit it is nearest to.

use std::{cmp::Reverse, collections::BTreeMap, io};

use crate::{
    model::{
        escape::{escape, shorten_end, width},
        report::{Limit, Process, Report},
    },
    output::formats::text::{
        amounts::{bytes, counted, duration},
        page::{Page, wrap},
    },
};

/// Columns of pid, name and count from before the trace, and between columns.
const PID: usize = 7;
const COMM: usize = 15;
const BEFORE: usize = 6;
const GAP: usize = 2;

/// A space at which a cell is not wrapped: a no-break space until it is written.
const UNBROKEN: char = '\u{a0}';

pub(super) fn write(report: &Report, top: usize, page: &mut Page) -> io::Result<()> {
    if report.processes.is_empty() {
        return Ok(());
    }
    let mut processes: Vec<&Process> = report.processes.iter().collect();
    let found = |process: &Process| report.findings.iter().any(|f| f.pid == process.pid);
    processes.sort_by_cached_key(|process| {
        (
            Reverse(found(process)),
            Reverse(sum(&process.outstanding)),
            Reverse(sum(&process.preexisting)),
        )
    });
    page.blank()?;
    page.paragraph(0, "Processes (BEFORE: held since before the trace)")?;
    row(
        &["PID", "COMMAND", "HELD", "BEFORE", "NEAREST LIMIT"].map(str::to_owned),
        page,
    )?;
    for process in processes.iter().take(top) {
        row(&cells(process), page)?;
    }
    match processes.len().saturating_sub(top) {
        0 => Ok(()),
        left => {
            let left = counted(left as u64, "more process", "more processes");
            page.paragraph(0, &format!("... and {left}"))
        }
    }
}

fn cells(process: &Process) -> [String; 5] {
    let mut held: Vec<(&String, &u64)> = process.outstanding.iter().collect();
    held.retain(|(_, count)| **count > 0);
    held.sort_by_key(|(_, count)| Reverse(**count));
    let held: Vec<String> = held
        .into_iter()
        .map(|(kind, count)| format!("{count}{UNBROKEN}{}", escape(kind)))
        .collect();
    let mut held = match held.as_slice() {
        [] => "-".to_owned(),
        held => held.join(", "),
    };
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
        shorten_end(&escape(&process.comm), COMM),
        held,
        sum(&process.preexisting).to_string(),
        limit,
    ]
}

/// The limit that is hit first, or of which the largest share is used. Those of the host
/// are the same for all, and told apart where they come near.
fn nearest(limits: &[Limit]) -> Option<&Limit> {
    let key = |limit: &Limit| {
        let free = 1.0 - limit.used as f64 / limit.soft.max(1) as f64;
        (limit.exhaustion_seconds.unwrap_or(f64::INFINITY), free)
    };
    let own = limits.iter().filter(|limit| limit.scope != "host");
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

/// A row; the two cells of no fixed width share what the line has left, and wrap.
fn row([pid, comm, held, before, limit]: &[String; 5], page: &mut Page) -> io::Result<()> {
    let flexible = page.width() - PID - COMM - BEFORE - 4 * GAP;
    let held_width = flexible / 2;
    let limit_width = flexible - held_width;
    let held = wrap(held, held_width, held_width);
    let limit = wrap(limit, limit_width, limit_width);
    for line in 0..held.len().max(limit.len()) {
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
            left(&once(comm), COMM),
            left(&part(&held), held_width),
            right(&once(before), BEFORE),
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
