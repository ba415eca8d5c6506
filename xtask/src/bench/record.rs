//! What it costs to record every event, beside what `perf record` costs that records the same calls; and how many events
//! a second can be recorded.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::load;
use super::options::Options;
use super::process::processor_seconds;
use super::rounds::median;
use super::tracer::{self, Attached, Scratch};

/// Turns of open + close a second: twice as many events.
const PACE: f64 = 250_000.0;

/// What records.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Recorder {
    Leaktrace,
    Perf,
}

/// What one round shows of a recorder.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// Turns a second that the load reached.
    reached: f64,
    /// Processor seconds of the recorder for each second.
    processor: f64,
    /// The same for each turn, in nanoseconds.
    each: f64,
    /// Bytes of the file for each turn.
    bytes: f64,
    /// Records that it says it lost.
    lost: f64,
    /// Nanoseconds that a turn takes longer, in the thread that is recorded.
    added: f64,
}

/// What one round shows of a recording as fast as events come.
#[derive(Clone, Copy, Debug, Default)]
struct Rush {
    /// Events a second that are in the recording.
    recorded: f64,
    /// Processor seconds of the recorder for each second.
    processor: f64,
    /// Records that it says it lost.
    lost: f64,
}

/// Measures, and says it.
pub(super) fn section(options: &Options) -> Result<String> {
    let mut rounds = [Vec::new(), Vec::new()];
    let mut rushes = Vec::new();
    for round in 0..options.rounds() {
        eprintln!(
            "xtask: recording, round {} of {}",
            round + 1,
            options.rounds()
        );
        let untraced = unpaced(options)?;
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let recorder = [Recorder::Leaktrace, Recorder::Perf][which];
            rounds[which].push(Round {
                added: recorder.slowed(options)? - untraced,
                ..recorder.measure(options)?
            });
        }
        rushes.push(rush(options)?);
    }
    Ok(format!(
        "`cargo xtask bench --only record` measures this section alone. One thread opens and closes /dev/null,\n\
         {PACE:.0} times per second if it can. The whole host is recorded to a file by\n\
         `leaktrace record --all-events` (each acquisition with its stack, each release), and by\n\
         `perf record -a -e 'syscalls:*open*' -e 'syscalls:*close*'` (both ends of each call, no stacks).\n\
         The cost to the recorded thread is that of a loop without a pace, minus the same loop untraced.\n\n{}\n\
         Here the loop is the limit. The next table shows how much is recorded if events come faster: one\n\
         thread duplicates a descriptor and closes it, without a pace, under\n\
         `leaktrace record --all-events` on the whole host.\n\n{}",
        table(&rounds),
        rush_table(&rushes)
    ))
}

