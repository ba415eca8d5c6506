//! The step that finds leaks: victims of tests/victims acquire beside `leaktrace trace`; the leaks must be in its
//! report with kind, number and function, and their twins, which give back, must not.

use serde_json::Value;

use super::failures;
use super::plan::{Done, Held, Step, Victim};
use super::report::{Finding, process};
use super::rows::{ROWS, Row, Version};
use super::trial::Findings;
use crate::arch::Arch;

/// Where the victims are in the guest.
pub(crate) const ROWS_PROGRAM: &str = "/vm/rows";
pub(crate) const GROWER_PROGRAM: &str = "/vm/grower";

/// Before this, what io_uring acquires has no stack.
const URING_STACKS: Version = (5, 15);

/// The descriptors among the kinds; with the others a process may begin.
const NO_DESCRIPTORS: [&str; 5] = ["mapping", "shm", "heap", "thread", "process"];

/// The rows of tests/victims/rows.c that run here: `leak_NAME` keeps, `twin_NAME` gives back.
fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.in_guests)
}

/// Where a mode of a row acquires, as a report on this kernel names it; `None` for a stack without functions.
fn site(row: &Row, mode: &str, kernel: Version) -> Option<String> {
    let by_uring = row.name.starts_with("uring_") && row.name != "uring_close";
    if by_uring && kernel < URING_STACKS {
        return None;
    }
    Some(format!("{mode}_{}", row.name))
}

const MODES: [&str; 2] = ["leak", "twin"];

pub(crate) fn step(name: &str) -> Step {
    let victim = |words: &[&str], word: &str| Victim {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        word: word.to_owned(),
    };
    let mut victims = Vec::new();
    for mode in MODES {
        // Grows until the trace has ended.
        victims.push(victim(&[GROWER_PROGRAM, mode, "600", "0"], "pid"));
    }
    for row in rows() {
        for mode in MODES {
            let count = row.count.to_string();
            victims.push(victim(&[ROWS_PROGRAM, row.name, mode, &count], "held"));
        }
    }
    for way in failures::WAYS {
        let times = failures::TIMES.to_string();
        victims.push(victim(&[failures::PROGRAM, way, &times], "held"));
    }
    let command = ["/bin/leaktrace", "trace", "-f", "json"];
    let options = ["--nursery", "200ms", "--min-age", "0s"];
    Step {
        name: name.to_owned(),
        command: command
            .into_iter()
            .chain(options)
            .map(str::to_owned)
            .collect(),
        seconds: 180,
        victims,
        // The verdict on what grows wants some samples, one a second.
        settle: 5000,
    }
}

/// Holds the report against what the victims did; `kernel` is what `uname -r` says.
pub(crate) fn check(report: &Value, done: &Done, arch: Arch, kernel: &str) -> Findings {
    let mut found = Findings::default();
    let expected = MODES.len() * (1 + rows().count());
    let all = expected + failures::WAYS.len();
    if done.victims.len() != all {
        found.fail(format!("{} of {all} victims ran", done.victims.len()));
        return found;
    }
    let (growers, others) = done.victims.split_at(MODES.len());
    let (of_rows, failing) = others.split_at(expected - MODES.len());
    for (way, held) in failures::WAYS.iter().zip(failing) {
        if let Some(complaint) = failures::complaint(report, way, held) {
            found.fail(complaint);
        }
    }
    for (mode, held) in MODES.iter().zip(growers) {
        if let Some(complaint) = complaint_of_grower(report, mode, held) {
            found.fail(complaint);
        }
    }
    let kernel = version(kernel);
    let mut lacking = Vec::new();
    for (row, both) in rows().zip(of_rows.chunks(MODES.len())) {
        for (mode, held) in MODES.iter().zip(both) {
            let victim = format!("{mode} {}", row.name);
            match held.ended {
                None => {
                    let site = site(row, mode, kernel);
                    let complaints =
                        complaints(report, row, *mode == "leak", site.as_deref(), held);
                    if !complaints.is_empty() {
                        found.fail(format!("{victim}: {}", complaints.join("; ")));
                    }
                }
                Some(_) if row.may_be_lacking(kernel, arch == Arch::X86_64) => lacking.push(victim),
                Some(code) => found.fail(format!("{victim}: it ended with {code}")),
            }
        }
    }
    // Memory of the caller that is not there at that moment is a loss: leaktrace can only count it.
    let lost = report["health"]["lost"].as_u64().unwrap_or(u64::MAX);
    let unreadable = report["health"]["lost_by_cause"]["unreadable_memory"].as_u64();
    if lost > unreadable.unwrap_or(0).min(2) {
        found.fail(format!("events were lost: {}", report["health"]));
    }
    found.summary = format!(
        "{} leaks, failures and twins, {} wrong",
        all - lacking.len(),
        found.failures.len()
    );
    if !lacking.is_empty() {
        found.tell(format!("not on this kernel: {}", lacking.join(", ")));
    }
    found
}

fn complaint_of_grower(report: &Value, mode: &str, held: &Held) -> Option<String> {
    let site = format!("{mode}_grower");
    if let Some(code) = held.ended {
        return Some(format!("{site}: the victim ended with {code}"));
    }
    let leak = findings_at(report, held.pid, Some(&site)).any(|finding| finding.grows());
    match (mode, leak) {
        ("leak", false) => Some(format!("{site}: is not said to grow")),
        ("twin", true) => Some(format!("{site}: is called a leak")),
        _ => None,
    }
}

