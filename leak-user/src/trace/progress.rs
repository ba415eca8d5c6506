//! What standard error shows while a trace runs.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Plan, engine::Engine};

/// One line when the trace begins, and on a terminal one that is kept up to date.
pub(super) struct Progress {
    line: Option<ProgressBar>,
}

impl Progress {
    /// Says that every hook is in place.
    pub(super) fn start(plan: &Plan, hooks: usize, reports: bool) -> Progress {
        eprintln!(
            "tracing {} ({hooks} hooks in place); {}",
            scope(plan),
            until(plan, reports)
        );
        let line = (plan.progress && std::io::stderr().is_terminal()).then(|| {
            let line = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed}  {msg}");
            line.set_style(style.expect("the template is valid"));
            line.enable_steady_tick(Duration::from_millis(250));
            line
        });
        Progress { line }
    }

    pub(super) fn show(&self, engine: &Engine) {
        if let Some(line) = &self.line {
            let facts = engine.progress();
            line.set_message(format!(
                "{} events, {} outstanding in {} processes, {} lost",
                facts.events, facts.outstanding, facts.processes, facts.lost
            ));
        }
    }

    pub(super) fn finish(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

fn scope(plan: &Plan) -> String {
    use crate::model::escape::{escape, escape_bytes};
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