/// A row's name, its figure of a round, and digits behind the point.
type Row = (&'static str, fn(&Round) -> f64, usize);

fn table(rounds: &[Vec<Round>; 2]) -> String {
    let rows: [Row; 7] = [
        ("turns per second", |round| round.reached, 0),
        (
            "processors used by the recorder",
            |round| round.processor,
            3,
        ),
        ("recorder's nanoseconds per turn", |round| round.each, 0),
        (
            "nanoseconds added to a turn of the thread",
            |round| round.added,
            0,
        ),
        ("both together", |round| round.each + round.added, 0),
        ("bytes in the file per turn", |round| round.bytes, 1),
        ("records lost", |round| round.lost, 0),
    ];
    let mut table =
        String::from("| | leaktrace record --all-events | perf record |\n|---|---:|---:|\n");
    for (name, figure, digits) in rows {
        let [leaktrace, perf] = rounds.each_ref().map(|rounds| {
            let figures: Vec<f64> = rounds.iter().map(figure).collect();
            median(&figures)
        });
        let _ = writeln!(table, "| {name} | {leaktrace:.digits$} | {perf:.digits$} |");
    }
    table
}

impl Recorder {
    fn measure(self, options: &Options) -> Result<Round> {
        let file = Scratch::new("recording");
        let attached = self.attach(options, &file)?;
        attached.settle()?;
        let (before, start) = (processor_seconds(attached.id())?, Instant::now());
        let reached = load::paced(options, "open", PACE, options.loop_seconds() * 5.0)?;
        let used = processor_seconds(attached.id())? - before;
        let seconds = start.elapsed().as_secs_f64();
        let words = attached.last_words()?;
        let turns = reached * seconds;
        let bytes = fs::metadata(&file.0).context("nothing was recorded")?.len();
        Ok(Round {
            reached,
            processor: used / seconds,
            each: used * 1e9 / turns,
            bytes: bytes as f64 / turns,
            lost: match self {
                Recorder::Leaktrace => lost_by_report(options, &file)?,
                Recorder::Perf => lost_by_perf(&words),
            },
            added: 0.0,
        })
    }

    /// Nanoseconds of a turn while it records.
    fn slowed(self, options: &Options) -> Result<f64> {
        let file = Scratch::new("recording");
        let attached = self.attach(options, &file)?;
        attached.settle()?;
        let turn = unpaced(options)?;
        attached.last_words()?;
        Ok(turn)
    }

    fn attach(self, options: &Options, file: &Scratch) -> Result<Attached> {
        let mut command = match self {
            Recorder::Leaktrace => {
                let mut command = Command::new(&options.leaktrace);
                command.args(["record", "--all-events", "-o"]);
                command
            }
            // The command says when the events are enabled, since perf does not.
            Recorder::Perf => tracer::with_tracefs(
                "exec perf record -B -N -a -e 'syscalls:*open*' -e 'syscalls:*close*' -o \"$0\" \
                 -- sh -c 'echo \"tracing \" >&2; exec sleep 1000'",
            ),
        };
        command.arg(&file.0);
        tracer::attached(&mut command, None)
    }
}

/// Records a loop of dup + close without a pace.
fn rush(options: &Options) -> Result<Rush> {
    let file = Scratch::new("recording");
    let attached = Recorder::Leaktrace.attach(options, &file)?;
    attached.settle()?;
    let (before, start) = (processor_seconds(attached.id())?, Instant::now());
    let length = options.loop_seconds() * 5.0;
    let turns = load::paced(options, "dup", f64::INFINITY, length)?;
    let used = processor_seconds(attached.id())? - before;
    let seconds = start.elapsed().as_secs_f64();
    attached.last_words()?;
    let lost = lost_by_report(options, &file)?;
    Ok(Rush {
        recorded: 2.0 * turns - lost / length,
        processor: used / seconds,
        lost,
    })
}

fn rush_table(rushes: &[Rush]) -> String {
    let figure = |figure: fn(&Rush) -> f64| {
        let figures: Vec<f64> = rushes.iter().map(figure).collect();
        median(&figures)
    };
    format!(
        "| leaktrace record --all-events | |\n|---|---:|\n\
         | events per second recorded | {:.0} |\n\
         | processors used by the recorder | {:.2} |\n\
         | records lost | {:.0} |\n",
        figure(|rush| rush.recorded),
        figure(|rush| rush.processor),
        figure(|rush| rush.lost),
    )
}

/// Nanoseconds of a turn without a pace.
fn unpaced(options: &Options) -> Result<f64> {
    let reached = load::paced(options, "open", f64::INFINITY, options.loop_seconds())?;
    Ok(1e9 / reached)
}

/// What leaktrace says of its own recording.
fn lost_by_report(options: &Options, file: &Scratch) -> Result<f64> {
    let mut command = Command::new(&options.leaktrace);
    command.args(["report", "-f", "json"]).arg(&file.0);
    let report: serde_json::Value = serde_json::from_str(&load::output(&mut command)?)
        .context("the report of the recording is not JSON")?;
    report["health"]["lost"]
        .as_f64()
        .context("the report does not say what was lost")
}

/// The chunks that perf says it lost; it says nothing where it lost none.
fn lost_by_perf(words: &[String]) -> f64 {
    words
        .iter()
        .filter_map(|line| line.split_once(" lost "))
        .filter_map(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok())
        // A sum of nothing would be -0.
        .fold(0.0, |all, one| all + one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_lost_is_read() {
        let words = [
            "Processed 1234 events and lost 7 chunks!".to_owned(),
            "lost".to_owned(),
        ];
        assert_eq!(lost_by_perf(&words), 7.0);
        assert_eq!(lost_by_perf(&[]), 0.0);
    }

    #[test]
    fn each_recorder_has_its_column() {
        let round = |each| {
            vec![Round {
                each,
                ..Round::default()
            }]
        };
        let table = table(&[round(120.0), round(900.0)]);
        assert!(
            ["recorder's nanoseconds per turn", "both together"]
                .iter()
                .all(|row| table.contains(&format!("| {row} | 120 | 900 |"))),
            "{table}"
        );
    }

    #[test]
    fn the_rush_tells_what_was_lost() {
        let rush = Rush {
            recorded: 974_000.4,
            processor: 0.5,
            lost: 12.0,
        };
        let table = rush_table(&[rush; 3]);
        assert!(table.contains("recorded | 974000 |"), "{table}");
        assert!(table.contains("lost | 12 |"), "{table}");
    }
}
