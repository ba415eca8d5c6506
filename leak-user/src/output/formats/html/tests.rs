#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::model::{
    escape::is_unsafe,
    problem::{Part, Problem},
    report::{Finding, Frame, Point, Report, Suppressed, Verdict},
    sample,
};

fn page(report: &Report) -> String {
    sample::text(|out| write(report, out))
}

/// The text between two others, of which the first is there once.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    assert_eq!(text.matches(start).count(), 1, "{start}");
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

fn embedded(page: &str) -> Value {
    let json = between(
        page,
        "<script type=\"application/json\" id=\"report\">",
        "</script>",
    );
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_policy_allows_this_style_and_this_script_and_nothing_else() {
    let hash = |text: &str| format!("'sha256-{}'", embed::base64(&Sha256::digest(text)));
    let page = page(&sample::leaking());
    let expected = format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(between(&page, "<style>", "</style>")),
        hash(between(&page, "<script>", "</script>")),
    );
    let policy = between(&page, "\"Content-Security-Policy\" content=\"", "\"");
    assert_eq!(
        policy, expected,
        "the style or a script has changed: put the hashes that are expected into page.html"
    );
}

#[test]
fn the_page_asks_for_nothing_from_outside() {
    for text in [PAGE, STYLE, &SCRIPTS.concat()] {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for reference in [
            "http:", "https:", "url(", "@import", "src=", "fetch(", "import(",
        ] {
            assert!(!text.contains(reference), "{reference}");
        }
    }
}

#[test]
fn scripts_never_parse_markup_or_text_as_code() {
    let scripts = SCRIPTS.concat();
    for way in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "srcdoc",
    ] {
        assert!(!scripts.contains(way), "{way}");
    }
}

#[test]
fn the_report_is_in_the_page_with_frames_once() {
    let mut report = sample::leaking();
    report.findings[0].history = (0..3)
        .map(|second| Point {
            seconds: f64::from(second),
            outstanding: 7,
        })
        .collect();
    let content = embedded(&page(&report));
    assert_eq!(content["totals"]["leak"], 1);
    assert_eq!(content["totals"]["outstanding"], 436);
    assert_eq!(content["findings"][0]["verdict"], "leak");
    assert_eq!(
        content["findings"][0]["history"],
        serde_json::json!([0.0, 7, 1.0, 7, 2.0, 7])
    );
    let stack = content["findings"][0]["stack"].as_array().unwrap();
    assert_eq!(stack.len(), report.findings[0].stack.len());
    let innermost = &content["frames"][usize::try_from(stack[0].as_u64().unwrap()).unwrap()];
    assert_eq!(innermost["symbol"], "__accept4");
    let mut again = report.clone();
    again.findings.push(report.findings[0].clone());
    assert_eq!(
        embedded(&page(&again))["frames"].as_array().unwrap().len(),
        content["frames"].as_array().unwrap().len()
    );
}

