//! From rounds to medians, and from medians to a document.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use super::own::{self, Ends, Own};
use super::tracer::{TRACERS, Tracer};
use super::{Load, Options, column};

/// The figures of several loads: `figures[load][tracer][round]`.
pub(super) struct Rounds {
    names: Vec<&'static str>,
    figures: Vec<[Vec<f64>; TRACERS.len()]>,
}

impl Rounds {
    pub(super) fn new(loads: &[Load]) -> Rounds {
        Rounds {
            names: loads.iter().map(|load| load.name).collect(),
            figures: loads.iter().map(|_| Default::default()).collect(),
        }
    }

    pub(super) fn add(&mut self, load: usize, tracer: Tracer, figure: f64) {
        self.figures[load][column(tracer)].push(figure);
    }

    fn median(&self, load: usize, tracer: Tracer) -> f64 {
        median(&self.figures[load][column(tracer)])
    }

    /// Median over the rounds of traced to untraced in the same round.
    fn ratio(&self, load: usize, tracer: Tracer) -> f64 {
        let traced = &self.figures[load][column(tracer)];
        let untraced = &self.figures[load][column(Tracer::None)];
        let ratios: Vec<f64> = traced.iter().zip(untraced).map(|(t, u)| t / u).collect();
        median(&ratios)
    }

    /// A table with a row for each load: untraced, then each tracer and its ratio.
    fn table(&self, unit: &str, digits: usize) -> String {
        let mut table = format!(
            "| {unit} | untraced | leaktrace | ratio | bpftrace | ratio |\n|---|---:|---:|---:|---:|---:|\n"
        );
        for (load, name) in self.names.iter().enumerate() {
            let _ = write!(
                table,
                "| {name} | {:.digits$} |",
                self.median(load, Tracer::None)
            );
            for tracer in [Tracer::Leaktrace, Tracer::Bpftrace] {
                let _ = write!(
                    table,
                    " {:.digits$} | {:.2} |",
                    self.median(load, tracer),
                    self.ratio(load, tracer)
                );
            }
            table.push('\n');
        }
        table
    }
}

/// The middle figure; of an even number the mean of the two in the middle.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The whole document.
pub(super) fn document(
    options: &Options,
    loops: &Rounds,
    servers: &Rounds,
    own: &Own,
) -> Result<String> {
    Ok(format!(
        "# What tracing costs\n\
         \n\
         Written by `cargo xtask bench{quick}`; run it to have the figures of another machine. Linux {kernel}, {cpu}, \
         {cpus} processors.\n\
         Each figure is the median of {rounds} rounds. A round measures without a tracer, with `leaktrace trace` on the \
         whole host, stacks included, and with a bpftrace script\n\
         (`xtask/src/bench/outstanding.bt`) that keeps time and stack of every open descriptor; a ratio compares \
         within one round. Ratios carry over to other machines better than absolute figures.\n\
         \n\
         ## One thread in a tight loop\n\
         \n\
         The worst case: a program that does nothing else. Less is better.\n\
         \n\
         {loops}\n\
         ## Servers under load\n\
         \n\
         Server, client and tracer share the processors. More is better; the ratio is the share of the throughput that \
         is kept.\n\
         \n\
         {servers}\n\
         ## What leaktrace takes for itself\n\
         \n\
         {own}",
        quick = if options.quick { " --quick" } else { "" },
        kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        cpu = processor(&fs::read_to_string("/proc/cpuinfo")?),
        cpus = std::thread::available_parallelism()?,
        rounds = options.rounds(),
        loops = loops.table("nanoseconds a turn", 0),
        servers = servers.table("requests a second", 0),
        own = own_table(own),
    ))
}

fn processor(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name.trim())
}

fn own_table(own: &Own) -> String {
    let mut table = String::from("| | |\n|---|---:|\n");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(table, "| {name} | {value} |");
    };
    row(
        &format!(
            "processor time at {:.0} open + close a second",
            median(&own.storm)
        ),
        format!("{:.1} % of one processor", median(&own.storm_cpu) * 100.0),
    );
    row(
        "events lost meanwhile",
        format!("{:.0}", median(&own.storm_lost)),
    );
    let crowd = format!("{} descriptors open before", own::PREEXISTING);
    for (ends, when) in [
        (&own.quiet, "the host as it is"),
        (&own.crowded, crowd.as_str()),
    ] {
        let Ends {
            start,
            resident,
            end,
        } = ends;
        row(
            &format!("from start to attached, {when}"),
            format!("{:.2} s", median(start)),
        );
        row(
            &format!("resident memory then, {when}"),
            format!("{:.0} MiB", median(resident)),
        );
        row(
            &format!("from Ctrl-C to exit, {when}"),
            format!("{:.2} s", median(end)),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_compares_within_a_round() {
        let mut rounds = Rounds::new(&[Load::new("load", || Ok(0.0))]);
        // The machine became twice as slow after the first round, whatever watched.
        for (untraced, traced) in [(100.0, 150.0), (200.0, 300.0), (200.0, 300.0)] {
            rounds.add(0, Tracer::None, untraced);
            rounds.add(0, Tracer::Leaktrace, traced);
            rounds.add(0, Tracer::Bpftrace, traced);
        }
        assert_eq!(rounds.ratio(0, Tracer::Leaktrace), 1.5);
    }

    #[test]
    fn the_processor_is_named_where_the_kernel_names_it() {
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n"),
            "Fast CPU @ 3 GHz"
        );
        assert_eq!(processor("processor\t: 0\n"), "unknown processor");
    }
}
