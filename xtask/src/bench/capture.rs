//! What an acquisition or release takes in a capture: the figures of `leak-user/benches/capture.rs`, as a table.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::load;
use super::options::Options;
use crate::command::{self, cargo};

/// Figures that the program prints, how they read in the document, and by what they are divided.
const FIGURES: [(&str, &str, f64); 5] = [
    ("bytes_per_event", "bytes in the file", 1.0),
    ("write_ns_per_event", "nanoseconds to write it", 1.0),
    (
        "read_events_per_second",
        "million read per second, on one processor",
        1e6,
    ),
    (
        "report_events_per_second",
        "million reported per second, on one processor",
        1e6,
    ),
    (
        "verify_events_per_second",
        "million verified per second, on one processor",
        1e6,
    ),
];

/// Builds the program; returns where it is.
pub(super) fn build() -> Result<PathBuf> {
    let mut build = cargo();
    build.args([
        "build",
        "--release",
        "--package",
        "leak-user",
        "--bench",
        "capture",
    ]);
    build.arg("--message-format=json-render-diagnostics");
    eprintln!("$ {}", command::show(&build));
    let output = build
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo failed: {}", output.status);
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo does not say where the program is")
}

/// The program among cargo's messages, one a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["kind"][0] == "bench")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

/// Measures, and says it.
pub(super) fn section(options: &Options) -> Result<String> {
    let program = options
        .capture_bench
        .as_ref()
        .context("captures are measured with --capture-bench")?;
    let mut command = Command::new(program);
    if options.quick {
        command.arg("500000");
    }
    let printed = load::output(&mut command)?;
    Ok(format!(
        "`cargo xtask bench --only capture` measures this section alone. Eight processes open and close files,\n\
         sockets, pipes and mappings at 40 sites each, 500,000 events per second. All events are written to\n\
         memory, compressed as by `leaktrace record`, and read again: once without a report, and once up to\n\
         the report as by `leaktrace report`. Times are processor time, not wall-clock time.\n\n{}",
        table(&printed)?
    ))
}

fn table(printed: &str) -> Result<String> {
    let mut table = String::from("| an acquisition or a release | |\n|---|---:|\n");
    for (name, reads, unit) in FIGURES {
        let figure: f64 = printed
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .with_context(|| format!("the program does not say {name}"))?;
        table.push_str(&format!("| {reads} | {:.1} |\n", figure / unit));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_program_is() {
        let messages = "\
            {\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"lib\"]},\"executable\":null}\n\
            not json\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"bench\"]},\"executable\":\"/t/capture-1\"}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/capture-1")));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn a_figure_that_is_not_printed_is_an_error() {
        let printed = "bytes_per_event 6.9\nwrite_ns_per_event 50\n\
                       read_events_per_second 22700000\nreport_events_per_second 9e6\nverify_events_per_second 2e8\n";
        assert!(table(printed).is_ok_and(|table| table.contains("one processor | 22.7 |")));
        assert!(table("bytes_per_event 6.9\n").is_err());
    }
}
