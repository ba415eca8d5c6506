//! Hints and suppressions from files, on what a traced command leaks.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use harness::victim::program;
use harness::{Ran, Tracer, alone};
use tempfile::TempDir;

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs what leaks files at `leak_grower` until it ends.
fn run(arguments: &[&str]) -> Ran {
    let grower = program("grower");
    let arguments = [&["--fail-on", "leak"], arguments].concat();
    Tracer::run(&arguments, &[grower.to_str().unwrap(), "leak", "4", "0"])
}

#[test]
fn a_suppressed_leak_is_counted_and_does_not_fail_the_run() {
    let _alone = alone();
    let directory = TempDir::new().unwrap();
    let about = |frame: &str| {
        format!("[[suppress]]\nkind = \"file\"\nframes = [\"{frame}\"]\nwhy = \"it is a test\"\n")
    };
    let list = file(&directory, "it.toml", &about("leak_grow*"));
    let ran = run(&["--suppressions", &list]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document = &ran.report().document;
    let suppressed = &document["suppressed"][0];
    assert_eq!(suppressed["why"], "it is a test");
    assert_eq!(suppressed["findings"], 1);
    assert!(
        suppressed["outstanding"].as_u64() >= Some(40),
        "{suppressed}"
    );
    let left = ran.report().findings.iter();
    assert!(left.clone().all(|finding| !finding.passes("leak_grower")));

    let other = file(&directory, "other.toml", &about("twin_grower"));
    let ran = run(&["--suppressions", &other]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(ran.report().document["suppressed"], serde_json::json!([]));
    let leaks = ran.report().findings.iter().filter(|f| f.verdict == "leak");
    assert_eq!(leaks.filter(|f| f.passes("leak_grower")).count(), 1);
}

#[test]
fn a_hint_from_a_file_is_given_to_its_finding_alone() {
    let _alone = alone();
    let directory = TempDir::new().unwrap();
    let list = file(
        &directory,
        "hints.toml",
        "[[hint]]\nid = \"x\"\nkinds = [\"file\"]\nframes = [\"leak_grower in grower\"]\n\
         usually = \"It grows.\"\nfix = \"Stop it.\"\n",
    );
    let ran = run(&["--hints", &list]);
    let findings = ran.report().document["findings"].as_array().unwrap();
    let hinted: Vec<_> = findings
        .iter()
        .filter(|f| f["hint"] == "It grows. Stop it.")
        .collect();
    assert_eq!(hinted.len(), 1);
    let stack = hinted[0]["stack"].as_array().unwrap();
    assert!(stack.iter().any(|frame| frame["symbol"] == "leak_grower"));
    // The program calls the kernel by itself: nothing that is built in knows its frames.
    let ran = run(&[]);
    let findings = ran
        .report()
        .findings
        .iter()
        .zip(ran.report().document["findings"].as_array().unwrap());
    for (finding, entry) in findings.filter(|(finding, _)| finding.passes("leak_grower")) {
        assert_eq!(finding.verdict, "leak");
        assert!(entry["hint"].is_null(), "{entry}");
    }
}

#[test]
fn a_mistake_in_a_file_is_told_before_anything_runs() {
    let _alone = alone();
    let directory = TempDir::new().unwrap();
    let list = file(&directory, "bad.toml", "[[suppress]]\ncomm = \"x\"\n");
    let witness = directory.path().join("ran");
    let command = ["touch", witness.to_str().unwrap()];
    for (option, path, named) in [
        ("--suppressions", list.as_str(), "line 1"),
        ("--hints", "/no/such/file", "/no/such/file"),
    ] {
        let ran = Tracer::run(&[option, path], &command);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(named), "{}", ran.stderr);
        assert!(!witness.exists());
    }
}
