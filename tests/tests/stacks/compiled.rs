//! Stacks are whole, from the call that acquires to where the thread began, however a
//! program was compiled.

use std::path::Path;

use harness::compile::{Recipe, installed, line_of, rustc};
use harness::stacks::{assert_lines, assert_stack, bare};
use harness::{Report, beside_others};

use super::{COUNT, PLAIN, assert_way, attach, chain, run, text};

/// Asserts whole stacks of a build of `chain` that begins in the C library and in
/// which the C library begins; run and attached to.
fn assert_whole(program: &Path) {
    assert_whole_between(program, &["[libc]"], &["[libc]", "_start"]);
}

fn assert_whole_between(program: &Path, begin: &[&str], end: &[&str]) {
    let _turn = beside_others();
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
        let _turn = beside_others();
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
    let _turn = beside_others();
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
    let _turn = beside_others();
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
        let _turn = beside_others();
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
