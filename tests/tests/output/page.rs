//! `-f html`: a page that a browser draws, in which names stay names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::browser::{Drawn, attribute, draw};
use harness::compile::installed;
use harness::victim::program;
use harness::{BRIEF_NURSERY, beside_others};
use tempfile::TempDir;

/// The name of a file; its first 15 bytes are the name of a process.
const IMAGE: &str = "<img src=x\u{1b}[31m onerror=document.title='pwned'>";
/// With its slashes it goes through three directories.
const SCRIPT: &str = "</script><script>document.title='pwned'</script>";

/// A page about a process that means no good.
struct Page {
    directory: TempDir,
}

impl Page {
    fn path(&self) -> PathBuf {
        self.directory.path().join("page.html")
    }
}

/// Traced once: a leak takes some seconds to be one.
static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let leaked = directory
        .path()
        .join(SCRIPT.trim_start_matches('/'))
        .join(IMAGE);
    fs::create_dir_all(leaked.parent().unwrap()).unwrap();
    fs::copy(program("hostile"), &leaked).unwrap();
    let page = Page { directory };
    let mut command = harness::tracer::command();
    command
        .arg("run")
        .args(BRIEF_NURSERY)
        .args(["-f", "html", "-o"])
        .arg(page.path())
        .arg("--")
        .arg(&leaked)
        .arg(&leaked)
        .arg("8");
    let ran = harness::tracer::run(&mut command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    page
});

fn drawn(page: &Path, fragment: &str) -> Option<Drawn> {
    let drawn = draw(page, fragment)?;
    assert_eq!(drawn.log, "", "the page's scripts run without complaint");
    Some(drawn)
}

/// Heights of the points of a line, from the top.
fn heights(path: &str) -> Vec<f64> {
    let points = attribute(path, "d").unwrap().split(['M', 'L']);
    points
        .filter_map(|point| point.split_once(' '))
        .map(|(_, y)| y.parse().unwrap())
        .collect()
}

#[test]
fn charts_show_the_growth_and_the_icicle_the_stack() {
    let _turn = beside_others();
    let Some(drawn) = drawn(&PAGE.path(), "") else {
        return;
    };
    let leaks = drawn.shown("article", "leak");
    assert_eq!(leaks.len(), 1, "{:?}", drawn.tags("article"));
    let lines = drawn.shown("path", "line");
    assert!(
        lines.len() >= 2,
        "a large chart and one for the finding: {lines:?}"
    );
    for line in &lines[..2] {
        let heights = heights(line);
        assert!(heights.len() >= 5, "{line}");
        // Down is up on a screen; the process's end may be the last point.
        let highest = heights.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(heights[0] - highest > 20.0, "{line}");
    }
    let cells = drawn.shown("button", "cell");
    for name in ["all that is shown", "main", "leak_hostile", "file"] {
        let says = |cell: &&&str| {
            attribute(cell, "aria-label")
                .unwrap()
                .starts_with(&format!("{name}: "))
        };
        let cell = cells
            .iter()
            .find(says)
            .unwrap_or_else(|| panic!("{name}: {cells:#?}"));
        let style = attribute(cell, "style").unwrap();
        assert!(
            style.contains("width: 100%"),
            "it is the only leak: {style}"
        );
    }
}

#[test]
fn the_fragment_filters_findings_processes_and_icicle() {
    let _turn = beside_others();
    let Some(found) = drawn(&PAGE.path(), "filter=function:leak_hostile%20kind:file") else {
        return;
    };
    assert_eq!(found.shown("article", "leak").len(), 1);
    assert!(found.shown("button", "cell").len() > 3);
    let rows = |drawn: &Drawn| {
        let body = drawn
            .between("<table class=\"processes\">", "</table>")
            .unwrap_or_default();
        body.matches("<tr").count()
    };
    assert_eq!(
        rows(&found),
        2,
        "a head and the one process: {}",
        found.markup
    );
    let status = found
        .between("<p id=\"shown\" role=\"status\">", "</p>")
        .unwrap();
    assert!(status.starts_with("1 of "), "{status}");

    let none = drawn(&PAGE.path(), "filter=function:no_such_function").unwrap();
    assert_eq!(none.shown("article", "leak").len(), 0);
    assert!(none.markup.contains("No finding to show."));
    assert_eq!(none.shown("button", "cell").len(), 0);
    assert_eq!(rows(&none), 0);
}

#[test]
fn steady_findings_are_drawn_when_they_are_asked_for() {
    let _turn = beside_others();
    let Some(usual) = drawn(&PAGE.path(), "") else {
        return;
    };
    assert_eq!(usual.shown("article", "steady").len(), 0);
    let all = drawn(&PAGE.path(), "verdicts=leak,suspect,steady&sort=held").unwrap();
    assert!(
        all.shown("article", "steady").len() > 2,
        "{:?}",
        all.tags("article")
    );
    // What is compressed is linked as the rest is: to frames and to the process.
    let cells = all.shown("button", "cell");
    let of_loader =
        |cell: &&str| attribute(cell, "title").is_some_and(|title| title.contains("ld-"));
    assert!(cells.iter().any(of_loader), "{cells:#?}");
    let held = |key: &&str| -> Option<u64> {
        let (count, _) = key.split_once(" held")?;
        count
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()
    };
    let (_, list) = all.markup.split_once("id=\"finding-list\"").unwrap();
    let counts: Vec<u64> = list
        .split("<p class=\"key\">")
        .skip(1)
        .filter_map(|key| held(&key))
        .collect();
    assert!(
        counts.len() > 3 && counts.is_sorted_by(|a, b| a >= b),
        "{counts:?}"
    );
}

