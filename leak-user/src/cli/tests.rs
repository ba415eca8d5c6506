#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use clap::CommandFactory;
use leak_common::Kind;

use super::*;
use crate::output::formats::FORMATS;
use crate::recording::writer::PartLimit;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::from_args(line.split(' '))
}

fn trace(line: &str) -> Trace {
    match parse(line).unwrap().command {
        Command::Trace(trace) => trace,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn defaults_are_those_of_the_help() {
    let trace = trace("leaktrace trace");
    assert_eq!(trace.pids, Vec::<u32>::new());
    let options = trace.options;
    assert_eq!(options.selection.comms, Vec::<String>::new());
    assert_eq!(options.selection.cgroup, None);
    assert_eq!(
        options.selection.kinds().iter().count(),
        Kind::ALL.len() - 1
    );
    assert!(!options.selection.kinds().contains(Kind::Heap));
    assert_eq!(options.selection.duration, None);
    assert_eq!(options.selection.interval(), Duration::from_secs(1));
    assert_eq!(options.report.min_age(), Some(Duration::from_secs(10)));
    assert_eq!(options.selection.nursery, Duration::from_secs(1));
    assert_eq!(options.report.top, 10);
    assert!(!options.report.all);
    assert_eq!(options.report.format.name, "text");
    assert_eq!(options.report.output, None);
    assert_eq!(options.selection.ring_size, 16 << 20);
}

#[test]
fn options_are_read() {
    let trace = trace(
        "leaktrace trace -p 1 -p 4194304 --comm nginx --comm php-fpm -k file,socket -k pipe \
         -d 2m -i 500ms --min-age 0s --nursery 250ms -n 3 --all -f json -o out.json --ring-size 512K",
    );
    assert_eq!(trace.pids, [1, 4_194_304]);
    let options = trace.options;
    assert_eq!(options.selection.comms, ["nginx", "php-fpm"]);
    assert_eq!(
        options.selection.kinds(),
        [Kind::File, Kind::Socket, Kind::Pipe].into_iter().collect()
    );
    assert_eq!(options.selection.duration, Some(Duration::from_secs(120)));
    assert_eq!(options.selection.interval(), Duration::from_millis(500));
    assert_eq!(options.report.min_age(), Some(Duration::ZERO));
    assert_eq!(options.selection.nursery, Duration::from_millis(250));
    assert_eq!(options.report.top, 3);
    assert!(options.report.all);
    assert_eq!(options.report.format.name, "json");
    assert_eq!(options.report.output, Some("out.json".into()));
    assert_eq!(options.selection.ring_size, 512 << 10);
}

#[test]
fn a_short_trace_shortens_the_default_interval() {
    let options = trace("leaktrace trace -d 500ms").options;
    assert_eq!(options.selection.interval(), Duration::from_millis(500));
}

#[test]
fn the_command_keeps_its_own_options() {
    let cli = parse("leaktrace run --fail-on suspect -- sh -c true --color never -- x").unwrap();
    let Command::Run(run) = cli.command else {
        panic!("not run")
    };
    assert_eq!(
        run.command,
        ["sh", "-c", "true", "--color", "never", "--", "x"]
    );
    assert_eq!(run.failing.fail_on, Some(FailOn::Suspect));
    assert_eq!(cli.color, Color::Auto);
}

#[test]
fn a_command_needs_no_dashes_before_it() {
    for (line, command) in [
        ("run ls", vec!["ls"]),
        ("run -d 10 ls -l -d 3", vec!["ls", "-l", "-d", "3"]),
        (
            "run --fail-on leak ls -- -p 1 -- x",
            vec!["ls", "--", "-p", "1", "--", "x"],
        ),
        ("run -- -odd-name", vec!["-odd-name"]),
        ("record -o x ls --force", vec!["ls", "--force"]),
    ] {
        let parsed = match parse(&format!("leaktrace {line}")).unwrap().command {
            Command::Run(run) => run.command,
            Command::Record(record) => {
                assert!(!record.force);
                record.command
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(parsed, command, "{line}");
    }
}

#[test]
fn limits_of_a_command_are_read() {
    let cli = parse("leaktrace run --limit nofile=256,nproc=64 --limit as=2G true").unwrap();
    let Command::Run(run) = cli.command else {
        panic!("not run")
    };
    let limits: Vec<String> = run.limits.iter().map(ToString::to_string).collect();
    assert_eq!(limits, ["nofile=256", "nproc=64", "as=2147483648"]);
}

#[test]
fn a_number_alone_is_seconds_and_kinds_have_two_names() {
    let selection = trace("leaktrace trace -d 10 --kind pipe,file")
        .options
        .selection;
    assert_eq!(selection.duration, Some(Duration::from_secs(10)));
    assert_eq!(
        selection.kinds(),
        [Kind::Pipe, Kind::File].into_iter().collect()
    );
}

#[test]
fn help_is_a_command_too() {
    for line in ["leaktrace help", "leaktrace help trace"] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{line}");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let pages = manual_pages();
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"leaktrace.1") && names.contains(&"leaktrace-trace.1"),
        "{names:?}"
    );
    assert_eq!(names.len(), 10);
    for (name, page) in &pages {
        let page = String::from_utf8_lossy(page);
        assert!(
            page.contains(".SH OPTIONS") && page.contains("Examples"),
            "{name}"
        );
    }
}

#[test]
fn two_reports_are_compared() {
    let cli = parse("leaktrace diff --fail-on leak -n 3 a.json b.json -f json").unwrap();
    let Command::Diff(diff) = cli.command else {
        panic!("not diff")
    };
    assert_eq!(diff.base, std::path::Path::new("a.json"));
    assert_eq!(diff.new, std::path::Path::new("b.json"));
    assert_eq!(diff.fail_on, Some(FailOn::Leak));
    assert_eq!((diff.top, diff.all, diff.format.name), (3, false, "json"));
    for line in [
        "leaktrace diff",
        "leaktrace diff a.json",
        "leaktrace diff a b c",
        "leaktrace diff a b -f html",
    ] {
        assert_eq!(
            parse(line).unwrap_err().exit_code(),
            i32::from(exit_code::USAGE),
            "{line}"
        );
    }
}

#[test]
fn color_and_verbosity_go_before_or_after_the_command() {
    for line in [
        "leaktrace --color never -vv doctor",
        "leaktrace doctor -vv --color never",
    ] {
        let cli = parse(line).unwrap();
        assert_eq!((cli.color, cli.verbose), (Color::Never, 2), "{line}");
    }
}

#[test]
fn wrong_usage_is_told_with_code_2() {
    let nine_comms = "leaktrace trace".to_owned() + &" --comm a".repeat(9);
    for (line, message) in [
        (
            "leaktrace trace -k fiel",
            "tip: a similar value exists: 'file'",
        ),
        (
            "leaktrace trace -k nothing",
            "possible values: all, file, directory, socket",
        ),
        ("leaktrace trace -k file,,pipe", "possible values"),
        (
            "leaktrace trace -k heap",
            "the heap is not traced in this version",
        ),
        (
            "leaktrace trace -p 1 -k file,heap",
            "the heap is not traced in this version",
        ),
        ("leaktrace trace -p 0", "a number from 1 to 4194304"),
        ("leaktrace trace -p 4194305", "a number from 1 to 4194304"),
        ("leaktrace trace -p nginx", "a number from 1 to 4194304"),
        ("leaktrace trace -p -1", "unexpected argument '-1'"),
        ("leaktrace trace --comm=", "not empty"),
        (
            "leaktrace trace --comm 0123456789abcdef",
            "15 bytes of a process name",
        ),
        (&nine_comms, "--comm was given 9 times, at most 8"),
        (
            "leaktrace trace --cgroup=",
            "value is required for '--cgroup <PATH>'",
        ),
        ("leaktrace trace -d 0s", "zero"),
        ("leaktrace trace -d 10x", "as 10s, 500ms or 2m"),
        (
            "leaktrace trace -d 10 5",
            "to trace the process 5, use '-p 5'",
        ),
        ("leaktrace trace 1234", "use '-p 1234'"),
        ("leaktrace trace -d 2years", "at most 365 days"),
        ("leaktrace trace -i 0ms", "zero"),
        (
            "leaktrace trace -d 1s -i 2s",
            "--interval is longer than --duration",
        ),
        ("leaktrace trace --nursery 0s", "zero"),
        ("leaktrace trace -n 0", "0 is not in 1.."),
        ("leaktrace trace -f xml", "possible values: text, json"),
        ("leaktrace trace --ring-size 3M", "power of two"),
        ("leaktrace trace --ring-size 1", "power of two"),
        ("leaktrace trace --ring-size 4G", "power of two"),
        (
            "leaktrace trace --ring-size 16X",
            "as 16777216, 512K or 16M",
        ),
        ("leaktrace trace --ring-size é", "as 16777216, 512K or 16M"),
        (
            "leaktrace trace --ring-size 99999999999G",
            "as 16777216, 512K or 16M",
        ),
        (
            "leaktrace trace --fail-on leak",
            "unexpected argument '--fail-on'",
        ),
        ("leaktrace run", "<COMMAND> [ARGS]..."),
        ("leaktrace run --", "<COMMAND> [ARGS]..."),
        ("leaktrace run -p 1 -- ls", "unexpected argument '-p'"),
        ("leaktrace run --fail-onn leak ls", "'--fail-onn'"),
        ("leaktrace run --limit files=3 ls", "there are as, core"),
        ("leaktrace run --limit nofile ls", "such as nofile=256"),
        ("leaktrace trace --force", "--record"),
        (
            "leaktrace run --fail-on steady -- ls",
            "possible values: leak, suspect",
        ),
        (
            "leaktrace --color sometimes doctor",
            "possible values: auto, always, never",
        ),
        ("leaktrace completions tcl", "possible values: bash"),
        #[cfg(not(feature = "parquet"))]
        ("leaktrace trace -f parquet", "built without it"),
        ("leaktrace record", "required arguments were not provided"),
        ("leaktrace record -o - --rotate 1h", "--rotate needs files"),
        ("leaktrace record -o x --rotate 10Q", "as 10m or 1h"),
        (
            "leaktrace record -o x --rotate 10m --rotate 1h",
            "cannot be used multiple times",
        ),
        ("leaktrace record -o x --rotate 500ms", "at least 1s"),
        ("leaktrace record -o x --max-size 1K", "at least 64K"),
        ("leaktrace record -o x --keep 3", "--rotate"),
        ("leaktrace record -o x --past 4M", "--on-trigger"),
        (
            "leaktrace record -o x --on-trigger nofile>80",
            "'80' is no share of a limit",
        ),
        (
            "leaktrace record -o x --on-trigger findings --rotate 1h",
            "cannot be used with",
        ),
        ("leaktrace record -o x -p 1 -- ls", "cannot be used with"),
        ("leaktrace report", "<FILE>..."),
        ("leaktrace report x --from yesterday", "or RFC 3339"),
        ("leaktrace report x --fail-on steady", "leak, suspect"),
        ("leaktrace verify", "<FILE>..."),
        ("leaktrace agent", "unrecognized subcommand 'agent'"),
        ("leaktrace", "Usage: leaktrace"),
    ] {
        let error = parse(line).expect_err(line);
        let text = error.render().to_string();
        assert!(text.contains(message), "{line}: {text}");
        assert_eq!(error.exit_code(), i32::from(exit_code::USAGE), "{line}");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn tables_need_a_directory() {
    assert!(parse("leaktrace trace -f parquet -o tables").is_ok());
    for command in ["trace -f parquet", "report a.ltr -f parquet"] {
        let error = parse(&format!("leaktrace {command}")).expect_err(command);
        assert!(error.to_string().contains("-o DIRECTORY"), "{error}");
        assert_eq!(error.exit_code(), i32::from(exit_code::USAGE));
    }
}

/// Every command with its long help.
fn long_helps() -> Vec<(String, String)> {
    let mut command = Cli::command();
    command.build();
    let mut helps = vec![(
        "leaktrace".to_owned(),
        command.render_long_help().to_string(),
    )];
    for subcommand in command.get_subcommands_mut() {
        if subcommand.get_name() == "help" {
            continue;
        }
        helps.push((
            subcommand.get_name().to_owned(),
            subcommand.render_long_help().to_string(),
        ));
    }
    helps
}

#[test]
fn every_example_of_the_help_parses() {
    let helps = long_helps();
    assert_eq!(helps.len(), 10);
    for (name, text) in helps {
        let examples: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with("leaktrace "))
            .collect();
        assert!(!examples.is_empty(), "{name}: {text}");
        for example in examples {
            // As a shell takes it.
            let example = &example.replace('\'', "");
            parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }
}

#[test]
fn the_help_names_the_exit_codes_and_only_commands_that_exist() {
    let (_, text) = &long_helps()[0];
    for code in 0..=5 {
        assert!(text.contains(&format!("\n  {code}  ")), "{code}: {text}");
    }
    for absent in ["top ", "agent"] {
        assert!(!text.contains(&format!("\n  {absent}")), "{absent}: {text}");
    }
}

#[test]
fn heap_is_offered_nowhere() {
    for (name, text) in long_helps() {
        assert!(!text.contains("heap"), "{name}: {text}");
    }
}

#[test]
fn there_is_a_completion_script_for_every_shell() {
    use clap::ValueEnum;
    for shell in clap_complete::Shell::value_variants() {
        let script = String::from_utf8(completion_script(*shell)).unwrap();
        assert!(script.contains("leaktrace"), "{shell}");
    }
}

#[test]
fn every_format_is_described_with_a_command_that_parses() {
    let document = include_str!("../../docs/outputs.md");
    for format in FORMATS {
        let name = format.name;
        assert!(document.contains(&format!("\n| `{name}` |")), "{name}");
        let option = format!(" -f {name} ");
        let command = document
            .lines()
            .find(|line| line.starts_with("leaktrace ") && line.contains(&option))
            .or_else(|| (*format == FORMATS[0]).then_some("leaktrace trace"))
            .unwrap_or_else(|| panic!("{name} has no example"));
        let command = command.split(" | ").next().unwrap_or(command);
        parse(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

#[test]
fn every_command_of_the_readme_parses() {
    let readme = include_str!("../../../README.md");
    let commands: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("$ ").or(Some(line)))
        .filter(|line| line.starts_with("leaktrace "))
        .map(|line| line.split("  ").next().unwrap_or(line))
        .collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let parsed = Cli::from_args(command.split_ascii_whitespace());
        assert!(parsed.is_ok(), "{command}: {parsed:?}");
    }
}

#[test]
fn recordings_and_times_are_read() {
    let cli = parse(
        "leaktrace record -o x.lkt -k socket --all-events --rotate 64M --keep 3 --redact -i 2s",
    );
    let Command::Record(record) = cli.unwrap().command else {
        panic!("not record")
    };
    assert_eq!(record.rotate, Some(PartLimit::Bytes(64 << 20)));
    assert_eq!(
        (record.keep, record.redact, record.all_events),
        (Some(3), true, true)
    );
    assert_eq!(
        record.selection.kinds(),
        [Kind::Socket].into_iter().collect()
    );
    let cli = parse("leaktrace record -o x --rotate 10m -- ls -l").unwrap();
    let Command::Record(record) = cli.command else {
        panic!("not record")
    };
    assert_eq!(
        record.rotate,
        Some(PartLimit::Age(Duration::from_secs(600)))
    );
    assert_eq!(record.command, ["ls", "-l"]);
    let cli = parse("leaktrace report a b --from 10s --to 2026-01-31T12:00:00Z -p 7 --kind pipe");
    let Command::Report(report) = cli.unwrap().command else {
        panic!("not report")
    };
    assert_eq!(
        report.from,
        Some(crate::model::time::Moment::After(Duration::from_secs(10)))
    );
    assert_eq!(
        report.to,
        Some(crate::model::time::Moment::Wall(1_769_860_800_000_000_000))
    );
    assert_eq!(
        (report.files.len(), report.kinds()),
        (2, [Kind::Pipe].into_iter().collect())
    );
}

#[test]
fn events_are_lines_or_tables_without_a_verdict() {
    let cli = parse("leaktrace report a.lkt --events -f jsonl -k socket").unwrap();
    let Command::Report(report) = cli.command else {
        panic!("not report")
    };
    assert!(report.events);
    let cli = parse("leaktrace trace --events -f jsonl --all-events").unwrap();
    let Command::Trace(trace) = cli.command else {
        panic!("not trace")
    };
    assert!(trace.options.events && trace.options.all_events);
    for (wrong, message) in [
        ("--events", "add -f jsonl"),
        ("--events -f json", "add -f jsonl"),
        ("--events -f jsonl --fail-on leak", "--fail-on"),
        ("--events -f jsonl --suppressions x", "--suppressions"),
        (
            "--events -f jsonl --no-default-suppressions",
            "--no-default-suppressions",
        ),
    ] {
        for command in ["report a.lkt", "run"] {
            let error = parse(&format!("leaktrace {command} {wrong} -- x")).expect_err(wrong);
            assert!(error.to_string().contains(message), "{wrong}: {error}");
            assert_eq!(error.exit_code(), i32::from(exit_code::USAGE));
        }
    }
}
