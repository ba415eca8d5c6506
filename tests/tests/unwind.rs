//! Stacks are whole, from the call that acquires to where the thread began, however
//! a program was compiled and however control came there.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use harness::compile::{Recipe, installed, line_of, rustc};
use harness::stacks::{assert_lines, assert_stack, bare};
use harness::{BRIEF_NURSERY, Report, Tracer, Victim, alone, grow_old};

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
    let pid = victim.pid().to_string();
    let tracer = Tracer::start(&[&["-p", &pid], &BRIEF_NURSERY[..]].concat());
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

/// Asserts whole stacks of a build of `chain` that begins in the C library and in
/// which the C library begins; run and attached to.
fn assert_whole(program: &Path) {
    assert_whole_between(program, &["[libc]"], &["[libc]", "_start"]);
}

fn assert_whole_between(program: &Path, begin: &[&str], end: &[&str]) {
    let _alone = alone();
    let ways = [
        ("open", "file", "leak_open"),
        ("openat", "file", "leak_openat"),
        ("socket", "socket", "leak_socket"),
        ("eventfd", "eventfd", "leak_eventfd"),
    ];
    let mut command = vec![text(program), "12"];
    command.extend(ways.iter().map(|(way, ..)| way));
    let report = run(&command);
    for (way, kind, leak) in ways {
        assert_chain(&report, kind, way, &chain(begin, leak, end));
    }
    let report = attach(program, &["12", "openat"]);
    assert_chain(&report, "file", "openat", &chain(begin, "leak_openat", end));
}

/// Asserts the stack and, since all victims have debug information, its lines.
fn assert_chain(report: &Report, kind: &str, way: &str, expected: &[&str]) {
    let leak = format!("leak_{way}");
    let functions = [&leak, "inner", "middle", "outer", "main"];
    let lines = functions.map(|function| (function, line_of("chain.c", function)));
    for finding in assert_stack(report, kind, COUNT, expected) {
        assert_lines(finding, "chain.c", &lines);
    }
}

#[test]
fn without_frame_pointers_and_without_a_plt() {
    let flags = ["-O2", "-fomit-frame-pointer", "-fno-plt", "-Wl,-z,now"];
    assert_whole(&Recipe::gcc("chain-no-plt", "chain.c", &flags).program());
}

#[test]
fn without_frame_pointers_through_a_plt_bound_lazily() {
    let flags = ["-O2", "-fomit-frame-pointer", "-fplt", "-Wl,-z,lazy"];
    // The first call of each goes through the loader.
    assert_whole(&Recipe::gcc("chain-plt", "chain.c", &flags).program());
}

#[test]
fn with_branch_protection() {
    let flags = ["-O2", "-fcf-protection=full", "-Wl,-z,ibtplt"];
    assert_whole(&Recipe::gcc("chain-cet", "chain.c", &flags).program());
}

#[test]
fn without_optimization() {
    assert_whole(&Recipe::gcc("chain-o0", "chain.c", &["-O0"]).program());
}

#[test]
fn with_frame_pointers() {
    let flags = ["-O2", "-fno-omit-frame-pointer"];
    assert_whole(&Recipe::gcc("chain-fp", "chain.c", &flags).program());
}

#[test]
fn at_a_fixed_address() {
    let flags = ["-O2", "-fno-pie", "-no-pie"];
    assert_whole(&Recipe::gcc("chain-no-pie", "chain.c", &flags).program());
}

#[test]
fn linked_statically() {
    let flags = ["-O2", "-fomit-frame-pointer", "-static"];
    let program = Recipe::gcc("chain-static", "chain.c", &flags).program();
    assert_whole_between(&program, &["[one]"], &["[any]", "_start"]);
}

#[test]
fn linked_statically_at_any_address() {
    let flags = ["-O2", "-fPIE", "-static-pie"];
    let program = Recipe::gcc("chain-static-pie", "chain.c", &flags).program();
    assert_whole_between(&program, &["[one]"], &["[any]", "_start"]);
}

#[test]
fn stripped_with_debug_information_apart() {
    if installed("objcopy").is_some() {
        assert_whole(&Recipe::gcc("chain-apart", "chain.c", &PLAIN).stripped());
    }
}

#[test]
fn with_unwind_tables_in_debug_information_alone() {
    let flags = [
        "-O2",
        "-fomit-frame-pointer",
        "-fno-asynchronous-unwind-tables",
    ];
    assert_whole(&Recipe::gcc("chain-debug-frame", "chain.c", &flags).program());
}

