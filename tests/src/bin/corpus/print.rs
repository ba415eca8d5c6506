//! The results in words: a table of all programs, totals, and what went wrong with
//! its evidence. All of it is Markdown.

use std::fmt::Write as _;

use crate::matching::{Finding, Outcome, Verdict};
use crate::score::{Score, Share, Window};
use crate::table::{Language, Program};

/// Points of a history that are shown.
const POINTS: usize = 16;

/// The table of programs.
pub(crate) fn programs(programs: &[Program], score: &Score<'_>) -> String {
    let windows = score.windows();
    let mut text = "| program | leaks | a second |".to_owned();
    for &window in &windows {
        let _ = write!(text, " {} |", heading(window));
    }
    text += " place | confidence |\n|---|---|---|";
    text += &"---|".repeat(windows.len() + 2);
    text.push('\n');
    for (index, program) in programs.iter().enumerate() {
        let _ = write!(
            text,
            "| {} | {} | {} |",
            program.name,
            kinds(program),
            rate(program)
        );
        for &window in &windows {
            let outcomes: Vec<&Outcome> = score.outcomes(index, window).collect();
            let _ = write!(text, " {} |", cell(program, &outcomes));
        }
        let longest = windows
            .iter()
            .rev()
            .flat_map(|&window| score.outcomes(index, window));
        let mut called = longest.filter(|outcome| outcome.verdict == Verdict::Leak);
        let _ = match called.next() {
            Some(outcome) if program.is_leak() => writeln!(
                text,
                " {} | {:.2} |",
                place(outcome),
                outcome
                    .finding
                    .as_ref()
                    .map_or(0.0, |finding| finding.confidence)
            ),
            _ => writeln!(text, " | |"),
        };
    }
    text
}

fn kinds(program: &Program) -> String {
    program.leaks.join(" or ")
}

fn rate(program: &Program) -> String {
    match program.rate {
        0.0 => String::new(),
        rate => format!("{rate}"),
    }
}

fn place(outcome: &Outcome) -> &'static str {
    if outcome.right_stack {
        "right"
    } else {
        "**wrong**"
    }
}

/// The verdicts of all rounds; what should not be is bold.
fn cell(program: &Program, outcomes: &[&Outcome]) -> String {
    let mut words: Vec<&str> = outcomes
        .iter()
        .map(|outcome| outcome.verdict.word())
        .collect();
    words.sort_unstable();
    words.dedup();
    let text = words.join("/");
    match outcomes
        .iter()
        .any(|outcome| !outcome.false_alarms.is_empty())
    {
        true if program.is_leak() => format!("{text} (and more)"),
        true => format!("**{text}**"),
        false => text,
    }
}

fn heading(window: Window) -> String {
    match window.later {
        true => format!("{} s, later", window.seconds),
        false => format!("{} s", window.seconds),
    }
}

/// Recall, right places, correct programs, time to verdict, calibration.
pub(crate) fn totals(programs: &[Program], score: &Score<'_>) -> String {
    let share = |share: Share| format!("{} of {} ({:.3})", share.found, share.all, share.value());
    let mut text = String::new();
    let _ = writeln!(
        text,
        "- fast leaks (5 a second and more) found when due: {}\n\
         - slow leaks found when due: {}\n\
         - the right place on the stack of those found: {}",
        share(score.recall(Program::is_fast)),
        share(score.recall(|program| !program.is_fast())),
        share(score.right_stacks(|_| true)),
    );
    for window in score.windows().into_iter().filter(|window| window.later) {
        let fast = score.recall_in(window, Program::is_fast);
        let _ = writeln!(
            text,
            "- {}: fast leaks found: {}",
            heading(window),
            share(fast)
        );
    }
    let mut languages: Vec<Language> = programs.iter().map(Program::language).collect();
    languages.sort_unstable();
    languages.dedup();
    let of_language = languages.iter().filter_map(|&language| {
        let share = score.right_stacks(|program| program.language() == language);
        (share.all > 0).then(|| format!("{} {}/{}", language.directory(), share.found, share.all))
    });
    let _ = writeln!(
        text,
        "- the right place by language: {}",
        of_language.collect::<Vec<_>>().join(", ")
    );
    for window in score.windows() {
        let called = |verdict| score.correct(window, verdict);
        let (leaks, suspects) = (called(Verdict::Leak), called(Verdict::Suspect));
        let _ = writeln!(
            text,
            "- {}: of {} correct programs {} called a leak, {} a suspect",
            heading(window),
            leaks.all,
            leaks.found,
            suspects.found
        );
    }
    let mut times: Vec<(Option<u64>, usize)> = Vec::new();
    for (index, _) in programs.iter().enumerate().filter(|(_, p)| p.is_leak()) {
        let time = score.seconds_to_verdict(index);
        match times.iter_mut().find(|(known, _)| *known == time) {
            Some((_, count)) => *count += 1,
            None => times.push((time, 1)),
        }
    }
    times.sort_by_key(|(time, _)| time.unwrap_or(u64::MAX));
    let words = times.iter().map(|(time, count)| match time {
        Some(time) => format!("{count} within {time} s"),
        None => format!("{count} in none"),
    });
    let words: Vec<String> = words.collect();
    let _ = writeln!(
        text,
        "- leaks by the shortest window that called them so: {}",
        words.join(", ")
    );
    text
}

