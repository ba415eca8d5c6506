//! The step that unwinds: `guest/chains.c`, built without frame pointers, opens files at the end of known chains of
//! calls, and the findings of `leaktrace run` must show each chain whole.

use serde_json::Value;

use super::plan::Step;
use super::report::Finding;
use super::trial::Findings;

/// Where the program is in the guest.
pub(crate) const PROGRAM: &str = "/vm/chains";

/// How often each chain opens a file.
const ROUNDS: u64 = 3;

/// How deep the recursion goes.
const DEEP: usize = 60;

/// A chain of calls.
struct Chain {
    name: &'static str,
    /// Functions of the program, innermost first.
    functions: Vec<&'static str>,
    /// Whether there are frames of libraries between them.
    through_library: bool,
}

fn chains() -> Vec<Chain> {
    let chain = |name, functions: &[&'static str], through_library| Chain {
        name,
        functions: functions.to_vec(),
        through_library,
    };
    let deep = [&["deep_leaf"], ["deep"; DEEP].as_slice(), &["main"]].concat();
    vec![
        chain(
            "frames of many shapes",
            &[
                "plain_leaf",
                "plain_large",
                "plain_variable",
                "plain_registers",
                "plain",
                "main",
            ],
            false,
        ),
        chain("a recursion", &deep, false),
        chain(
            "a call back from the C library",
            &["callback_leaf", "compare", "callback", "main"],
            true,
        ),
        chain(
            "a signal's handler",
            &["signal_leaf", "on_signal", "signalled", "main"],
            true,
        ),
        chain(
            "a thread",
            &["thread_leaf", "thread_inner", "thread_body"],
            false,
        ),
    ]
}

pub(crate) fn step(name: &str) -> Step {
    let options = ["-f", "json", "--nursery", "200ms", "--min-age", "0s"];
    let command = [
        &["/bin/leaktrace", "run"],
        options.as_slice(),
        &["--", PROGRAM],
    ]
    .concat();
    Step {
        name: name.to_owned(),
        command: command.into_iter().map(str::to_owned).collect(),
        seconds: 120,
        victims: Vec::new(),
        settle: 0,
    }
}

/// Looks for each chain in the stacks of the report.
pub(crate) fn check(report: &Value) -> Findings {
    let mut found = Findings::default();
    let files: Vec<Finding> = Finding::all(report)
        .filter(|finding| finding.kind() == "file" && finding.value["comm"] == "chains")
        .collect();
    let chains = chains();
    for chain in &chains {
        let whole: u64 = files
            .iter()
            .filter(|finding| chain.is_shown_by(finding))
            .map(Finding::outstanding)
            .sum();
        if whole == ROUNDS {
            continue;
        }
        found.fail(format!(
            "{}: {whole} of {ROUNDS} stacks are {}",
            chain.name,
            line(chain.functions.iter().copied())
        ));
    }
    let missing = found.failures.len();
    found.summary = format!(
        "{} of {} chains whole",
        chains.len() - missing,
        chains.len()
    );
    if missing > 0 {
        found.tell("all stacks:".to_owned());
        found.notes.extend(files.iter().map(|finding| {
            let names = line(finding.functions().map(|(name, _)| name));
            format!("{:>3} x {names}", finding.outstanding())
        }));
    }
    found
}

/// Names on one line, what is repeated but once.
fn line<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match runs.last_mut() {
            Some((last, times)) if *last == name => *times += 1,
            _ => runs.push((name, 1)),
        }
    }
    let words: Vec<String> = runs
        .into_iter()
        .map(|(name, times)| match times {
            1 => name.to_owned(),
            _ => format!("{name} ({times} times)"),
        })
        .collect();
    words.join(" < ")
}

impl Chain {
    /// Whether a stack is this chain, and nothing else, from its leaf to its last function.
    fn is_shown_by(&self, finding: &Finding) -> bool {
        let last = self.functions.last();
        let own = |module: &str| module.ends_with(PROGRAM);
        let mut shown = Vec::new();
        let leaf_on = finding
            .functions()
            .skip_while(|(_, module)| !own(module))
            .filter(|(_, module)| !self.through_library || own(module));
        for (name, _) in leaf_on {
            shown.push(name);
            if Some(&name) == last {
                break;
            }
        }
        shown == self.functions
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A report with one file at each stack.
    fn report(stacks: &[&[&str]]) -> Value {
        let finding = |stack: &&[&str]| {
            let frame = |name: &&str| {
                let module = if name.starts_with("__") {
                    "/lib/libc.so.6"
                } else {
                    PROGRAM
                };
                json!({"symbol": name, "module": module, "inlined": false})
            };
            let stack: Vec<Value> = stack.iter().map(frame).collect();
            json!({"comm": "chains", "kind": "file", "outstanding": ROUNDS, "stack": stack})
        };
        json!({"findings": stacks.iter().map(finding).collect::<Vec<Value>>()})
    }

    fn names_of_failures(report: &Value) -> Vec<String> {
        let name = |failure: String| failure.split(':').next().unwrap_or("").to_owned();
        check(report).failures.into_iter().map(name).collect()
    }

    fn whole() -> Vec<Vec<&'static str>> {
        chains()
            .into_iter()
            .map(|chain| [&["__open"], &chain.functions[..], &["__start", "_start"]].concat())
            .collect()
    }

    #[test]
    fn a_recursion_fits_on_a_line() {
        let names = ["leaf", "deep", "deep", "deep", "main"];
        assert_eq!(line(names.into_iter()), "leaf < deep (3 times) < main");
    }

    #[test]
    fn whole_stacks_pass() {
        let mut stacks = whole();
        stacks[2].insert(3, "__qsort");
        let stacks: Vec<&[&str]> = stacks.iter().map(Vec::as_slice).collect();
        assert_eq!(names_of_failures(&report(&stacks)), [""; 0]);
    }

    #[test]
    fn a_frame_too_many_or_too_few_fails() {
        let mut stacks = whole();
        stacks[0].remove(3);
        stacks[1].insert(2, "__garbage");
        stacks[4].truncate(2);
        let stacks: Vec<&[&str]> = stacks.iter().map(Vec::as_slice).collect();
        assert_eq!(
            names_of_failures(&report(&stacks)),
            ["frames of many shapes", "a recursion", "a thread"]
        );
    }
}