#[test]
fn with_realigned_frames() {
    let flags = ["-O2", "-mstackrealign", "-fomit-frame-pointer"];
    assert_whole(&Recipe::gcc("chain-realign", "chain.c", &flags).program());
    let program = Recipe::gcc("ways-realign", "ways.c", &flags).program();
    let expected = [
        "[libc]",
        "leak_aligned",
        "realigned",
        "by_alignment",
        "main",
    ];
    assert_way(
        &program,
        &["aligned"],
        &[&expected[..], &["[libc]", "_start"]].concat(),
    );
}

#[test]
fn of_clang() {
    if let Some(clang) = installed("clang") {
        let recipe = Recipe {
            compiler: text(&clang),
            ..Recipe::gcc("chain-clang", "chain.c", &PLAIN)
        };
        assert_whole(&recipe.program());
    }
}

/// musl comes without unwind tables: the stack is whole as far as the program goes.
/// What precedes the leak's function exists only within it.
#[test]
fn of_musl() {
    let Some(gcc) = installed("musl-gcc") else {
        return;
    };
    for (name, flags) in [
        ("chain-musl", &["-O2"][..]),
        ("chain-musl-static", &["-O2", "-static"]),
    ] {
        let recipe = Recipe {
            compiler: text(&gcc),
            ..Recipe::gcc(name, "chain.c", flags)
        };
        let program = recipe.program();
        let _alone = alone();
        let report = run(&[text(&program), "12", "raw"]);
        assert_chain(
            &report,
            "file",
            "raw",
            &chain(&["[any]"], "leak_raw", &["[any]"]),
        );
    }
}

#[test]
fn of_cpp_with_exceptions_and_inlined_functions() {
    let Some(compiler) = installed("g++") else {
        return;
    };
    let recipe = Recipe {
        compiler: text(&compiler),
        ..Recipe::gcc("thrower", "thrower.cpp", &PLAIN)
    };
    let program = recipe.program();
    let _alone = alone();
    let report = run(&[text(&program), "12"]);
    let whole = |functions: &[&str]| {
        let expected = [&["[libc]"], functions, &["main", "[libc]", "_start"]].concat();
        assert_stack(&report, "file", COUNT, &expected)
    };
    whole(&["victim::Keeper::leak_in_catch", "victim::catches"]);
    let cleanup = ["victim::leak_in_cleanup", "victim::Guard::~Guard"];
    whole(&[&cleanup[..], &["victim::guarded", "victim::cleans"]].concat());
    let levels = [0, 1, 2].map(|level| format!("victim::Level<{level}>::leak"));
    let mut inlined: Vec<&str> = levels.iter().map(String::as_str).collect();
    inlined.push("victim::leak_inlined");
    for finding in whole(&inlined) {
        for frame in &finding.stack {
            let name = bare(&frame.symbol);
            if frame.symbol.contains("victim::") {
                assert_eq!(frame.inlined, name != "victim::leak_inlined", "{frame:?}");
            }
        }
    }
}

#[test]
fn of_rust() {
    let compiler = rustc();
    let recipe = Recipe {
        name: "nested-rust",
        source: "nested.rs",
        compiler: text(&compiler),
        flags: &["-O", "-g", "--edition=2024"],
        libraries: &[],
    };
    let program = recipe.program();
    let _alone = alone();
    let report = run(&[text(&program), "12"]);
    let functions = ["leak_file", "middle", "outer", "main"].map(|name| format!("nested::{name}"));
    let mut expected = vec!["[libc]", "[any]"];
    expected.extend(functions.iter().map(String::as_str));
    expected.extend(["[any]", "main", "[libc]", "_start"]);
    assert_stack(&report, "file", COUNT, &expected);
}

#[test]
fn of_go_also_without_symbols() {
    let Some(go) = installed("go") else {
        return;
    };
    for (name, flags) in [
        ("nested-go", &[][..]),
        ("nested-go-stripped", &["-ldflags", "-s -w"]),
    ] {
        let recipe = Recipe {
            name,
            source: "nested.go",
            compiler: text(&go),
            flags,
            libraries: &[],
        };
        let program = recipe.program();
        let _alone = alone();
        let report = run(&[text(&program), "12"]);
        let main = ["main.leakFile", "main.middle", "main.outer", "main.main"];
        let end = ["runtime.main", "runtime.goexit"];
        assert_stack(
            &report,
            "file",
            COUNT,
            &[&["[any]"], &main[..], &end].concat(),
        );
        let worker = ["[any]", "main.leakSocket", "main.worker", "[any]"];
        let expected = [&worker[..], &["runtime.goexit"]].concat();
        assert_stack(&report, "socket", COUNT, &expected);
    }
}