/// What is wrong with a report's account of a row.
fn complaints(
    report: &Value,
    row: &Row,
    leaks: bool,
    site: Option<&str>,
    held: &Held,
) -> Vec<String> {
    let mut complaints = Vec::new();
    let findings: Vec<Finding> = findings_at(report, held.pid, site).collect();
    let wanted = |kind: &str| if leaks { row.expected(kind) } else { 0 };
    let mut kinds: Vec<&str> = findings.iter().map(Finding::kind).collect();
    kinds.extend(row.kinds.iter().map(|(kind, _)| kind));
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind = findings.iter().filter(|finding| finding.kind() == kind);
        let seen: u64 = of_kind.map(Finding::outstanding).sum();
        if seen != wanted(kind) {
            complaints.push(format!(
                "{seen} of {kind} outstanding, not {}",
                wanted(kind)
            ));
        }
    }
    if !leaks && findings.iter().any(Finding::is_leak) {
        complaints.push("it is called a leak".to_owned());
    }
    // Whatever the site: the number of descriptors is that of /proc.
    if let Some(process) = process(report, held.pid) {
        let counted = descriptors(process);
        if counted != held.descriptors {
            complaints.push(format!(
                "{counted} descriptors outstanding or preexisting, /proc has {}",
                held.descriptors
            ));
        }
    } else if leaks && !row.kinds.is_empty() {
        complaints.push("the process is not in the report".to_owned());
    }
    complaints
}

/// The findings of a process whose innermost function is this, or those without any.
fn findings_at<'a>(
    report: &'a Value,
    pid: u32,
    site: Option<&str>,
) -> impl Iterator<Item = Finding<'a>> {
    Finding::all(report).filter(move |finding| {
        let innermost = finding.functions().next();
        finding.value["pid"] == pid && innermost.map(|(name, _)| name) == site
    })
}

/// Outstanding and preexisting descriptors of a process.
fn descriptors(process: &Value) -> u64 {
    ["outstanding", "preexisting"]
        .iter()
        .filter_map(|key| process[key].as_object())
        .flatten()
        .filter(|(kind, _)| !NO_DESCRIPTORS.contains(&kind.as_str()))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

/// Major and minor number of a release, as `6.1.0-56-cloud-amd64`.
fn version(release: &str) -> Version {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    (next().unwrap_or(0), next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vm::failures::HELD;

    fn row(name: &str) -> &'static Row {
        let found = rows().find(|row| row.name == name);
        found.expect("virtual machines run it")
    }

    fn report(site: &str, outstanding: u64, verdict: &str) -> Value {
        json!({
            "findings": [{"pid": 7, "kind": "pipe", "outstanding": outstanding, "verdict": verdict,
                "stack": [{"symbol": "inline", "inlined": true}, {"symbol": site}, {"symbol": "main"}]}],
            "processes": [{"pid": 7, "outstanding": {"pipe": 5, "mapping": 9},
                "preexisting": {"file": 3}}],
        })
    }

    #[test]
    fn a_leak_has_its_number_at_its_function() {
        let complaints = |outstanding, site| {
            complaints(
                &report(site, outstanding, "leak"),
                row("pipe2"),
                true,
                Some("leak_pipe2"),
                &HELD,
            )
        };
        assert_eq!(complaints(10, "leak_pipe2"), [""; 0]);
        assert_eq!(
            complaints(9, "leak_pipe2"),
            ["9 of pipe outstanding, not 10"]
        );
        assert_eq!(complaints(10, "other"), ["0 of pipe outstanding, not 10"]);
    }

    #[test]
    fn a_twin_has_nothing_and_is_no_leak() {
        let complaints = |outstanding, verdict| {
            complaints(
                &report("twin_pipe2", outstanding, verdict),
                row("pipe2"),
                false,
                Some("twin_pipe2"),
                &HELD,
            )
        };
        assert_eq!(complaints(0, "steady"), [""; 0]);
        assert_eq!(
            complaints(2, "leak"),
            ["2 of pipe outstanding, not 0", "it is called a leak"]
        );
    }

    #[test]
    fn old_kernels_tell_no_function_for_io_uring() {
        let uring = row("uring_openat");
        assert_eq!(site(uring, "leak", (5, 10)), None);
        assert_eq!(
            site(uring, "twin", (6, 1)).as_deref(),
            Some("twin_uring_openat")
        );
        assert_eq!(
            site(row("pipe2"), "leak", (5, 10)).as_deref(),
            Some("leak_pipe2")
        );
    }

    #[test]
    fn descriptors_are_those_of_proc() {
        let held = Held {
            descriptors: 9,
            ..HELD
        };
        assert_eq!(
            complaints(
                &report("leak_pipe2", 10, "leak"),
                row("pipe2"),
                true,
                Some("leak_pipe2"),
                &held
            ),
            ["8 descriptors outstanding or preexisting, /proc has 9"]
        );
    }

    #[test]
    fn releases_are_read() {
        assert_eq!(version("6.1.0-56-cloud-amd64"), (6, 1));
        assert_eq!(version("7.2.12+deb13-cloud-amd64"), (7, 2));
        assert_eq!(version(""), (0, 0));
    }
}
