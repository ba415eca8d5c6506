//! Small crates, each with one thing that is forbidden or allowed.

use std::collections::BTreeMap;

use super::*;

const BANS: &[Ban] = &[
    Ban {
        paths: &[
            "std::fs",
            "std::time::Instant",
            "time::OffsetDateTime::now*",
        ],
        why: "it is pure",
    },
    Ban {
        paths: &["aya", "println!", "tokio"],
        why: "others do that",
    },
];

const fn room(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room {
        name,
        imports,
        why: "so it is",
        bans: BANS,
    }
}

const TABLE: &[Room] = &[
    room("low", &[]),
    room("high", &["low"]),
    room("high/inner", &[]),
    Room {
        bans: &[],
        ..room("world", &["low", "high"])
    },
    room("lib", &[]),
];

/// The crate that each test adds to.
const ROOT: &str = "pub mod low; pub mod high; pub mod world;";

/// What is wrong with a crate of these files.
fn problems_of(files: &[(&str, &str)], table: &[Room]) -> Vec<String> {
    let files: BTreeMap<&str, &str> = [
        ("lib.rs", ROOT),
        ("low/mod.rs", "pub struct Word;"),
        ("high/mod.rs", "pub mod inner; pub struct Tower;"),
        ("high/inner.rs", ""),
        ("world/mod.rs", "pub struct Clock;"),
    ]
    .into_iter()
    .chain(files.iter().copied())
    .collect();
    let read = |file: &str| files.get(file).map(|text| (*text).to_owned());
    let sources = Sources::read(&["lib.rs"], &read).expect("the crate can be read");
    problems(&sources, table)
}

/// What is wrong with `low` where it says this: what it must not import, in order.
fn forbidden_in_low(text: &str) -> Vec<String> {
    problems_of(&[("low/mod.rs", text)], TABLE)
        .iter()
        .map(|problem| {
            let (_, path) = problem.split_once("must not import `").expect("a breach");
            path.split('`').next().expect("the path ends").to_owned()
        })
        .collect()
}

#[test]
fn a_breach_names_the_place_the_border_and_the_reason() {
    assert_eq!(
        problems_of(
            &[(
                "low/mod.rs",
                "//! Words.\n\nuse std::fs::File;\n\nuse crate::world::Clock;\n"
            )],
            TABLE
        ),
        [
            "low/mod.rs:3: room `low` must not import `std::fs::File`: it is pure",
            "low/mod.rs:5: room `low` must not import `crate::world::Clock`: so it is; it imports no other room",
        ]
    );
    let upwards = problems_of(
        &[("high/mod.rs", "pub mod inner; use crate::world::Clock;")],
        TABLE,
    );
    assert_eq!(
        upwards,
        [
            "high/mod.rs:1: room `high` must not import `crate::world::Clock`: so it is; it imports only low"
        ]
    );
}

#[test]
fn what_the_table_allows_is_no_breach() {
    assert_eq!(
        problems_of(
            &[
                (
                    "low/mod.rs",
                    "use std::{collections::HashMap, time::Duration}; use leak_common::Kind; use time::OffsetDateTime;
                     mod own { pub(crate) struct Part; } use own::Part;
                     fn f(at: OffsetDateTime) -> OffsetDateTime { OffsetDateTime::from_unix_timestamp(1) }",
                ),
                ("high/mod.rs", "pub mod inner; use crate::low::Word; fn f(word: super::low::Word) {}"),
                ("world/mod.rs", "use std::fs; use crate::{high::Tower, low}; fn f() { println!() }"),
            ],
            TABLE
        ),
        [""; 0]
    );
}

#[test]
fn a_use_is_seen_in_braces_and_under_other_names() {
    assert_eq!(
        forbidden_in_low("use std::{collections::{BTreeMap, HashMap}, fs::{self, File}};"),
        ["std::fs::File", "std::fs"]
    );
    assert_eq!(forbidden_in_low("use std::fs as shelf;"), ["std::fs"]);
    assert_eq!(
        forbidden_in_low("extern crate aya as loader; fn f() { loader::load(); }"),
        ["aya"]
    );
    assert_eq!(
        forbidden_in_low("use crate::{low::Word, world::{self as w}};"),
        ["crate::world"]
    );
    assert_eq!(forbidden_in_low("use ::std::fs::File;"), ["std::fs::File"]);
    assert_eq!(
        forbidden_in_low("fn f() { use aya::Ebpf; }"),
        ["aya::Ebpf"],
        "in a function as well"
    );
}

#[test]
fn a_use_of_everything_brings_in_what_is_below() {
    assert_eq!(forbidden_in_low("use std::time::*;"), ["std::time::*"]);
    assert_eq!(forbidden_in_low("use crate::world::*;"), ["crate::world"]);
    assert_eq!(forbidden_in_low("use std::collections::*;"), [""; 0]);
}

#[test]
fn a_path_is_seen_without_a_use() {
    assert_eq!(
        forbidden_in_low("fn f() -> Option<String> { std::fs::read_to_string(\"x\").ok() }"),
        ["std::fs::read_to_string"]
    );
    assert_eq!(
        forbidden_in_low("struct Holder { clock: Option<crate::world::Clock> }"),
        ["crate::world::Clock"]
    );
    assert_eq!(
        forbidden_in_low("fn f() -> bool { matches!(x, crate::world::Clock) }"),
        ["crate::world::Clock"]
    );
    assert_eq!(
        forbidden_in_low("#[derive(aya::Pod)] struct Raw;"),
        ["aya::Pod"]
    );
}