/// What the page's script reads later.
fn unpacked(page: &str) -> Value {
    let text = between(
        page,
        "<script type=\"text/plain\" id=\"later\">",
        "</script>",
    );
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters = text.trim_end_matches('=').as_bytes();
    let bytes: Vec<u8> = letters
        .chunks(4)
        .flat_map(|four| {
            let bits = four
                .iter()
                .fold(0_u32, |bits, letter| bits << 6 | u32::from(value(*letter)));
            let bits = bits << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect();
    serde_json::from_reader(flate2::read::ZlibDecoder::new(bytes.as_slice())).unwrap()
}

#[test]
fn steady_findings_and_the_processes_that_have_no_other_are_read_later() {
    let mut report = sample::leaking();
    let steady = Finding {
        verdict: Verdict::Steady,
        pid: 77,
        ..report.findings[0].clone()
    };
    report
        .findings
        .retain(|finding| finding.verdict != Verdict::Steady);
    let worse = report.findings.len();
    report.findings.extend(vec![steady; 40]);
    report.processes = vec![report.processes[0].clone(); 310];
    let page = page(&report);
    let (now, later) = (embedded(&page), unpacked(&page));
    assert_eq!(now["findings"].as_array().unwrap().len(), worse);
    assert_eq!(now["later"]["findings"], 40);
    assert_eq!(now["totals"]["steady"], 40);
    assert_eq!(now["left_out"]["findings"], 0);
    assert_eq!(later["findings"].as_array().unwrap().len(), 40);
    assert_eq!(later["processes"].as_array().unwrap().len(), 10);
    let frame = later["findings"][0]["stack"][0].as_u64().unwrap();
    let innermost = &later["frames"][usize::try_from(frame).unwrap()];
    assert_eq!(innermost["symbol"], "__accept4");
}

#[test]
fn stacks_have_their_lines_and_problems_their_findings() {
    let mut report = sample::leaking();
    let python = |symbol: &str, module: &str, file: Option<&str>| Frame {
        symbol: symbol.to_owned(),
        module: module.to_owned(),
        file: file.map(str::to_owned),
        ..Frame::default()
    };
    let interpreter = "/usr/lib/libpython3.12.so.1.0";
    report.findings[0].stack = vec![
        python("open64", "/usr/lib/x86_64-linux-gnu/libc.so.6", None),
        python("_io_FileIO___init__", interpreter, None),
        python("_PyEval_EvalFrameDefault", interpreter, None),
        python("_PyEval_Vector", interpreter, None),
        python("read_config", "python3.12", Some("/srv/app.py")),
    ];
    report.problems = vec![Problem {
        findings: vec![0; 99],
        pids: vec![7; 99],
        parts: vec![Part {
            findings: vec![0; 99],
            ..Part::default()
        }],
        ..Problem::default()
    }];
    let content = embedded(&page(&report));
    let lines = content["findings"][0]["lines"].as_array().unwrap();
    assert_eq!(lines[0], serde_json::json!([0, 0]));
    assert_eq!(lines.last().unwrap(), &serde_json::json!([4, 1]));
    // Every frame is in one line, also those that are folded.
    let mut next = 0;
    for line in lines {
        assert_eq!(line[0], next);
        next += line[2].as_u64().unwrap_or(1);
    }
    assert_eq!(next, 5);
    assert!(lines.iter().any(|line| line[1].is_string()), "{lines:?}");
    let problem = &content["problems"][0];
    assert_eq!(problem["pid_count"], 99);
    assert_eq!(problem["finding_counts"][0], 99);
    assert_eq!(problem["pids"].as_array().unwrap().len(), 16);
    assert_eq!(
        problem["parts"][0]["findings"].as_array().unwrap().len(),
        16
    );
}

#[test]
fn a_huge_report_makes_a_page_of_bounded_size_that_says_what_it_lacks() {
    let mut report = sample::leaking();
    let mut finding = report.findings[0].clone();
    finding.history = vec![Point::default(); 10_000];
    finding.evidence = vec!["x".repeat(10_000); 20];
    report.findings = vec![finding; 600];
    report.processes = vec![report.processes[0].clone(); 2400];
    report.suppressed = vec![Suppressed::default(); 300];
    let page = page(&report);
    let content = embedded(&page);
    let later = unpacked(&page);
    let count = |of: &Value, what: &str| of[what].as_array().unwrap().len();
    let findings = count(&content, "findings") + count(&later, "findings");
    assert!((200..600).contains(&findings), "{findings}");
    assert_eq!(content["left_out"]["findings"], 600 - findings);
    assert_eq!(content["left_out"]["processes"], 100);
    assert_eq!(content["left_out"]["suppressions"], 100);
    assert_eq!(content["totals"]["leak"], 600, "sums are over all");
    assert!(page.len() < 5 << 20, "{}", page.len());
}

proptest! {
    #[test]
    fn no_name_leaves_its_element_or_fools_a_reader(name in any::<String>(), which in 0_usize..4) {
        let dangerous = ["</script><script>alert(1)</script>", "<!--<script>", "\u{202e}\u{2028}&quot;", "<img src=x onerror=alert(1)>"];
        let name = format!("{}{name}", dangerous[which]);
        let mut report = sample::leaking();
        let plain = page(&report);
        report.host.hostname.clone_from(&name);
        report.processes[0].comm.clone_from(&name);
        report.processes[0].outstanding.insert(name.clone(), 1);
        report.findings[0].stack[0].symbol.clone_from(&name);
        report.findings[0].examples[0].description = name;
        let hostile = page(&report);
        for mark in ["<", ">", "&"] {
            prop_assert_eq!(hostile.matches(mark).count(), plain.matches(mark).count());
        }
        prop_assert!(!hostile.chars().any(|c| c != '\n' && is_unsafe(c)));
        let content = embedded(&hostile);
        prop_assert!(!content["host"]["hostname"].as_str().unwrap().chars().any(is_unsafe));
    }
}
