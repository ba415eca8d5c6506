//! A program whose stacks are to be taken: 4096 functions without frame pointers that call each other, the last of
//! which opens and closes a file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use leak_common::limits::{REMEMBERED_RULES, SITE_ENTRIES};

use crate::command;

/// Functions that call each other.
pub(super) const FUNCTIONS: usize = 4096;
/// Those on one stack: with the C library's `open` above, `main` and what starts it below, there are 25.
const ON_ONE_STACK: usize = 20;
/// Stacks that there are, one after the other, until the first comes again.
pub(super) const STACKS: usize = FUNCTIONS / 4;

// The n-th stack begins at function 20n, modulo 4096.
const _: () = assert!(FUNCTIONS.is_power_of_two() && ON_ONE_STACK % 8 == 4);
// Where there are four functions for each rule that is remembered, next to none is.
const _: () = assert!(FUNCTIONS >= 4 * REMEMBERED_RULES && STACKS < SITE_ENTRIES as usize / 2);

/// What the program is built with; functions lie as far apart as those of a large program.
pub(super) const FLAGS: &str =
    "-O2 -fomit-frame-pointer -fno-optimize-sibling-calls -falign-functions=256";

/// Builds it in a directory; returns where it is.
pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    let program = directory.join("stack-loop");
    let file = directory.join("stack-loop.c");
    let source = source();
    // It takes a while.
    if program.exists() && fs::read(&file).is_ok_and(|old| old == source.as_bytes()) {
        return Ok(program);
    }
    let in_work = directory.join("stack-loop.new");
    fs::write(&file, source).with_context(|| format!("cannot write {}", file.display()))?;
    // What is left of an older source must not stand for this one if the compiler fails.
    let _ = fs::remove_file(&program);
    command::run(
        Command::new("gcc")
            .args(FLAGS.split(' '))
            .arg("-o")
            .arg(&in_work)
            .arg(&file),
    )?;
    fs::rename(&in_work, &program)
        .with_context(|| format!("cannot write {}", program.display()))?;
    Ok(program)
}

fn source() -> String {
    let mut links = String::new();
    let mut table = String::new();
    for link in 0..FUNCTIONS {
        // Frames of different sizes, as real ones are.
        let _ = writeln!(links, "LINK({link}, {})", 1 + link % 7);
        let _ = writeln!(table, "link_{link},");
    }
    // With the flags, so that another set of them is another source.
    let program = include_str!("stack_loop.c")
        .replace("@FUNCTIONS@", &FUNCTIONS.to_string())
        .replace("@ON_ONE_STACK@", &ON_ONE_STACK.to_string())
        .replace("@LINKS@", &links)
        .replace("@TABLE@", &table);
    format!("/* gcc {FLAGS} */\n{program}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_complete() {
        let source = source();
        assert!(!source.contains('@'), "a place was not filled in");
        assert_eq!(source.matches("\nLINK(").count(), FUNCTIONS);
        assert_eq!(source.matches("\nlink_").count(), FUNCTIONS);
    }

    #[test]
    fn there_are_as_many_stacks_as_said() {
        let starts: std::collections::BTreeSet<usize> = (0..10 * FUNCTIONS)
            .map(|turn| turn * ON_ONE_STACK % FUNCTIONS)
            .collect();
        assert_eq!(starts.len(), STACKS);
    }
}