/// Of the leaks called with a confidence, how many are leaks.
pub(crate) fn calibration(score: &Score<'_>) -> String {
    let mut text = "| confidence | called a leak | true |\n|---|---|---|\n".to_owned();
    for (bin, share) in score
        .calibration()
        .iter()
        .enumerate()
        .filter(|(_, share)| share.all > 0)
    {
        let (from, to) = (bin as f64 / 10.0, (bin + 1) as f64 / 10.0);
        let _ = writeln!(
            text,
            "| {from:.1} to {to:.1} | {} | {} ({:.2}) |",
            share.all,
            share.found,
            share.value()
        );
    }
    text
}

/// What went wrong, with its evidence.
pub(crate) fn mistakes(programs: &[Program], score: &Score<'_>) -> String {
    let mut text = String::new();
    let name = |index: usize| {
        programs
            .get(index)
            .map_or("?", |program| program.name.as_str())
    };
    let alarms = [
        ("Correct programs called leaks", score.false_alarms(false)),
        (
            "Leaks of other kinds called in leaking programs",
            score.false_alarms(true),
        ),
    ];
    for (title, alarms) in alarms {
        let _ = writeln!(text, "\n## {title}: {}\n", alarms.len());
        for (index, window, outcome) in alarms {
            let _ = writeln!(text, "- {} in {}", name(index), heading(window));
            for finding in &outcome.false_alarms {
                text += &story(finding);
            }
        }
    }
    let misses = score.misses();
    let _ = writeln!(text, "\n## Leaks not found when due: {}\n", misses.len());
    for (index, window, outcome) in misses {
        let Some(program) = programs.get(index) else {
            continue;
        };
        let _ = writeln!(
            text,
            "- {} in {}: {} a second of {}, called {}",
            program.name,
            heading(window),
            rate(program),
            kinds(program),
            outcome.verdict.word()
        );
        if let Some(finding) = &outcome.finding {
            text += &story(finding);
        }
    }
    text + &wrong_places(programs, score)
}

fn wrong_places(programs: &[Program], score: &Score<'_>) -> String {
    let mut text = "\n## Leaks with another place on their stack\n\n".to_owned();
    for (index, program) in programs.iter().enumerate() {
        if !program.is_leak() {
            continue;
        }
        let outcomes = score
            .windows()
            .into_iter()
            .flat_map(|window| score.outcomes(index, window));
        let mut wrong = outcomes.filter(|o| o.verdict == Verdict::Leak && !o.right_stack);
        if let Some(finding) = wrong.find_map(|outcome| outcome.finding.as_ref()) {
            let _ = writeln!(text, "- {}: {} is not in", program.name, program.at);
            text += &story(finding);
        }
    }
    text
}

fn story(finding: &Finding) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "  - {} {} in {} ({}), rule {:?}, confidence {:.2}: acquired {}, released {}, outstanding {}, {:+.2}/s",
        finding.verdict.word(),
        finding.kind,
        escape(&finding.comm),
        finding.pid,
        finding.rule,
        finding.confidence,
        finding.acquired,
        finding.released,
        finding.outstanding,
        finding.growth_per_second
    );
    for sentence in finding.evidence.iter().chain(&finding.waits_for) {
        let _ = writeln!(text, "    - {}", escape(sentence));
    }
    let symbols: Vec<String> = finding.symbols().take(16).map(escape).collect();
    let _ = writeln!(text, "    - stack: {}", symbols.join(" < "));
    if !finding.history.is_empty() {
        let step = finding.history.len().div_ceil(POINTS).max(1);
        let points = finding
            .history
            .iter()
            .step_by(step)
            .chain(finding.history.last());
        let points: Vec<String> = points
            .map(|point| format!("{:.0}s {}", point.seconds, point.outstanding))
            .collect();
        let _ = writeln!(text, "    - held: {}", points.join(", "));
    }
    text
}

/// Names of processes and symbols may contain anything.
fn escape(name: &str) -> String {
    name.escape_debug().to_string()
}