/// Asserts the whole stack of one of the ways of the victim `ways`: run to its end,
/// and attached to.
fn assert_way(program: &Path, arguments: &[&str], expected: &[&str]) {
    let _alone = alone();
    let arguments = [&arguments[..1], &["12"], &arguments[1..]].concat();
    let report = run(&[&[text(program)], &arguments[..]].concat());
    assert_stack(&report, "file", COUNT, expected);
    let report = attach(program, &arguments);
    assert_stack(&report, "file", COUNT, expected);
}

/// The same for the common build, where the frames between the C library's are these.
fn assert_in(arguments: &[&str], frames: &[&str]) {
    let program = Recipe::gcc("ways", "ways.c", &PLAIN).program();
    let expected = [&["[libc]"], frames, &["main", "[libc]", "_start"]].concat();
    assert_way(&program, arguments, &expected);
}

#[test]
fn in_a_signal_handler() {
    let frames = [
        "leak_in_handler",
        "on_signal",
        "[libc]",
        "interrupted",
        "by_signal",
    ];
    assert_in(&["signal"], &frames);
}

#[test]
fn in_a_signal_handler_on_a_stack_of_its_own() {
    let frames = [
        "leak_on_altstack",
        "on_altstack",
        "[libc]",
        "spinning",
        "by_altstack",
    ];
    assert_in(&["altstack"], &frames);
}

#[test]
fn after_a_long_jump() {
    assert_in(&["longjmp"], &["leak_after_jump", "by_longjmp"]);
}

#[test]
fn with_frames_larger_than_any_copy() {
    assert_in(&["large"], &["leak_far", "variable", "spacious", "by_size"]);
}

#[test]
fn with_a_frame_aligned_to_a_cache_line() {
    assert_in(&["aligned"], &["leak_aligned", "realigned", "by_alignment"]);
}

#[test]
fn through_code_without_tables() {
    let frames = [
        "leak_below_jit",
        "called_back",
        "[one]",
        "calling",
        "by_jit",
    ];
    assert_in(&["jit"], &frames);
}

#[test]
fn a_hundred_frames_deep() {
    let frames: Vec<&str> = ["leak_deep"]
        .into_iter()
        .chain(std::iter::repeat_n("descend", 100))
        .chain(["by_depth"])
        .collect();
    assert_in(&["deep", "100"], &frames);
}

#[test]
fn deeper_than_is_kept_the_innermost_remain_and_it_is_told() {
    let _alone = alone();
    let program = Recipe::gcc("ways", "ways.c", &PLAIN).program();
    let report = run(&[text(&program), "deep", "12", "300"]);
    let found = assert_stack(&report, "file", COUNT, &["[libc]", "leak_deep", "[any]"]);
    for finding in found {
        let descents = &finding.stack[2..];
        assert!(finding.stack.len() >= 127, "{}", finding.stack.len());
        assert!(
            descents
                .iter()
                .skip(1)
                .all(|frame| frame.symbol == "descend"),
            "{finding:?}"
        );
    }
    assert!(report.health.stacks_truncated > 0, "{:?}", report.health);
}

#[test]
fn of_a_thread_and_of_a_coroutine() {
    let program = Recipe::gcc("ways", "ways.c", &PLAIN).program();
    let thread = [
        "[libc]",
        "leak_in_thread",
        "thread_inner",
        "thread_main",
        "[libc]",
    ];
    assert_way(&program, &["thread"], &thread);
    let coroutine = ["[libc]", "leak_in_coroutine", "coroutine", "[libc]"];
    assert_way(&program, &["coroutine"], &coroutine);
}

#[test]
fn of_a_thread_that_outlives_the_first() {
    let program = Recipe::gcc("ways", "ways.c", &PLAIN).program();
    let thread = ["leak_in_thread", "thread_inner", "last_thread"];
    let expected = [&["[libc]"], &thread[..], &["[libc]"]].concat();
    assert_way(&program, &["leaderless"], &expected);
}

