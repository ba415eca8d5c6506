//! Runs the corpus of leaking and correct programs under one tracer of the whole host,
//! and compares its verdicts with what each program is:
//!
//!     corpus [--window SECONDS]... [--later SECONDS] [--only PART] [--ci] [--rounds N]
//!            [--load] [--jobs N] [--output FILE] [--needs]
//!
//! Needs root. `cargo xtask corpus` builds and installs what it takes.

mod build;
mod matching;
mod print;
mod running;
mod score;
mod table;
mod tracer;

use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use crate::build::Built;
use crate::matching::{Matched, Outcome};
use crate::running::Programs;
use crate::score::{Score, Traced, Window};
use crate::table::{Choice, Program};
use crate::tracer::Tracer;

struct Arguments {
    choice: Choice,
    /// Programs begin anew with each of these.
    windows: Vec<u64>,
    /// A window more, on the programs of the last one while they run on.
    later: Option<u64>,
    rounds: usize,
    load: bool,
    jobs: usize,
    output: Option<String>,
    needs: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        choice: Choice::default(),
        windows: Vec::new(),
        later: None,
        rounds: 1,
        load: false,
        jobs: usize::MAX,
        output: None,
        needs: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| {
            let number = text.parse::<u64>().ok().filter(|&number| number > 0);
            number.ok_or(format!("{text:?} is no number above 0"))
        };
        match argument.as_str() {
            "--window" => parsed.windows.push(number(value()?)?),
            "--later" => parsed.later = Some(number(value()?)?),
            "--only" => parsed.choice.only = Some(value()?),
            "--ci" => parsed.choice.ci = true,
            "--rounds" => parsed.rounds = number(value()?)? as usize,
            "--load" => parsed.load = true,
            "--jobs" => parsed.jobs = number(value()?)? as usize,
            "--output" => parsed.output = Some(value()?),
            "--needs" => parsed.needs = true,
            _ => return Err(format!("{argument:?} is no argument")),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    match perform() {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            for failure in failures {
                eprintln!("corpus: {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all that is asked for; returns what was not met.
fn perform() -> Result<Vec<String>, String> {
    let arguments = arguments()?;
    let programs = table::read(&arguments.choice)?;
    if arguments.needs {
        let mut needs: Vec<&str> = programs.iter().flat_map(Program::needs).collect();
        needs.sort_unstable();
        needs.dedup();
        println!("{}", needs.join("\n"));
        return Ok(Vec::new());
    }
    let built = Built::of(&programs)?;
    let _load = arguments.load.then(Load::start).transpose()?;
    let mut traced = Vec::new();
    let mut failures = Vec::new();
    for round in 1..=arguments.rounds {
        for &seconds in &arguments.windows {
            let is_last = Some(&seconds) == arguments.windows.last();
            let later = arguments.later.filter(|_| is_last);
            eprintln!("round {round}, {seconds} s: {} programs", programs.len());
            traced.extend(trace(
                &programs,
                &built,
                arguments.jobs,
                seconds,
                later,
                &mut failures,
            )?);
        }
    }
    let score = Score::new(&programs, &traced);
    let text = format!(
        "{}\n{}\n{}",
        print::programs(&programs, &score),
        print::totals(&programs, &score),
        print::calibration(&score)
    );
    println!("{text}\n{}", print::mistakes(&programs, &score));
    if let Some(file) = &arguments.output {
        std::fs::write(file, &text).map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    failures.extend(score.failures());
    Ok(failures)
}

/// Traces all programs in groups of `jobs`: a window that begins with them, and one
/// later if that is asked for. Programs that ended meanwhile go to `failures`.
fn trace(
    programs: &[Program],
    built: &Built,
    jobs: usize,
    seconds: u64,
    later: Option<u64>,
    failures: &mut Vec<String>,
) -> Result<Vec<Traced>, String> {
    let windows = [(seconds, false)]
        .into_iter()
        .chain(later.map(|later| (later, true)));
    let mut traced: Vec<Traced> = windows
        .map(|(seconds, later)| Traced {
            window: Window { seconds, later },
            outcomes: Vec::new(),
        })
        .collect();
    for group in programs.chunks(jobs) {
        let group: Vec<&Program> = group.iter().collect();
        let mut running = Programs::start(&group, built)?;
        for traced in &mut traced {
            // Without a report nothing was found; the other windows still tell.
            let outcomes = window(&group, &mut running, traced.window).unwrap_or_else(|error| {
                failures.push(format!("{} s: {error}", traced.window.seconds));
                group.iter().map(|_| Outcome::default()).collect()
            });
            traced.outcomes.extend(outcomes);
        }
        for (index, how) in running.ended() {
            failures.push(format!(
                "{} did not run to the end: {how}",
                group[index].name
            ));
        }
    }
    Ok(traced)
}

/// Traces the programs for a window and judges the report.
fn window(
    programs: &[&Program],
    running: &mut Programs,
    window: Window,
) -> Result<Vec<Outcome>, String> {
    let tracer = Tracer::start()?;
    if !window.later {
        running.begin();
    }
    running.watch(Duration::from_secs(window.seconds));
    let (document, took) = tracer.stop()?;
    keep(window, &document)?;
    let Matched {
        outcomes,
        elsewhere,
    } = matching::judge(programs, &document, |process| running.owner(process))?;
    let health = &document["health"];
    eprintln!(
        "  {} s, report after {took:.1} s: {} events, {} lost {}, {} leaks elsewhere",
        document["window"]["seconds"],
        health["events"],
        health["lost"],
        health["lost_by_cause"],
        elsewhere.len()
    );
    for finding in elsewhere {
        eprintln!(
            "    {} in {:?} ({})",
            finding.kind, finding.comm, finding.pid
        );
    }
    Ok(outcomes)
}

/// Writes the last report of each kind of window to where it can be looked into.
fn keep(window: Window, document: &serde_json::Value) -> Result<(), String> {
    let later = if window.later { "-later" } else { "" };
    let file = build::target().join(format!("report-{}s{later}.json", window.seconds));
    std::fs::write(&file, document.to_string())
        .map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// A process that takes all the time of a processor that it can get.
struct Load(Child);

impl Load {
    fn start() -> Result<Load, String> {
        let child = Command::new("sh")
            .args(["-c", "ulimit -t 7200; while :; do :; done"])
            .spawn();
        child
            .map(Load)
            .map_err(|error| format!("cannot start the load: {error}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
