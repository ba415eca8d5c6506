//! What a stack costs: the same loop with stacks and without, under leaktrace and under the script.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use leak_common::limits::REMEMBERED_RULES;

use super::load;
use super::options::Options;
use super::process::Process;
use super::rounds::{Rounds, interleaved, median};
use super::stack_program::{FLAGS, FUNCTIONS, STACKS};
use super::tables::Figures;
use super::tracer::{self, STACK_TRACERS, Tracer};

/// Frames without which a stack was cut: the program has that many functions of its own on each.
const LEAST_FRAMES: usize = 20;

/// Measures, and says it.
pub(super) fn section(options: &Options) -> Result<String> {
    let frames = frames(options)?;
    let rounds = interleaved(options, "stacks", &load::stacks(options)?, &STACK_TRACERS)?;
    Ok(text(frames, &rounds))
}

/// Frames that leaktrace takes of the loop's stack. What a stack costs that is cut would say nothing.
fn frames(options: &Options) -> Result<usize> {
    let attached = tracer::leaktrace(options, &[])?;
    attached.settle()?;
    let mut holder = Process::start(
        Command::new(options.stack_loop()?)
            .args(["hold", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    )?;
    holder.wait_for_stdout("holding")?;
    // Longer than a descriptor counts as young.
    std::thread::sleep(Duration::from_millis(1500));
    let report = attached.stop()?.report;
    let frames = frames_of(&report, holder.id())
        .context("leaktrace does not report the descriptor that stack-loop holds")?;
    if frames < LEAST_FRAMES {
        bail!(
            "leaktrace takes {frames} frames of stack-loop's stack, which has at least {LEAST_FRAMES}"
        );
    }
    Ok(frames)
}

/// Frames of the stack at which a process opened a file.
fn frames_of(report: &serde_json::Value, pid: u32) -> Option<usize> {
    let findings = report["findings"].as_array()?;
    findings
        .iter()
        .filter(|finding| finding["pid"] == pid && finding["kind"] == "file")
        .filter_map(|finding| finding["stack"].as_array())
        // An inlined function has no frame of its own.
        .map(|stack| {
            stack
                .iter()
                .filter(|frame| frame["inlined"] != true)
                .count()
        })
        .max()
}

fn text(frames: usize, rounds: &Rounds) -> String {
    let mut text = format!(
        "`cargo xtask bench --only stacks` measures this section alone. One thread opens and closes /dev/null,\n\
         {frames} frames deep, in a C program without frame pointers\n\
         (`gcc {FLAGS}`).\n\
         \"Its stack adds\" is a difference within one round: `leaktrace trace` minus `leaktrace trace --no-stacks`,\n\
         and the bpftrace script minus the same script with a number in place of each stack. leaktrace takes\n\
         all {frames} frames. The script's `ustack` (bpf_get_stackid) follows frame pointers, so only the first of\n\
         its frames can be right here.\n\
         \n\
         | nanoseconds per open + close | untraced | leaktrace --no-stacks | leaktrace | its stack adds | bpftrace \
         without ustack | bpftrace | its stack adds |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for (load, name) in rounds.names.iter().enumerate() {
        let each = |tracer| rounds.median(load, tracer);
        let adds = |with, without| rounds.difference(load, with, without);
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            each(Tracer::None),
            each(Tracer::LeaktraceWithout),
            each(Tracer::Leaktrace),
            adds(Tracer::Leaktrace, Tracer::LeaktraceWithout),
            each(Tracer::BpftraceWithout),
            each(Tracer::Bpftrace),
            adds(Tracer::Bpftrace, Tracer::BpftraceWithout),
        );
    }
    let _ = write!(
        text,
        "\nWith another stack each turn, {STACKS} stacks through {FUNCTIONS} functions follow each other. The\n\
         {REMEMBERED_RULES} rules that a processor caches then help little: nearly every frame is looked up in its\n\
         file's table.\n"
    );
    text.push_str(&tables(&rounds.tables));
    text
}

/// What the unwind tables take, if leaktrace told.
fn tables(figures: &[Figures]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let of = |get: fn(&Figures) -> f64| median(&figures.iter().map(get).collect::<Vec<f64>>());
    format!(
        "\nThe tables are built once, by threads of low priority: first for files that processes map, then for\n\
         other files in the standard directories, while there is room.\n\
         \n\
         | unwind tables of this host | |\n|---|---:|\n\
         | programs and libraries | {files:.0} |\n\
         | rows | {rows:.1} million |\n\
         | kernel memory that they use | {bytes:.0} MiB |\n\
         | time to build them, over all threads | {seconds:.1} s |\n",
        files = of(|figures| figures.files),
        rows = of(|figures| figures.rows) / 1e6,
        bytes = of(|figures| figures.bytes) / f64::from(1 << 20),
        seconds = of(|figures| figures.seconds),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::load::Load;
    use super::*;

    #[test]
    fn frames_are_counted_where_the_process_opened_a_file() {
        let frame = |inlined: bool| json!({ "symbol": "f", "inlined": inlined });
        let report = json!({ "findings": [
            { "pid": 7, "kind": "mapping", "stack": vec![frame(false); 9] },
            { "pid": 8, "kind": "file", "stack": vec![frame(false); 9] },
            { "pid": 7, "kind": "file", "stack": [frame(true), frame(false), frame(false)] },
        ] });
        assert_eq!(frames_of(&report, 7), Some(2));
        assert_eq!(frames_of(&report, 9), None);
    }

    #[test]
    fn each_row_says_what_a_stack_adds() {
        let mut rounds = Rounds::new(&[Load::new("a load", || Ok(0.0))]);
        for (tracer, figure) in STACK_TRACERS
            .into_iter()
            .zip([100.0, 200.0, 250.0, 300.0, 370.0])
        {
            rounds.add(0, tracer, figure);
        }
        let text = text(25, &rounds);
        assert!(text.contains("| a load | 100 | 200 | 250 | 50 | 300 | 370 | 70 |\n"));
        assert!(
            !text.contains("unwind tables of this host"),
            "nothing was told of them"
        );
    }

    #[test]
    fn tables_are_told_in_units_that_read() {
        let figures = Figures {
            files: 420.0,
            rows: 10_428_020.0,
            bytes: 50e6,
            seconds: 7.57,
        };
        let text = tables(&[figures]);
        assert!(text.contains("| rows | 10.4 million |") && text.contains("| 48 MiB |"));
    }
}
