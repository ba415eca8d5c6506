//! The list that is built in, on stacks that were recorded: of small programs that leak
//! in one way each, in `recorded/`, by language, traced with and without the C library's
//! debug symbols.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::model::report::{Example, Frame, Socket};

/// A finding of a recorded trace, and the hint that is right for it.
#[derive(Deserialize)]
struct Recorded {
    hint: String,
    kind: String,
    acquired: u64,
    released: u64,
    /// Symbol, module and file of each frame, innermost first.
    stack: Vec<(String, String, Option<String>)>,
}

impl Recorded {
    fn finding(&self) -> Finding {
        let frame = |(symbol, module, file): &(String, String, Option<String>)| Frame {
            symbol: symbol.clone(),
            module: module.clone(),
            file: file.clone(),
            ..Frame::default()
        };
        Finding {
            verdict: Verdict::Leak,
            kind: self.kind.clone(),
            rule: "growth".to_owned(),
            acquired: self.acquired,
            released: self.released,
            stack: self.stack.iter().map(frame).collect(),
            ..Finding::default()
        }
    }
}

fn recorded() -> Vec<Recorded> {
    let files = [
        include_str!("recorded/c.json"),
        include_str!("recorded/go.json"),
        include_str!("recorded/java.json"),
        include_str!("recorded/node.json"),
        include_str!("recorded/php.json"),
        include_str!("recorded/python.json"),
        include_str!("recorded/ruby.json"),
        include_str!("recorded/rust.json"),
    ];
    files
        .into_iter()
        .flat_map(|text| serde_json::from_str::<Vec<Recorded>>(text).unwrap())
        .collect()
}

fn id(hints: &Hints, finding: &Finding) -> Option<String> {
    hints.about(finding).map(|hint| hint.id.clone())
}

fn built_in(id: &str) -> Hint {
    let all = parse(BUILT_IN).unwrap();
    all.into_iter().find(|hint| hint.id == id).unwrap()
}

