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
    /// The rule that decided; growth where it is not told.
    rule: Option<String>,
    /// What an example was, where that matters.
    example: Option<String>,
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
            rule: self.rule.clone().unwrap_or_else(|| "growth".to_owned()),
            acquired: self.acquired,
            released: self.released,
            stack: self.stack.iter().map(frame).collect(),
            examples: self.example.iter().map(|of| described(of)).collect(),
            ..Finding::default()
        }
    }
}

fn described(of: &str) -> Example {
    Example {
        description: of.to_owned(),
        ..Example::default()
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
    static ALL: LazyLock<Vec<Hint>> = LazyLock::new(|| parse(BUILT_IN).unwrap());
    ALL.iter().find(|hint| hint.id == id).unwrap().clone()
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
fn every_rule_that_can_decide_has_a_hint_where_frames_tell_nothing() {
    let hints = Hints::built_in();
    let cases = [
        ("pipe", "half-closed"),
        ("socket", "pool-ran-dry"),
        ("thread", "wall"),
        ("file", "held-at-exit"),
        ("process", "zombies"),
        ("socket", "close-wait"),
        ("socket", "inherited"),
        ("file", "deleted-files"),
        ("thread", "unjoined-threads"),
        ("inotify", "watches"),
    ];
    for (kind, rule) in cases {
        let finding = Finding {
            verdict: Verdict::Leak,
            kind: kind.to_owned(),
            rule: rule.to_owned(),
            ..Finding::default()
        };
        let given = id(&hints, &finding).unwrap_or_default();
        assert!(given.starts_with(rule), "{rule}: {given:?}");
    }
}

#[test]
fn a_rule_that_states_a_fact_goes_before_frames() {
    let hints = Hints::built_in();
    let of = |rule: &str, case: &str| {
        let recorded = recorded();
        let mut finding = recorded.iter().find(|c| c.hint == case).unwrap().finding();
        finding.rule = rule.to_owned();
        id(&hints, &finding).unwrap()
    };
    assert_eq!(of("half-closed", "pipe"), "half-closed");
    assert_eq!(of("close-wait", "python-requests"), "close-wait-rule");
    assert_eq!(of("pool-ran-dry", "python-psycopg"), "pool-ran-dry");
    assert_eq!(of("deleted-files", "fopen"), "deleted-files");
    // Who knows the fact and the frames knows more.
    assert_eq!(of("half-closed", "python-popen-pipe"), "python-popen-pipe");
    assert_eq!(of("watches", "java-watch"), "java-watches");
    // That something hit a limit or was there at the end says nothing of where it came from.
    assert_eq!(of("wall", "python-zmq"), "python-zmq");
    assert_eq!(of("held-at-exit", "node-worker"), "node-worker");
    assert_eq!(of("zombies", "python-popen"), "python-popen");
}

#[test]
fn a_child_that_runs_is_not_called_a_zombie() {
    let hints = Hints::built_in();
    let mut seen = 0;
    for case in recorded().iter().filter(|c| c.kind == "process") {
        let text = |children: &[&str]| {
            let mut finding = case.finding();
            finding.examples = children.iter().map(|of| described(of)).collect();
            hints.about(&finding).unwrap().text(&finding)
        };
        if built_in(&case.hint).running.is_none() {
            continue;
        }
        seen += 1;
        assert!(text(&["cat", "sleep"]).starts_with("These children run on."));
        assert!(
            !text(&["cat", "true, zombie"]).contains("run on"),
            "{}",
            case.hint
        );
        assert!(!text(&[]).contains("run on"), "{}", case.hint);
        assert!(!text(&["sleep"]).contains("zombie"), "{}", case.hint);
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn c_advice_is_not_given_to_interpreters_and_their_packages() {
    let hints = Hints::built_in();
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let of = |kind: &str, symbol: &str, module: &str, file: Option<&str>| {
        let frame = |symbol: &str, module: &str, file: Option<&str>| Frame {
            symbol: symbol.to_owned(),
            module: module.to_owned(),
            file: file.map(str::to_owned),
            ..Frame::default()
        };
        let finding = Finding {
            kind: kind.to_owned(),
            rule: "growth".to_owned(),
            stack: vec![frame(symbol, libc, None), frame("", module, file)],
            ..Finding::default()
        };
        id(&hints, &finding)
    };
    let interpreters = [
        "/usr/bin/python3.11",
        "/opt/python/lib/libpython3.12.so.1.0",
        "/usr/bin/node",
        "/usr/bin/php8.2",
        "/usr/sbin/php-fpm8.2",
        "/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2",
        "/usr/bin/perl",
        "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so",
        "/app/venv/lib/python3.12/site-packages/x/y.cpython-312-x86_64-linux-gnu.so",
        "/app/node_modules/x/build/Release/x.node",
        "/usr/lib/php/20220829/redis.so",
    ];
    for (kind, symbol) in [
        ("eventfd", "eventfd"),
        ("file", "open64"),
        ("epoll", "epoll_create1"),
    ] {
        let compiled = of(kind, symbol, "/usr/local/bin/server", None).unwrap();
        assert_eq!(Some(compiled.as_str()), symbol.get(..compiled.len()));
        for module in interpreters {
            let given = of(kind, symbol, module, None);
            assert_ne!(given.as_deref(), Some(compiled.as_str()), "{module}");
        }
        for name in [
            "/usr/bin/nodejs-exporter",
            "/app/python-router",
            "/srv/javaws-proxy",
        ] {
            assert_eq!(
                of(kind, symbol, name, None).as_deref(),
                Some(compiled.as_str()),
                "{name}"
            );
        }
        assert_ne!(of(kind, symbol, "", Some("/app/main.py")), Some(compiled));
    }
}

#[test]
fn who_opened_what_a_child_inherits_is_addressed_as_the_one_who_opened_it() {
    let hint = built_in("inherited");
    assert!(
        hint.usually.starts_with("This process opened"),
        "{}",
        hint.usually
    );
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
    const NOT_RECORDED: [&str; 23] = [
        "go-syscall",
        "java-jdbc",
        "java-object",
        "libcurl",
        "libpq",
        "libzmq",
        "malloc-mapping",
        "node-object",
        "php-object",
        "python-inotify-watches",
        "python-package",
        "ruby-object",
        "zombies",
        "close-wait",
        "close-wait-rule",
        "unjoined-threads",
        "inherited",
        "watches",
        "deleted-files",
        "half-closed",
        "pool-ran-dry",
        "wall",
        "held-at-exit",
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
