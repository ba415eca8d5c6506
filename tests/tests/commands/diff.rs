//! `leaktrace diff`: what one version of a program does worse than another, of reports
//! and of recordings.

use std::fs;
use std::path::{Path, PathBuf};

use harness::compile::Recipe;
use harness::tracer::{Ran, command, run};
use harness::{BRIEF_NURSERY, beside_others};
use serde_json::Value;
use tempfile::TempDir;

/// A version of the program that was traced.
struct Traced {
    report: PathBuf,
    recording: PathBuf,
}

/// Traces a version of the program.
fn traced(directory: &Path, version: &str, flags: &[&str]) -> Traced {
    let built = Recipe::gcc(&format!("versions-{version}"), "versions.c", flags).program();
    // Versions differ in their directory, as they would on a host.
    let home = directory.join(version);
    fs::create_dir(&home).unwrap();
    let program = home.join("versions");
    fs::copy(built, &program).unwrap();
    let (report, recording) = (home.join("report.json"), home.join("recording.lkt"));
    let ran = run(command()
        .arg("run")
        .args(BRIEF_NURSERY)
        .args(["-f", "json", "-o"])
        .arg(&report)
        .arg("--record")
        .arg(&recording)
        .arg("--")
        .arg(&program)
        .arg("8"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    Traced { report, recording }
}

fn diff(arguments: &[&str], base: &Path, new: &Path) -> Ran {
    run(command().arg("diff").args(arguments).arg(base).arg(new))
}

/// Changes of sites that are not steady in both, by the function that acquires.
fn changes(document: &Value) -> Vec<(String, String)> {
    let sites = document["sites"].as_array().unwrap();
    let steady = |amounts: &Value| amounts.is_null() || amounts["verdict"] == "steady";
    let mut changes: Vec<(String, String)> = sites
        .iter()
        .filter(|site| !(steady(&site["base"]) && steady(&site["new"])))
        .map(|site| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let stack = site["stack"].as_array().unwrap();
            // The system call itself is inlined into it.
            let frame = stack.iter().find(|frame| frame["inlined"] == false);
            (text(&frame.unwrap()["symbol"]), text(&site["change"]))
        })
        .collect();
    changes.sort();
    changes
}

#[test]
fn a_new_version_compiled_otherwise_is_matched_and_its_new_leak_found() {
    let _turn = beside_others();
    let directory = TempDir::new().unwrap();
    let before = traced(directory.path(), "v1", &["-O0", "-DVERSION=1"]);
    let after = traced(
        directory.path(),
        "v2",
        &["-O2", "-fomit-frame-pointer", "-DVERSION=2"],
    );
    let (old, new) = (before.report, after.report);

    let ran = diff(&["-f", "json"], &old, &new);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["schema"], "leaktrace.diff/1");
    let expected = [
        ("open_log", "new"),
        ("open_session", "same"),
        ("open_settings", "gone"),
    ];
    let expected = expected.map(|(function, change)| (function.to_owned(), change.to_owned()));
    assert_eq!(changes(&document), expected, "{document:#}");

    let ran = diff(&["--fail-on", "leak"], &old, &new);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("More leaks: "), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("NEW file in versions: leak"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("GONE file in versions: leak"),
        "{}",
        ran.stdout
    );

    // What is told of recordings is what is told of their reports.
    let of_reports = diff(&["-f", "json"], &old, &new).stdout;
    for (base, new) in [
        (&before.recording, &after.recording),
        (&before.recording, &new),
        (&old, &after.recording),
    ] {
        let ran = diff(&["-f", "json"], base, new);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(ran.stdout, of_reports, "{base:?} {new:?}");
    }

    let ran = diff(&["--fail-on", "suspect"], &new, &new);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("No difference: "), "{}", ran.stdout);
}

#[test]
fn what_is_no_report_is_an_error_that_names_the_file() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let good = file("good.json", b"");
    for (path, words) in [
        (directory.path().join("none.json"), "cannot open"),
        (directory.path().to_owned(), "cannot read"),
        (good.clone(), "is empty"),
        (
            file("text", b"No leak found in 10s"),
            "is no report of schema leaktrace.report/1",
        ),
        (
            file("cut.json", b"{\"schema\": \"leaktrace.rep"),
            "was cut off",
        ),
        (
            file("newer.json", b"{\"schema\": \"leaktrace.report/2\"}"),
            "use a newer leaktrace",
        ),
        (
            file("other.json", b"{\"schema\": \"leaktrace.diff/1\"}"),
            "has the schema leaktrace.diff/1",
        ),
        (PathBuf::from("/dev/zero"), "larger than the 256 MiB"),
        (file("cut.lkt", b"\x89LEAK\r\n\x1a"), "no recording"),
    ] {
        let ran = diff(&[], &path, &good);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(path.to_str().unwrap()),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stdout, "");
    }
}
