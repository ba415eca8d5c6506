#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn glob(text: &str) -> Glob {
    Glob::parse(text).unwrap()
}

fn frame(symbol: &str, module: &str, file: Option<&str>) -> Frame {
    Frame {
        symbol: symbol.to_owned(),
        module: module.to_owned(),
        file: file.map(str::to_owned),
        ..Frame::default()
    }
}

#[test]
fn a_star_is_any_text_and_all_else_is_literal() {
    assert!(glob("net/http.(*Transport).*").matches("net/http.(*Transport).dialConn"));
    assert!(!glob("net/http.(*Transport).*").matches("net/http.(*Server).Serve"));
    assert!(glob("*open*").matches("open"));
    assert!(glob("a*b*c").matches("a--b--b--c"));
    assert!(!glob("a*b*c").matches("a--c--b"));
    assert!(!glob("ab*ba").matches("aba"));
    assert!(!glob("open").matches("fopen"));
    assert!(glob("a?[x]").matches("a?[x]"));
    assert!(glob("**").matches("") && glob("*").matches("x"));
}

#[test]
fn alternatives_are_separated_by_bars() {
    let either = glob("fopen|*fopen64");
    assert!(either.matches("fopen") && either.matches("__fopen64"));
    assert!(!either.matches("freopen"));
    assert_eq!(glob("abc|de*").literals(), 2);
}

#[test]
fn empty_and_overlong_patterns_are_refused() {
    for text in ["", "a|", "|", " ", " in libc", "x in "] {
        assert!(FramePattern::parse(text).is_err(), "{text:?}");
    }
    assert!(Glob::parse(&"x".repeat(MAX_PATTERN + 1)).is_err());
    let many = vec![FramePattern::parse("x").unwrap(); MAX_FRAMES + 1];
    assert!(FramePatterns::try_from(many).is_err());
}

#[test]
fn a_place_is_a_module_or_a_file_by_its_last_part_or_whole() {
    let in_module = FramePattern::parse("* in libnio.so").unwrap();
    assert!(in_module.matches(&frame("", "/usr/lib/jvm/lib/libnio.so", None)));
    assert!(!in_module.matches(&frame("", "/usr/lib/libnio.so.1", None)));
    let in_file = FramePattern::parse("*.__init__ in */multiprocessing/*.py").unwrap();
    let file = "/usr/lib/python3.11/multiprocessing/popen_fork.py";
    assert!(in_file.matches(&frame("Popen.__init__", "python3.11", Some(file))));
    assert!(!in_file.matches(&frame("Popen.__init__", "python3.11", Some("/x/popen.py"))));
    let unknown = FramePattern::parse("* in *").unwrap();
    assert!(!unknown.matches(&frame("f", "", None)));
}

#[test]
fn patterns_are_found_in_order_with_gaps() {
    let stack: Vec<Frame> = ["open64", "fopen", "load", "main"]
        .into_iter()
        .map(|symbol| frame(symbol, "", None))
        .collect();
    let patterns = |texts: &[&str]| {
        let all = texts.iter().map(|text| FramePattern::parse(text).unwrap());
        FramePatterns::try_from(all.collect::<Vec<_>>()).unwrap()
    };
    assert!(patterns(&["open64", "load"]).matches(&stack));
    assert!(patterns(&[]).matches(&stack));
    assert!(!patterns(&["load", "fopen"]).matches(&stack));
    // One frame is not two.
    assert!(!patterns(&["main", "main"]).matches(&stack));
}

/// The definition, by going back as far as it takes.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        Some((first, rest)) => text
            .split_first()
            .is_some_and(|(next, text)| next == first && naive(rest, text)),
    }
}

proptest! {
    #[test]
    fn a_glob_matches_what_its_definition_does(pattern in "[ab*]{1,8}", text in "[ab]{0,12}") {
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        prop_assert_eq!(glob(&pattern).matches(&text), naive(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn no_pattern_and_no_name_makes_it_panic(pattern in ".{0,64}", name in ".{0,64}", path in ".{0,64}") {
        if let Ok(pattern) = FramePattern::parse(&pattern) {
            let _ = pattern.matches(&frame(&name, &path, Some(&path)));
            let _ = pattern.literals();
        }
    }
}

#[test]
fn hostile_names_take_no_longer_than_their_length() {
    // Going back would take 10^20 steps.
    let pattern = glob(&"a*".repeat(400));
    let name = "a".repeat(100_000) + "b";
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        assert!(pattern.matches(&name));
        assert!(!glob("*ab*ab").matches(&name));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
}
