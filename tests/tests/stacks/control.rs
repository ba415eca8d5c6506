//! Stacks are whole however control came there: by signals, jumps, threads and children,
//! through libraries that come and go.

use harness::beside_others;
use harness::compile::{Recipe, line_of};
use harness::stacks::{assert_lines, assert_stack};

use super::{COUNT, PLAIN, assert_way, attach, chain, run, text};

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
    let _turn = beside_others();
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
    let _turn = beside_others();
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
    let _turn = beside_others();
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
    let _turn = beside_others();
    let script = format!("{} 12 socket </dev/null; true", text(&program));
    let report = run(&["sh", "-c", &script]);
    let expected = chain(&["[libc]"], "leak_socket", &["[libc]", "_start"]);
    assert_stack(&report, "socket", COUNT, &expected);
}

#[test]
fn of_a_program_that_is_gone_in_30_ms() {
    let _turn = beside_others();
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
    let _turn = beside_others();
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
