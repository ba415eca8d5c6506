//! The victims do what they say, seen without a tracer: a test that trusts a
//! victim which does not leak proves nothing.

use std::collections::BTreeMap;

use harness::report::DESCRIPTOR_KINDS;
use harness::rows::{ROWS, Row};
use harness::victim::{LACKS, Victim};
use harness::{alone, proc};

/// What a process holds that rows count.
fn held(pid: u32) -> BTreeMap<&'static str, i64> {
    let mut held: BTreeMap<&'static str, i64> = DESCRIPTOR_KINDS
        .iter()
        .map(|kind| (*kind, 0))
        .chain(
            proc::descriptors(pid)
                .into_iter()
                .map(|(kind, count)| (kind, count as i64)),
        )
        .collect();
    held.insert("thread", proc::threads(pid) as i64);
    held.insert("process", proc::zombies(pid) as i64);
    held.insert("shm", proc::segments(pid) as i64);
    held.insert("bytes", proc::mapped_bytes(pid) as i64);
    held
}

/// What a row should add to it.
fn expected(row: &Row, leaks: bool) -> BTreeMap<&'static str, i64> {
    let mut expected = BTreeMap::new();
    if !leaks {
        return expected;
    }
    for (kind, each) in row.kinds.iter().filter(|(kind, _)| *kind != "mapping") {
        expected.insert(*kind, (each * row.count) as i64);
    }
    if row.aside > 0 {
        *expected.entry("socket").or_insert(0) += (row.aside * row.count) as i64;
    }
    if row.kinds.iter().any(|(kind, _)| *kind == "mapping") {
        expected.insert("bytes", (row.bytes * row.count) as i64);
    }
    expected
}

#[test]
fn every_leak_keeps_what_its_row_says_and_every_twin_nothing() {
    let _alone = alone();
    let mut failures = Vec::new();
    let mut running = Vec::new();
    for row in ROWS {
        for mode in ["leak", "twin"] {
            let mut victim = Victim::start("rows", &[row.name, mode, &row.count.to_string()]);
            let before = held(victim.pid());
            victim.tell();
            running.push((row, mode, victim, before));
        }
    }
    for (row, mode, mut victim, before) in running {
        match victim.wait_for("held") {
            Ok(_) => {}
            Err(LACKS) if row.may_be_lacking(proc::kernel(), cfg!(target_arch = "x86_64")) => {
                eprintln!("skipped: this kernel has no {}", row.name);
                continue;
            }
            Err(code) => {
                failures.push(format!("{mode} {} ended with {code}", row.name));
                continue;
            }
        }
        let mut after = held(victim.pid());
        // Another program than before, or one that mapped a ring of its own.
        if row.name == "exec" || row.name.starts_with("uring") || row.bytes == 0 {
            after.insert("bytes", before["bytes"]);
        }
        let change: BTreeMap<&str, i64> = after
            .iter()
            .map(|(kind, count)| (*kind, count - before[kind]))
            .filter(|(_, change)| *change != 0)
            .collect();
        let wanted = expected(row, mode == "leak");
        if change != wanted {
            failures.push(format!("{mode} {}: {change:?}, not {wanted:?}", row.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_call_of_the_table_has_a_victim() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("victims/rows");
    let sources: String = std::fs::read_dir(directory)
        .expect("the victims are there")
        .flatten()
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    let words: std::collections::BTreeSet<&str> = sources
        .split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_')
        .collect();
    let without: Vec<&str> = leak_common::syscalls::TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| !words.contains(format!("SYS_{name}").as_str()))
        .collect();
    assert!(without.is_empty(), "no victim calls {without:?}");
}
