//! Every format of a report, written by a real trace and opened by what it is for. The
//! victim has a name that each format must escape.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use harness::compile::installed;
use harness::tracer::{Ran, command, run};
use harness::victim::program;
use harness::{BRIEF_NURSERY, beside_others, duckdb};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A process's name: markup, a separator of folded stacks, quotes, what turns
/// a terminal's colours around.
const NAME: &str = "<b>;\"&'\u{1b}[7m";

/// What the victim leaks: 20 files in a second.
const LEAKED: u64 = 20;

/// Where a trace wrote its report.
struct Written {
    directory: TempDir,
}

impl Written {
    fn path(&self) -> PathBuf {
        self.directory.path().join("report")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

/// Traces a program of that name that leaks files in `leak_grower`.
fn trace(format: &str) -> Written {
    let directory = TempDir::new().unwrap();
    let victim = directory.path().join(NAME);
    fs::copy(program("grower"), &victim).unwrap();
    let written = Written { directory };
    let ran = run(command()
        .arg("run")
        .args(BRIEF_NURSERY)
        .args(["-k", "file", "-f", format, "-o"])
        .arg(written.path())
        .arg("--")
        .arg(&victim)
        .args(["leak", "1", "0"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    written
}

#[test]
fn json_lines_are_a_finding_each_and_a_summary() {
    let _turn = beside_others();
    let text = trace("jsonl").text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (summary, findings) = lines.split_last().unwrap();
    assert_eq!(summary["schema"], "leaktrace.summary/1");
    assert!(summary["health"]["events"].as_u64().unwrap() >= LEAKED);
    let leak: Vec<&Value> = findings
        .iter()
        .filter(|finding| {
            let stack = finding["stack"].as_array().unwrap();
            stack.iter().any(|frame| frame["symbol"] == "leak_grower")
        })
        .collect();
    assert_eq!(leak.len(), 1, "{text}");
    assert_eq!(leak[0]["schema"], "leaktrace.finding/1");
    assert_eq!(leak[0]["comm"], NAME);
    assert_eq!(leak[0]["outstanding"], LEAKED);
}

#[test]
fn folded_stacks_have_the_leak_with_its_count() {
    let _turn = beside_others();
    let text = trace("folded").text();
    let leak: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(";main;leak_grower"))
        .collect();
    assert_eq!(leak.len(), 1, "{text}");
    assert!(
        leak[0].starts_with(r#"<b>\x3b"&'\x1b[7m;_start;"#),
        "{text}"
    );
    assert!(leak[0].ends_with(&format!(" {LEAKED}")), "{text}");
}

#[test]
fn a_flame_graph_is_well_formed_and_shows_the_leak() {
    let _turn = beside_others();
    let written = trace("flamegraph");
    let text = written.text();
    assert!(text.contains(&format!("leak_grower ({LEAKED} resources")));
    assert!(!text.contains("<b>"), "the name is markup");
    let Some(python) = installed("python3") else {
        return;
    };
    let check =
        "import sys, xml.etree.ElementTree as tree; print(tree.parse(sys.argv[1]).getroot().tag)";
    let parsed = ok(Command::new(python).args(["-c", check]).arg(written.path()));
    assert_eq!(parsed.trim(), "{http://www.w3.org/2000/svg}svg");
}

#[test]
fn go_tool_pprof_shows_the_leaking_function_first() {
    let _turn = beside_others();
    let written = trace("pprof");
    let Some(go) = installed("go") else {
        return;
    };
    let pprof = |options: &[&str]| {
        ok(Command::new(&go)
            .args(["tool", "pprof"])
            .args(options)
            .arg(written.path()))
    };
    // The system call is made in a function that is inlined everywhere.
    let top = pprof(&["-top", "-noinlines"]);
    let first = top
        .lines()
        .skip_while(|line| !line.contains("flat%"))
        .nth(1)
        .unwrap_or_default();
    assert!(first.ends_with(" leak_grower"), "{top}");
    assert!(first.trim().starts_with(&LEAKED.to_string()), "{top}");
    let raw = pprof(&["-raw"]);
    for shown in [
        "outstanding/count[dflt] outstanding_bytes/bytes acquired/count",
        r#"comm:[<b>;"&'\x1b[7m] kind:[file] verdict:["#,
        "tests/victims/grower.c:",
    ] {
        assert!(raw.contains(shown), "{shown} is not in\n{raw}");
    }
}

#[test]
fn a_perfetto_trace_has_slices_of_what_is_outstanding_and_counters() {
    let _turn = beside_others();
    let text = trace("perfetto").text();
    let document: Value = serde_json::from_str(&text).unwrap();
    let events = document["traceEvents"].as_array().unwrap();
    let named = |name: &str| -> Vec<&Value> {
        let names = events.iter().filter(|event| event["name"] == name);
        names.map(|event| &event["args"]["name"]).collect()
    };
    assert!(
        named("process_name")
            .iter()
            .any(|name| name.as_str().unwrap().starts_with(NAME))
    );
    assert!(named("thread_name").contains(&&Value::from("file")));
    let slices: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let leaked = |slice: &&&Value| {
        let stack = slice["args"]["stack"].as_array().unwrap();
        stack.contains(&Value::from("leak_grower"))
    };
    let slice = slices.iter().find(leaked).unwrap();
    assert_eq!(slice["args"]["held_at_exit"], true);
    assert!(slice["dur"].as_i64().unwrap() > 0, "{slice}");
    // A history ends with what was held at the exit, however short the program was.
    let mut counters = events.iter().filter(|event| event["ph"] == "C");
    assert!(
        counters.any(|event| event["args"]["outstanding"] == LEAKED),
        "{text}"
    );
}

#[test]
fn duckdb_reads_the_tables_with_their_types() {
    let _turn = beside_others();
    let help = ok(command().args(["trace", "--help"]));
    if !help.contains("- parquet:") {
        assert!(
            std::env::var_os("LEAKTRACE_DUCKDB").is_none(),
            "this leaktrace should write tables:\n{help}"
        );
        eprintln!("skipped: this leaktrace was built without --features parquet");
        return;
    }
    let Some(python) = duckdb::python() else {
        return;
    };
    let written = trace("parquet");
    let tables = written.path().join("*/*/outstanding-*.parquet");
    let query = |query: &str| duckdb::rows(&python, query, tables.to_str().unwrap());
    let types =
        query("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet($1))");
    for (name, kind) in [
        ("ts", "TIMESTAMP WITH TIME ZONE"),
        ("ts_ns", "BIGINT"),
        ("pid", "BIGINT"),
        ("comm", "VARCHAR"),
        ("outstanding", "BIGINT"),
        ("confidence", "DOUBLE"),
        ("evidence", "VARCHAR[]"),
        (
            "examples",
            "STRUCT(handle VARCHAR, age_seconds DOUBLE, description VARCHAR)[]",
        ),
    ] {
        assert!(
            types.contains(&vec![name.into(), kind.into()]),
            "{name}: {types:?}"
        );
    }
    let rows = query(
        "SELECT comm, verdict IN ('leak', 'suspect'), kind, outstanding, len(examples) > 0, list_contains([f.symbol FOR f IN \
         stack], 'leak_grower'), epoch_us(ts) = ts_ns // 1000, strftime(ts AT TIME ZONE 'UTC', '%Y-%m-%d') \
         = date::VARCHAR, host = hostname, abs(epoch(now()) - epoch(ts)) < 3600 \
         FROM read_parquet($1, hive_partitioning = true) WHERE outstanding > 0",
    );
    let leak = json!([
        NAME, true, "file", LEAKED, true, true, true, true, true, true
    ]);
    assert_eq!(json!(rows), json!([leak]));
}

#[test]
fn a_profile_is_not_written_to_a_terminal() {
    let _turn = beside_others();
    let terminal = terminal();
    let mut refused = command();
    let ran = refused
        .args(["run", "-f", "pprof", "--", "true"])
        .stdout(Stdio::from(terminal.try_clone().unwrap()))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("not written to a terminal"), "{stderr}");
    assert!(
        !stderr.contains("tracing "),
        "it is known before the work begins"
    );
}

/// The end of a pseudo terminal that programs write to.
fn terminal() -> OwnedFd {
    let (mut main, mut terminal) = (-1, -1);
    // SAFETY: both numbers may be written; names and settings are not asked for.
    let result = unsafe {
        libc::openpty(
            &mut main,
            &mut terminal,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    assert_eq!(result, 0);
    // The other end stays open for as long as the test runs.
    // SAFETY: openpty has just opened it for us.
    unsafe { OwnedFd::from_raw_fd(terminal) }
}

/// What a command that must succeed prints on stdout.
fn ok(command: &mut Command) -> String {
    let Ran {
        code,
        stdout,
        stderr,
        ..
    } = run(command);
    assert_eq!(code, 0, "{command:?}: {stdout}{stderr}");
    stdout
}