/// Where the C library's symbols are at hand, the very last frame is known by name.
#[test]
fn of_a_thread_down_to_its_start() {
    let _alone = alone();
    let flags = ["-O2", "-fomit-frame-pointer", "-static"];
    let program = Recipe::gcc("ways-static", "ways.c", &flags).program();
    let report = run(&[text(&program), "thread", "12"]);
    let thread = [
        "leak_in_thread",
        "thread_inner",
        "thread_main",
        "start_thread",
    ];
    let expected = [&["[one]"], &thread[..], &["[one]"]].concat();
    for finding in assert_stack(&report, "file", COUNT, &expected) {
        let last = &finding.stack.last().unwrap().symbol;
        assert!(last.contains("clone"), "{last}");
    }
}

#[test]
fn in_a_child_that_borrows_its_parents_stack() {
    let frames = ["leak_in_vfork", "vforking", "by_vfork"];
    assert_in(&["vfork"], &frames);
}

#[test]
fn in_a_child_that_was_just_forked() {
    assert_in(&["fork"], &["leak_in_fork", "forking", "by_fork"]);
}

#[test]
fn of_vfork_itself() {
    let _alone = alone();
    let program = Recipe::gcc("ways", "ways.c", &PLAIN).program();
    let report = attach(&program, &["zombies", "12"]);
    let expected = [
        "[libc]",
        "leak_child",
        "by_zombies",
        "main",
        "[libc]",
        "_start",
    ];
    assert_stack(&report, "process", COUNT, &expected);
}

/// Two libraries whose frames differ in size.
fn plugins() -> [String; 2] {
    [("alpha", "100"), ("beta", "3000")].map(|(name, room)| {
        let (function, room) = (format!("-DNAME=leak_{name}"), format!("-DROOM={room}"));
        let flags = ["-O2", "-shared", "-fPIC", &function, &room];
        let library = format!("{name}.so");
        text(&Recipe::gcc(&library, "plugin.c", &flags).program()).to_owned()
    })
}

#[test]
fn in_a_library_loaded_while_the_program_runs() {
    let [library, _] = plugins();
    assert_in(
        &["plugin", &library],
        &["leak_alpha", "within", "plugin", "use", "by_plugin"],
    );
}

#[test]
fn in_a_library_that_took_the_place_of_another() {
    let [first, second] = plugins();
    let arguments = ["reloaded", &first, &second];
    for name in ["leak_alpha", "leak_beta"] {
        assert_in(
            &arguments,
            &[name, "within", "plugin", "use", "by_reloaded"],
        );
    }
}

/// Its file was met before neither on disk nor in memory.
#[test]
fn from_the_first_acquisition_of_a_child_on() {
    let program = Recipe::gcc("chain-first", "chain.c", &PLAIN).program();
    let _alone = alone();
    let script = format!("{} 12 socket </dev/null; true", text(&program));
    let report = run(&["sh", "-c", &script]);
    let expected = chain(&["[libc]"], "leak_socket", &["[libc]", "_start"]);
    assert_stack(&report, "socket", COUNT, &expected);
}

#[test]
fn of_a_program_that_is_gone_in_30_ms() {
    let _alone = alone();
    for (name, flags, begin) in [
        ("brief", &["-O2"][..], "[libc]"),
        ("brief-static", &["-O2", "-static"], "[one]"),
    ] {
        let program = Recipe::gcc(name, "brief.c", flags).program();
        let expected = [begin, "leak_brief", "first", "main", "[any]", "_start"];
        assert_stack(&run(&[text(&program)]), "file", 1, &expected);
        // The same as the second program of its process, and as a child of a shell.
        let command = format!("exec {}", text(&program));
        assert_stack(&run(&["sh", "-c", &command]), "file", 1, &expected);
        let command = format!("for i in 1 2 3 4 5 6; do {}; done", text(&program));
        assert_stack(&run(&["sh", "-c", &command]), "file", 6, &expected);
    }
}

/// A processor knows a stack again that it has just taken: the way that led there must
/// be the one that is told, although everything else is the same.
#[test]
fn of_two_callers_in_turn() {
    let _alone = alone();
    for (name, flag) in [
        ("again", "-fomit-frame-pointer"),
        ("again-fp", "-fno-omit-frame-pointer"),
    ] {
        let program = Recipe::gcc(name, "again.c", &["-O2", flag]).program();
        let report = run(&[text(&program), "12"]);
        for caller in ["left", "right"] {
            let expected = ["[libc]", "leak_again", caller, "main", "[libc]", "_start"];
            for finding in assert_stack(&report, "file", COUNT, &expected) {
                let lines = [caller].map(|caller| (caller, line_of("again.c", caller)));
                assert_lines(finding, "again.c", &lines);
            }
        }
    }
}
