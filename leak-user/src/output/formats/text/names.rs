//! Processes as headings name them: what a person typed or set up, not the sixteen letters that the kernel keeps.

use crate::model::{
    escape::{escape, shorten_end},
    report::{Process, Report},
    who,
};

/// Columns of a command line in a heading.
const COMMAND: usize = 40;

/// `python3 app.py (pid 1234, web.service, user www-data)`, escaped.
pub(super) fn heading(report: &Report, (pid, start_time): (u32, u64), comm: &str) -> String {
    let process = find(report, pid, start_time, comm);
    let mut about = vec![format!("pid {pid}")];
    about.extend(process.map(belongs).unwrap_or_default());
    format!("{} ({})", command(process, comm, COMMAND), about.join(", "))
}

/// The command line, or what the kernel calls it, in at most `max` columns.
pub(super) fn command(process: Option<&Process>, comm: &str, max: usize) -> String {
    let command = process.map_or_else(|| comm.to_owned(), who::command);
    shorten_end(&escape(&command), max)
}

/// The service or container, and the user where it is another one than root.
pub(super) fn belongs(process: &Process) -> Vec<String> {
    let user = match process.user.as_str() {
        "" | "root" => None,
        user => Some(format!("user {user}")),
    };
    let about = who::home(process).into_iter().chain(user);
    about.map(|text| shorten_end(&escape(&text), 32)).collect()
}

/// The process of that pid and start; where the start is not known, the one of that name.
pub(super) fn find<'a>(
    report: &'a Report,
    pid: u32,
    start_time: u64,
    comm: &str,
) -> Option<&'a Process> {
    let of_pid = || {
        report
            .processes
            .iter()
            .filter(move |process| process.pid == pid)
    };
    let exact = of_pid().find(|process| match start_time {
        0 => process.comm == comm,
        start => process.start_time == start,
    });
    exact.or_else(|| of_pid().next().filter(|_| start_time == 0))
}
