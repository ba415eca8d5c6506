//! Hints and suppressions, from files and built in, on what a traced program leaks.

use std::path::PathBuf;
use std::process::Command;

use harness::compile::Recipe;
use harness::report::Finding;
use harness::victim::program;
use harness::{Ran, Report, Tracer, Victim, beside_others};
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
    let _turn = beside_others();
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
    let _turn = beside_others();
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
        // What it held until its end is told by the rule that says so.
        let hint = entry["hint"].as_str();
        let by_rule = hint.is_none_or(|hint| {
            hint.starts_with("They were taken throughout the life of this process")
        });
        assert!(by_rule, "{entry}");
    }
}

#[test]
fn a_mistake_in_a_file_is_told_before_anything_runs() {
    let _turn = beside_others();
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

/// A trace of a program with AddressSanitizer whose stack depot and list of globals grow.
fn sanitized(arguments: &[&str], leaks: bool) -> Report {
    const FLAGS: [&str; 3] = ["-O1", "-fno-omit-frame-pointer", "-fsanitize=address"];
    let [level, frames, sanitizer] = FLAGS;
    let inside = "-static-libasan";
    let library_flags = [level, sanitizer, inside, "-DLIBRARY", "-shared", "-fPIC"];
    let library = Recipe::gcc("sanitized.so", "../sanitized.c", &library_flags).program();
    // With its run-time library inside, whose symbols no package has stripped.
    let flags = [level, frames, sanitizer, inside, "-rdynamic"];
    let mut command = Command::new(Recipe::gcc("sanitized", "../sanitized.c", &flags).program());
    command.arg(library).args(leaks.then_some("leak"));
    let mut victim = Victim::spawn(&mut command);
    victim.expect("ready");
    let pid = victim.pid().to_string();
    let options = ["-p", &pid, "-k", "mapping", "-i", "500ms"];
    let tracer = Tracer::start(&[&options, arguments].concat());
    victim.tell();
    victim.expect("grown");
    tracer.stop()
}

fn is_the_sanitizers(finding: &Finding) -> bool {
    finding.passes("__asan_register_globals") || finding.passes("take_and_give")
}

#[test]
fn what_a_sanitizer_keeps_by_design_is_suppressed_by_itself_and_no_leak_beside_it() {
    let _turn = beside_others();
    let report = sanitized(&["--no-default-suppressions"], false);
    let accused = report.findings.iter().filter(|f| f.verdict != "steady");
    let (depot, globals): (Vec<_>, Vec<_>) = accused
        .filter(|finding| is_the_sanitizers(finding))
        .partition(|finding| finding.passes("take_and_give"));
    assert!(!depot.is_empty(), "the stack depot does not grow");
    assert!(!globals.is_empty(), "the list of globals does not grow");
    assert_eq!(report.document["suppressed"], serde_json::json!([]));

    let report = sanitized(&[], true);
    let accused = || report.findings.iter().filter(|f| f.verdict != "steady");
    let left: Vec<_> = accused().filter(|f| is_the_sanitizers(f)).collect();
    assert_eq!(left.len(), 0, "{left:?}");
    let leaks = accused().filter(|f| f.passes("leak_page"));
    assert_eq!(leaks.count(), 1, "{}", report.document["findings"]);
    let suppressed = report.document["suppressed"].as_array().unwrap();
    let told = |word: &str| {
        suppressed.iter().any(|one| {
            one["why"].as_str().unwrap().contains(word)
                && one["built_in"] == true
                && one["findings"].as_u64() >= Some(1)
                && one["outstanding"].as_u64() >= Some(10)
        })
    };
    assert!(told("stack depot") && told("dlclose"), "{suppressed:?}");
}