#[test]
fn recorded_stacks_have_the_hint_of_their_bug() {
    let hints = Hints::built_in();
    let wrong: Vec<String> = recorded()
        .iter()
        .filter_map(|case| {
            let given = id(&hints, &case.finding()).unwrap_or_default();
            let first: Vec<&str> = case
                .stack
                .iter()
                .map(|(symbol, ..)| symbol.as_str())
                .take(6)
                .collect();
            (given != case.hint)
                .then(|| format!("{} {} has {given:?}: {first:?}", case.kind, case.hint))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_stack_of_another_kind_is_a_near_miss() {
    for case in recorded() {
        let hint = built_in(&case.hint);
        let kind = Kind::ALL
            .iter()
            .map(|kind| kind.name())
            .find(|kind| !hint.kinds.iter().any(|known| known == kind))
            .unwrap();
        let finding = Finding {
            kind: kind.to_owned(),
            ..case.finding()
        };
        assert!(!hint.fits(&finding), "{} for a {kind}", hint.id);
    }
}

#[test]
fn a_stack_without_the_frames_that_decide_is_a_near_miss() {
    for case in recorded() {
        let hint = built_in(&case.hint);
        let mut finding = case.finding();
        assert!(hint.fits(&finding));
        finding.stack.retain(|frame| !hint.frames.last_is(frame));
        assert!(!hint.fits(&finding), "{} without its last frame", hint.id);
    }
}

#[test]
fn steady_findings_and_unknown_stacks_have_no_hint() {
    let case = &recorded()[0];
    let mut steady = case.finding();
    steady.verdict = Verdict::Steady;
    let mut unknown = case.finding();
    unknown.stack.clear();
    let mut other_rule = case.finding();
    other_rule.rule = "a-rule-of-tomorrow".to_owned();
    let mut report = Report {
        findings: vec![steady, unknown, other_rule, case.finding()],
        ..Report::default()
    };
    Hints::built_in().annotate(&mut report);
    let given: Vec<bool> = report.findings.iter().map(|f| f.hint.is_some()).collect();
    assert_eq!(given, [false, false, false, true]);
}

#[test]
fn facts_decide_where_the_stack_does_not() {
    let hints = Hints::built_in();
    let of = |kind: &str, rule: &str, state: Option<&str>| Finding {
        verdict: Verdict::Leak,
        kind: kind.to_owned(),
        rule: rule.to_owned(),
        examples: state
            .map(|state| Example {
                socket: Some(Socket {
                    state: state.to_owned(),
                    ..Socket::default()
                }),
                ..Example::default()
            })
            .into_iter()
            .collect(),
        ..Finding::default()
    };
    let given = |finding: Finding| id(&hints, &finding);
    assert_eq!(
        given(of("process", "zombies", None)).as_deref(),
        Some("zombies")
    );
    assert_eq!(given(of("process", "growth", None)), None);
    let waiting = of("socket", "growth", Some("CLOSE_WAIT"));
    assert_eq!(given(waiting).as_deref(), Some("close-wait"));
    assert_eq!(given(of("socket", "growth", Some("ESTABLISHED"))), None);
    assert_eq!(
        given(of("file", "inherited", None)).as_deref(),
        Some("inherited")
    );
    assert_eq!(given(of("thread", "inherited", None)), None);
    let unjoined = given(of("mapping", "unjoined-threads", None));
    assert_eq!(unjoined.as_deref(), Some("unjoined-threads"));
    // Who inherited a file did not open it, whatever stack is there.
    let fopen = recorded()
        .into_iter()
        .find(|case| case.hint == "fopen")
        .unwrap();
    let mut finding = fopen.finding();
    finding.rule = "inherited".to_owned();
    assert_eq!(given(finding).as_deref(), Some("inherited"));
}

#[test]
fn some_released_and_some_not_hints_at_an_early_return() {
    let hints = Hints::built_in();
    let case = recorded()
        .into_iter()
        .find(|case| case.hint == "open-early-return")
        .unwrap();
    let mut finding = case.finding();
    finding.released = 0;
    assert_eq!(id(&hints, &finding).as_deref(), Some("open"));
}

#[test]
fn a_list_of_ones_own_goes_first_and_adds_to_what_is_there() {
    let mut hints = Hints::built_in();
    hints
        .add(
            r#"
            [[hint]]
            id = "ours"
            kinds = ["file"]
            frames = ["l_fopen in /app/*"]
            usually = "The loader keeps files."
            fix = "See the handbook."
            "#,
        )
        .unwrap();
    let mut seen = Vec::new();
    for case in recorded() {
        let given = id(&hints, &case.finding()).unwrap();
        if case.hint == "fopen" {
            seen.push(given);
        } else {
            assert_eq!(given, case.hint);
        }
    }
    assert!(
        !seen.is_empty() && seen.iter().all(|given| given == "ours"),
        "{seen:?}"
    );
}

#[test]
fn of_equals_the_first_is_given_and_of_others_the_most_specific() {
    let entry = |id: &str, rest: &str| {
        format!(
            "[[hint]]\nid = \"{id}\"\nkinds = [\"file\"]\nusually = \"u\"\nfix = \"f\"\n{rest}\n"
        )
    };
    let mut finding = recorded()[0].finding();
    finding.stack = vec![Frame {
        symbol: "load".to_owned(),
        file: Some("x.go".to_owned()),
        ..Frame::default()
    }];
    let of = |entries: &[String]| {
        let mut hints = Hints(Vec::new());
        hints.add(&entries.concat()).unwrap();
        id(&hints, &finding).unwrap()
    };
    let wide = entry("wide", "frames = [\"lo*\"]");
    let narrow = entry("narrow", "frames = [\"loa*\"]");
    let fact = entry("fact", "frames = [\"l*\"]\nlanguages = [\"go\"]");
    let only_fact = entry("only-fact", "languages = [\"go\"]");
    assert_eq!(of(&[wide.clone(), narrow.clone()]), "narrow");
    assert_eq!(of(&[narrow.clone(), fact.clone()]), "fact");
    assert_eq!(of(&[only_fact, wide.clone()]), "wide");
    assert_eq!(
        of(&[
            wide.clone(),
            entry("twin", "frames = [\"*lo\", \"x\"]"),
            entry("later", "frames = [\"lo*\"]")
        ]),
        "wide"
    );
}

#[test]
fn mistakes_in_a_list_are_named_with_their_line() {
    let good = "usually = \"u\"\nfix = \"f\"\n";
    let cases = [
        (
            "[[hint]]\nid = \"a\"\nkinds = [\"fil\"]\nframes = [\"x\"]\n",
            "line 1",
            "fil",
        ),
        (
            "[[hint]]\nid = \"a\"\nkinds = [\"file\"]\nframe = [\"x\"]\n",
            "line 4",
            "frame",
        ),
        (
            "\n[[hint]]\nid = \"a\"\nkinds = [\"file\"]\n",
            "line 2",
            "frames",
        ),
        (
            "[[hint]]\nid = \"a\"\nkinds = [\"file\"]\nlanguages = [\"cobol\"]\n",
            "line 1",
            "cobol",
        ),
        (
            "[[hint]]\nid = \"a\"\nkinds = []\nframes = [\"x\"]\n",
            "line 1",
            "kinds",
        ),
        (
            "[[hint]]\nid = \"a\"\nkinds = [\"file\"]\nframes = [\"x|\"]\n",
            "line 4",
            "empty",
        ),
    ];
    for (text, line, named) in cases {
        let text = text.to_owned() + good;
        let error = format!("{:#}", Hints::built_in().add(&text).unwrap_err());
        assert!(
            error.contains(line) && error.contains(named),
            "{text}: {error}"
        );
    }
}

#[test]
fn every_hint_of_the_list_has_been_seen_or_is_known_not_to_be() {
    // Entries without a recorded stack: by facts alone, or by what is not at hand.
    const NOT_RECORDED: [&str; 12] = [
        "go-syscall",
        "java-jdbc",
        "libpq",
        "malloc-mapping",
        "node-worker",
        "zombies",
        "close-wait",
        "close-wait-rule",
        "unjoined-threads",
        "inherited",
        "watches",
        "deleted-files",
    ];
    let recorded = recorded();
    for hint in parse(BUILT_IN).unwrap() {
        let seen = recorded.iter().any(|case| case.hint == hint.id);
        let known = NOT_RECORDED.contains(&hint.id.as_str());
        assert!(
            seen != known,
            "{}: recorded {seen}, listed {known}",
            hint.id
        );
    }
}
