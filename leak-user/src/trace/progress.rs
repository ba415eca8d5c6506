//! What standard error shows while a trace runs.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Plan,
    engine::{Engine, Nearest, Worst},
};
use crate::model::escape::{escape, escape_bytes, shorten_end};

/// Lines when the trace begins, and on a terminal one that is kept up to date.
pub(super) struct Progress {
    line: Option<ProgressBar>,
}

impl Progress {
    /// Says that every hook is in place, and who is nearest to a limit before anything was traced.
    pub(super) fn start(plan: &Plan, engine: &Engine, reports: bool) -> Progress {
        eprintln!(
            "tracing {} ({} hooks in place); {}",
            scope(plan),
            engine.hooks(),
            until(plan, reports)
        );
        // A command holds nothing yet.
        if let Some(nearest) = engine.nearest().filter(|_| plan.command.is_empty()) {
            eprintln!("{}", now(&nearest));
        }
        let line = (plan.progress && std::io::stderr().is_terminal()).then(|| {
            let line = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
            line.set_style(style.expect("the template is valid"));
            line.enable_steady_tick(Duration::from_millis(250));
            line
        });
        Progress { line }
    }

    /// Tells the worst so far.
    pub(super) fn show(&self, engine: &Engine) {
        if let Some(line) = &self.line
            && let Some(worst) = engine.worst()
        {
            line.set_message(so_far(&worst, engine.lost()));
        }
    }

    pub(super) fn finish(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

/// Who is nearest to its limit on descriptors.
fn now(nearest: &Nearest) -> String {
    let most = nearest.most.map_or(String::new(), |(kind, count)| {
        format!(", {count} of them {kind}")
    });
    format!(
        "nearest to its limit now: {} ({}) has {} of {} descriptors{most}",
        shorten_end(&escape(&nearest.comm), 15),
        nearest.pid,
        nearest.used,
        nearest.limit
    )
}

/// What was found until now, the most important first: a narrow terminal cuts the end.
fn so_far(worst: &Worst, lost: u64) -> String {
    let mut parts = Vec::new();
    let counted = |count: usize, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {one}s")),
    };
    let found: Vec<String> = counted(worst.leaks, "leak")
        .into_iter()
        .chain(counted(worst.suspects, "suspect"))
        .collect();
    let mut text = match found.as_slice() {
        [] => "no leak so far".to_owned(),
        found => found.join(", "),
    };
    if let Some(first) = &worst.first {
        text += &format!(
            ": {} {} {}",
            shorten_end(&escape(&first.comm), 12),
            first.pid,
            first.kind
        );
        if let Some(pace) = pace(first.growth_per_second) {
            text += &format!(" {pace}");
        }
        if let Some(seconds) = first.full_in_seconds {
            parts.push(format!(
                "full in {}",
                humantime::format_duration(Duration::from_secs(seconds.min(1e9) as u64))
            ));
        }
    }
    if lost > 0 {
        parts.push(format!("{lost} lost"));
    }
    parts.insert(0, text);
    parts.join(", ")
}

/// A pace in the unit that gives a number one can read; `None` where there is none.
fn pace(per_second: f64) -> Option<String> {
    match per_second {
        rate if rate >= 1.0 => Some(format!("+{rate:.1}/s")),
        rate if rate * 60.0 >= 1.0 => Some(format!("+{:.1}/min", rate * 60.0)),
        rate if rate > 0.0 => Some(format!("+{:.1}/h", rate * 3600.0)),
        _ => None,
    }
}

fn scope(plan: &Plan) -> String {
    if let Some(program) = plan.command.first() {
        return escape_bytes(program.as_encoded_bytes());
    }
    let mut chosen = Vec::new();
    if !plan.pids.is_empty() {
        chosen.push(chosen_pids(plan));
    }
    if !plan.comms.is_empty() {
        chosen.push(format!(
            "processes named {}",
            escape(&plan.comms.join(", "))
        ));
    }
    if let Some(cgroup) = &plan.cgroup {
        chosen.push(format!("cgroup {}", escape(&cgroup.display().to_string())));
    }
    if chosen.is_empty() {
        "the whole host".to_owned()
    } else {
        chosen.join(" and ")
    }
}

/// `process 7`, or `processes 7, 8`.
pub(super) fn chosen_pids(plan: &Plan) -> String {
    let pids: Vec<String> = plan.pids.iter().map(u32::to_string).collect();
    let noun = if pids.len() == 1 {
        "process"
    } else {
        "processes"
    };
    format!("{noun} {}", pids.join(", "))
}

fn until(plan: &Plan, reports: bool) -> String {
    let duration = plan.duration.map(humantime::format_duration);
    match (duration, plan.command.is_empty(), reports) {
        (Some(duration), _, true) => format!("the report comes in {duration}"),
        (Some(duration), _, false) => format!("for {duration}"),
        (None, true, true) => "Ctrl-C ends with the report".to_owned(),
        (None, true, false) => "until Ctrl-C".to_owned(),
        (None, false, true) => "the report comes when it ends".to_owned(),
        (None, false, false) => "until it ends".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::engine::First;

    #[test]
    fn the_worst_comes_first_and_fits_a_narrow_terminal() {
        let first = First {
            comm: "node\x1b[2J".to_owned(),
            pid: 3526,
            kind: "socket",
            growth_per_second: 3.9,
            full_in_seconds: Some(52.4),
        };
        let worst = Worst {
            leaks: 2,
            suspects: 0,
            first: Some(first),
        };
        assert_eq!(
            so_far(&worst, 0),
            "2 leaks: node\\x1b[2J 3526 socket +3.9/s, full in 52s"
        );
        assert_eq!(so_far(&Worst::default(), 3), "no leak so far, 3 lost");
        let slow = Worst {
            suspects: 1,
            ..Worst::default()
        };
        assert_eq!(so_far(&slow, 0), "1 suspect");
        assert_eq!(pace(0.001).as_deref(), Some("+3.6/h"));
    }
}
