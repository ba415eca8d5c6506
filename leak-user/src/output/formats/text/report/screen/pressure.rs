//! What fails now, and what is nearest to a limit.

use std::{cmp::Reverse, io};

use super::{
    super::{finding, problem::Problems, processes, shared},
    place_line,
};
use crate::{
    model::{
        escape::{escape, shorten_end, width},
        problem::Problem,
        report::{Failure, Full, Limit, Report},
    },
    output::formats::text::{
        amounts::{bytes, counted, duration},
        names,
        page::{Ink, Page},
    },
};

/// Lines of each that are shown at most.
const LINES: usize = 3;

/// A limit that is reached later than this is no news, in seconds.
const SOON: f64 = 2.0 * 3600.0;

/// The share of a limit from which on it is worth a line, however slowly it grows.
const NEAR: f64 = 0.8;

/// Writes them; the number of lines.
pub(super) fn write(
    report: &Report,
    problems: &Problems<'_>,
    page: &mut Page,
) -> io::Result<usize> {
    let before = page.lines();
    failing(report, problems, page)?;
    nearest(report, problems, page)?;
    Ok(page.lines() - before)
}

fn failing(report: &Report, problems: &Problems<'_>, page: &mut Page) -> io::Result<()> {
    let mut failures: Vec<&Failure> = report.failures.iter().collect();
    failures.sort_by_key(|failure| (Reverse(failure.count), failure.pid));
    for failure in failures.iter().take(LINES) {
        let what = format!("{} {}", escape(&failure.error), escape(&failure.call));
        let since = duration((report.window.seconds - failure.after_seconds).max(0.0));
        let texts = match failure.count {
            0 | 1 => [
                format!("{what}, once, {since} ago"),
                format!("{what}, once"),
                what,
            ],
            count => [
                format!("{what}, {count} times, first {since} ago"),
                format!("{what}, {count} times"),
                format!("{what} x{count}"),
            ],
        };
        let who = (failure.pid, failure.start_time);
        labelled("FAILS", &texts, report, who, &failure.comm, page)?;
        // A problem of the same process says where.
        let is_told = problems
            .all
            .iter()
            .any(|problem| problem.pids.contains(&failure.pid));
        if !is_told && !failure.stack.is_empty() {
            page.line(&format!("  where {}", place_line(&failure.stack, page)))?;
        }
    }
    left(
        failures.len(),
        "more process fails",
        "more processes fail",
        page,
    )
}

/// A limit, how near it is, and who comes near it.
struct Near<'a> {
    seconds: f64,
    share: f64,
    /// The longest first.
    texts: Vec<String>,
    who: Option<((u32, u64), &'a str)>,
}

fn nearest(report: &Report, problems: &Problems<'_>, page: &mut Page) -> io::Result<()> {
    let mut all: Vec<Near<'_>> = report.full.iter().map(near_by_full).collect();
    // A problem tells when its process is full.
    let is_told = |pid| {
        let tells =
            |problem: &Problem| problem.exhaustion_seconds.is_some() && problem.pids.contains(&pid);
        problems.all.iter().any(tells)
    };
    let running = report.processes.iter().filter(|process| !process.exited);
    for process in running.filter(|process| !is_told(process.pid)) {
        let is_full = |limit: &&Limit| {
            let mut full = report.full.iter().filter(|full| full.pid == process.pid);
            full.any(|full| full.resource == limit.resource)
        };
        let limit = processes::nearest(&process.limits).filter(|limit| !is_full(limit));
        all.extend(limit.map(|limit| Near {
            seconds: limit.exhaustion_seconds.unwrap_or(f64::INFINITY),
            share: share(limit.used, limit.soft),
            texts: vec![of_process(limit)],
            who: Some(((process.pid, process.start_time), process.comm.as_str())),
        }));
    }
    for limit in report
        .shared_limits
        .iter()
        .filter(|limit| shared::concerns(report, limit))
    {
        all.push(Near {
            seconds: limit.exhaustion_seconds.unwrap_or(f64::INFINITY),
            share: share(limit.used, limit.limit),
            texts: vec![format!(
                "{} of {}{}",
                used(&limit.resource, limit.used, limit.limit),
                if limit.scope == "host" {
                    "the host".to_owned()
                } else {
                    shorten_end(&escape(&limit.scope), 40)
                },
                ending(limit.exhaustion_seconds)
            )],
            who: None,
        });
    }
    all.retain(|near| near.seconds < SOON || near.share >= NEAR);
    all.sort_by(|a, b| {
        a.seconds
            .total_cmp(&b.seconds)
            .then(b.share.total_cmp(&a.share))
    });
    for near in all.iter().take(LINES) {
        let label = if near.seconds <= 0.0 { "FULL" } else { "NEAR" };
        match near.who {
            Some((who, comm)) => labelled(label, &near.texts, report, who, comm, page)?,
            None => {
                let text = near.texts.first().map_or("", String::as_str);
                let text = shorten_end(text, page.width().saturating_sub(6));
                page.line(&format!("{}  {text}", page.painted(Ink::Suspect, label)))?;
            }
        }
    }
    left(
        all.len(),
        "more limit is near",
        "more limits are near",
        page,
    )
}

