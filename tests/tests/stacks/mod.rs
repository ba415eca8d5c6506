//! Stacks: whole, with names and lines.

mod compiled;
mod control;
mod python;

use std::path::Path;
use std::process::Command;

use harness::stacks::assert_stack;
use harness::{BRIEF_NURSERY, Report, Tracer, Victim, beside_others, grow_old};

/// How many each victim acquires in one way.
const COUNT: u64 = 12;

/// What `-O2` makes of a program in a distribution.
const PLAIN: [&str; 2] = ["-O2", "-fomit-frame-pointer"];

/// The frames of the victim `chain`, without those of the C library at both ends.
const CHAIN: [&str; 4] = ["inner", "middle", "outer", "main"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command to its end under the tracer.
fn run(command: &[&str]) -> Report {
    let ran = Tracer::run(&BRIEF_NURSERY, command);
    assert_eq!(ran.code, 0, "{command:?}: {}{}", ran.stdout, ran.stderr);
    ran.report().clone()
}

/// Attaches to a victim, lets it go on, and stops when it holds what it acquired.
fn attach(program: &Path, arguments: &[&str]) -> Report {
    let mut victim = Victim::spawn(Command::new(program).args(arguments));
    victim.expect("ready");
    let tracer = Tracer::of(victim.pid(), &[]);
    victim.tell();
    victim.expect("held");
    grow_old();
    let report = tracer.stop();
    victim.tell();
    report
}

/// The stack of `chain` in one of its ways, between two ends.
fn chain<'a>(begin: &[&'a str], leak: &'a str, end: &[&'a str]) -> Vec<&'a str> {
    [begin, &[leak], &CHAIN[..], end].concat()
}

/// Asserts the whole stack of one of the ways of the victim `ways`: run to its end,
/// and attached to.
fn assert_way(program: &Path, arguments: &[&str], expected: &[&str]) {
    let _turn = beside_others();
    let arguments = [&arguments[..1], &["12"], &arguments[1..]].concat();
    let report = run(&[&[text(program)], &arguments[..]].concat());
    assert_stack(&report, "file", COUNT, expected);
    let report = attach(program, &arguments);
    assert_stack(&report, "file", COUNT, expected);
}