/// A page about a program in Python that runs into its limit.
static FAILED: LazyLock<Option<TempDir>> = LazyLock::new(|| {
    let python = installed("python3")?;
    let directory = TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("victims/filling.py");
    let mut command = harness::tracer::command();
    command
        .args(["run", "--limit", "nofile=160"])
        .args(BRIEF_NURSERY)
        .args(["-f", "html", "-o"])
        .arg(directory.path().join("page.html"))
        .arg("--")
        .arg(python)
        .arg(script);
    let ran = harness::tracer::run(&mut command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    Some(directory)
});

#[test]
fn what_failed_comes_first_and_leads_to_its_process_chart_and_findings() {
    let _turn = beside_others();
    let Some(directory) = FAILED.as_ref() else {
        return;
    };
    let Some(page) = drawn(&directory.path().join("page.html"), "") else {
        return;
    };
    let sections = page.tags("section");
    assert_eq!(attribute(sections[0], "id"), Some("failures"));
    assert!(!sections[0].contains(" hidden="), "{}", sections[0]);
    assert!(
        page.between("<h1", "</h1>")
            .unwrap()
            .contains("1 process fails")
    );
    let failure = page
        .between("class=\"finding failure\"", "</article>")
        .unwrap();
    assert!(failure.contains(">EMFILE<"), "{failure}");
    let held = failure.split_once("Held the most then:").unwrap().1;
    assert!(
        held.contains(" sockets") && held.contains(" files"),
        "{held}"
    );
    // There and back: every link in the page leads to something in it.
    for link in page.tags("a") {
        let to = attribute(link, "href").unwrap().strip_prefix('#').unwrap();
        assert!(page.markup.contains(&format!(" id=\"{to}\"")), "{link}");
    }
    let contents = page.between("id=\"contents-list\"", "</ul>").unwrap();
    assert!(
        contents.contains("#failures") && contents.contains("#processes"),
        "{contents}"
    );
    let problem = page.between("class=\"finding problem", "</ul>").unwrap();
    assert!(
        problem.contains("filling.py") && problem.contains("href=\"#finding-"),
        "{problem}"
    );
    // The line of the program stands out; those of the interpreter are folded.
    let stack = page.between("<ol class=\"stack\">", "</ol>").unwrap();
    let own = stack.split_once("<li class=\"own\"").unwrap().1;
    assert!(own.contains("filling.py:"), "{stack}");
    assert!(stack.contains("frames of CPython"), "{stack}");
    let chart = page.between("<svg class=\"chart\"", "</figure>").unwrap();
    let mark = chart.split_once("class=\"mark\"").unwrap().1;
    assert!(mark.contains(">EMFILE in python"), "{mark}");
    for said in [
        "resources held",
        "time since the trace began",
        "limit 160 (nofile)",
        "href=\"#finding-",
    ] {
        assert!(chart.contains(said), "{said}: {chart}");
    }
    let finding = page.between("id=\"finding-0\"", "</article>").unwrap();
    assert!(
        finding.contains("href=\"#process-") && finding.contains("href=\"#time\""),
        "{finding}"
    );
    assert!(finding.contains("limit 160 (nofile)"), "{finding}");
}

#[test]
fn names_from_the_traced_process_stay_names() {
    let _turn = beside_others();
    let Some(drawn) = drawn(&PAGE.path(), "") else {
        return;
    };
    assert!(
        drawn.title().starts_with("leaktrace: "),
        "{}",
        drawn.title()
    );
    assert_eq!(drawn.tags("img").len(), 0);
    assert_eq!(
        drawn.tags("script").len(),
        3,
        "the report, its later part and the page's own"
    );
    let finding = drawn.between("id=\"finding-0\"", "</article>").unwrap();
    let name = finding.split_once("<strong>").unwrap().1;
    assert!(
        name.starts_with("&lt;img src=x\\x1b[31m</strong>"),
        "{name}"
    );
    let held = drawn.between("class=\"path\"", "</div>").unwrap();
    assert!(
        held.contains("&lt;/script&gt;&lt;script&gt;document.title='pwned'&lt;/script&gt;/&lt;img"),
        "{held}"
    );
}

#[test]
fn the_policy_stops_what_would_get_into_the_markup() {
    let _turn = beside_others();
    // Not the title: the page's own script gives it one, after this one.
    const MARK: &str = "document.documentElement.dataset.pwned=1";
    let page = fs::read_to_string(PAGE.path()).unwrap();
    let attack = format!("<body><img src=x onerror={MARK}><script>{MARK}</script>");
    let attacked = page.replacen("<body>", &attack, 1);
    assert_ne!(page, attacked);
    let open = attacked.replacen("Content-Security-Policy", "x", 1);
    let is_marked = |name: &str, text: &str| {
        let path = PAGE.directory.path().join(name);
        fs::write(&path, text).unwrap();
        let drawn = draw(&path, "")?;
        assert!(drawn.title().starts_with("leaktrace: "), "it was drawn");
        Some(drawn.tags("html")[0].contains("data-pwned"))
    };
    let Some(marked) = is_marked("attacked.html", &attacked) else {
        return;
    };
    assert!(!marked);
    let marked = is_marked("open.html", &open);
    assert_eq!(marked, Some(true), "else this test shows nothing");
}