fn near_by_full(full: &Full) -> Near<'_> {
    let most = full.groups.first().map_or(String::new(), |group| {
        let state = if group.state.is_empty() {
            String::new()
        } else {
            format!(" {}", escape(&group.state))
        };
        format!(
            ", most: {} {} {}{state}",
            group.count,
            escape(&group.kind),
            escape(&group.what)
        )
    });
    let is_full = full.used >= full.limit;
    let of = match full.scope.as_str() {
        "" => String::new(),
        scope => format!(" of {}", finding::owner(scope)),
    };
    let used = used(&full.resource, full.used, full.limit) + &of;
    Near {
        seconds: if is_full { 0.0 } else { f64::INFINITY },
        share: share(full.used, full.limit),
        texts: vec![format!("{used}{}", shorten_end(most.trim_end(), 40)), used],
        who: Some(((full.pid, full.start_time), &full.comm)),
    }
}

fn of_process(limit: &Limit) -> String {
    let seconds = limit.exhaustion_seconds;
    used(&limit.resource, limit.used, limit.soft) + &ending(seconds)
}

/// `nofile 433/1024`.
fn used(resource: &str, used: u64, limit: u64) -> String {
    let amount = |number: u64| match resource {
        "memory" | "as" => bytes(number).replace(' ', ""),
        _ => number.to_string(),
    };
    format!("{} {}/{}", escape(resource), amount(used), amount(limit))
}

fn ending(seconds: Option<f64>) -> String {
    match seconds {
        None => String::new(),
        // The label says so.
        Some(0.0) => String::new(),
        Some(seconds) => format!(", full in {}", duration(seconds)),
    }
}

fn share(used: u64, limit: u64) -> f64 {
    match limit {
        // RLIM_INFINITY
        u64::MAX => 0.0,
        limit => used as f64 / limit.max(1) as f64,
    }
}

/// Columns of a command line that say who it is.
const ENOUGH: usize = 8;

/// `FAILS EMFILE accept4, 312 times, first 37s ago: nginx pid 1234`. Of several texts the first that leaves room for the
/// command is shown; on a narrow page the command gives way to the last.
fn labelled(
    label: &str,
    texts: &[String],
    report: &Report,
    (pid, start_time): (u32, u64),
    comm: &str,
    page: &mut Page,
) -> io::Result<()> {
    let ink = if label == "NEAR" {
        Ink::Suspect
    } else {
        Ink::Leak
    };
    let room = page.width().saturating_sub(6);
    let end = format!(" pid {pid}");
    let process = names::find(report, pid, start_time, comm);
    let least = width(&names::command(process, comm, ENOUGH)) + width(&end) + 2;
    let fits = |text: &&String| width(text) + least <= room;
    let text = texts
        .iter()
        .find(fits)
        .or(texts.last())
        .map_or("", String::as_str);
    let left = room.saturating_sub(width(text) + 2 + width(&end));
    let who = match names::command(process, comm, left) {
        command if left >= 4 => format!("{command}{end}"),
        _ => end.trim_start().to_owned(),
    };
    let text = shorten_end(text, room.saturating_sub(width(&who) + 2));
    let line = shorten_end(&format!("{text}: {who}"), room);
    let gap = if label.len() < 5 { "  " } else { " " };
    page.line(&format!("{}{gap}{line}", page.painted(ink, label)))
}

fn left(all: usize, one: &str, many: &str, page: &mut Page) -> io::Result<()> {
    match all.saturating_sub(LINES) {
        0 => Ok(()),
        left => page.fitted(&format!(
            "      ... and {}",
            counted(left as u64, one, many)
        )),
    }
}