#[test]
fn a_path_that_begins_with_a_name_of_a_use_is_seen_whole() {
    assert_eq!(
        forbidden_in_low("use std::time; fn f() { time::Instant::now(); }"),
        ["std::time::Instant::now"]
    );
    assert_eq!(
        forbidden_in_low("use time::OffsetDateTime as Date; fn f() { Date::now_utc(); }"),
        ["time::OffsetDateTime::now_utc"]
    );
}

#[test]
fn a_name_is_reported_where_it_comes_in() {
    assert_eq!(
        forbidden_in_low("use std::fs;\nfn f() { fs::read(\"a\"); fs::read(\"b\"); }"),
        ["std::fs"]
    );
}

#[test]
fn macros_are_seen_with_what_is_in_them() {
    assert_eq!(
        forbidden_in_low("fn f() { println!(\"x\"); }"),
        ["println!"]
    );
    assert_eq!(
        forbidden_in_low("fn f() { tokio::pin!(x); }"),
        ["tokio::pin!"]
    );
    assert_eq!(
        forbidden_in_low("fn f() { assert!(g(std::fs::exists(\"x\"))); }"),
        ["std::fs::exists"]
    );
    assert_eq!(
        forbidden_in_low(
            "macro_rules! m { () => { use std::{fs::File, io}; $crate::world::f() } }"
        ),
        ["crate::world::f", "std::fs::File"]
    );
    assert_eq!(
        forbidden_in_low("macro_rules! m { () => { println!() } }"),
        ["println!"]
    );
}

#[test]
fn super_is_resolved_from_file_and_inline_module() {
    assert_eq!(
        forbidden_in_low("use super::world::Clock;"),
        ["crate::world::Clock"]
    );
    assert_eq!(
        forbidden_in_low("mod part { mod deep { use super::super::super::world::Clock; } }"),
        ["crate::world::Clock"]
    );
    assert_eq!(
        forbidden_in_low(
            "mod world { pub(super) struct Own; } mod part { use super::world::Own; }"
        ),
        [""; 0]
    );
    let below = [
        ("low/mod.rs", "mod part;"),
        ("low/part.rs", "mod deep;"),
        (
            "low/part/deep.rs",
            "\nuse super::super::super::world::Clock;",
        ),
    ];
    let problems = problems_of(&below, TABLE);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("low/part/deep.rs:2: "),
        "{problems:?}"
    );
}

#[test]
fn what_another_room_passes_on_is_what_it_is() {
    let passed_on = [
        (
            "world/mod.rs",
            "pub struct Clock; pub use std::fs::File as Document; pub use crate::low::Word;",
        ),
        ("high/mod.rs", "pub mod inner; pub use inner::Chamber;"),
        ("high/inner.rs", "pub struct Chamber;"),
        ("low/mod.rs", "pub struct Word; use crate::high::Chamber;"),
    ];
    let problems = problems_of(&passed_on, TABLE);
    assert_eq!(
        problems,
        [
            "high/mod.rs:1: room `high` must not import `crate::high::inner::Chamber`: so it is; it imports only low",
            "low/mod.rs:1: room `low` must not import `crate::high::inner::Chamber`: so it is; it imports no other room",
        ]
    );
    let by_globs = [
        ("high/mod.rs", "pub mod inner; pub use crate::world::*;"),
        ("world/mod.rs", "pub use std::fs::File as Document;"),
        ("low/mod.rs", "use crate::high::Document;"),
    ];
    let problems = problems_of(&by_globs, TABLE);
    assert!(
        problems.contains(
            &"low/mod.rs:1: room `low` must not import `std::fs::File`: it is pure".to_owned()
        ),
        "{problems:?}"
    );
}

#[test]
fn code_for_tests_is_left_out() {
    let with_tests = [
        (
            "low/mod.rs",
            "#[cfg(test)] mod tests; #[cfg(all(test, unix))] mod live_tests { use std::fs; }
             #[cfg(test)] #[path = \"odd_tests.rs\"] mod odd;
             #[cfg(test)] use std::fs::File; #[test] fn t() { std::fs::read(\"x\"); }
             struct Word; impl Word { #[cfg(test)] fn t() { std::fs::read(\"x\"); } }",
        ),
        ("low/tests.rs", "use std::fs;"),
        ("low/odd_tests.rs", "use std::fs;"),
    ];
    assert_eq!(problems_of(&with_tests, TABLE), [""; 0]);
    assert_eq!(
        forbidden_in_low("#[cfg(not(test))] use std::fs;"),
        ["std::fs"]
    );
    assert_eq!(
        forbidden_in_low("#[cfg(any(test, unix))] use std::fs;"),
        ["std::fs"]
    );
}

#[test]
fn a_module_without_a_room_and_one_without_a_file_are_named() {
    let files = [
        (
            "lib.rs",
            "pub mod low; pub mod high; pub mod world; mod attic;",
        ),
        ("attic.rs", ""),
    ];
    assert_eq!(
        problems_of(&files, TABLE),
        ["attic.rs:1: this module is in no room: add it to xtask/src/lint/borders/rooms.rs"]
    );
    let read = |file: &str| (file == "lib.rs").then(|| "\nmod lost;".to_owned());
    let error = Sources::read(&["lib.rs"], &read).expect_err("there is no such file");
    assert_eq!(error.to_string(), "lib.rs:2: no file of module lost");
    let torn = |_: &str| Some("fn f() {}\nfn {".to_owned());
    let error = Sources::read(&["lib.rs"], &torn).expect_err("it is torn");
    assert!(error.to_string().starts_with("lib.rs:2: "), "{error}");
}

#[test]
fn a_room_imports_only_rooms_above_it_in_the_table() {
    for (at, room) in ROOMS.iter().enumerate() {
        for import in room.imports {
            assert!(
                ROOMS[..at].iter().any(|above| above.name == *import),
                "{} imports {import}, which does not stand above it",
                room.name
            );
        }
    }
}
